"""Formatting and lookup of epochs. Recorded studies have fractional ones: 0.25 after a quarter of the first epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np

#: Decimals of a fractional epoch from 1 on, and its significant digits below.
DIGITS = 4


def epoch_label(epoch: SupportsFloat) -> str:
    """Format an epoch: an integer without a point, a fraction with `DIGITS` digits and without an exponent.

    Examples
    --------
    >>> epoch_label(200), epoch_label(1.0), epoch_label(0.25), epoch_label(1e6)
    ('200', '1', '0.25', '1000000')
    >>> epoch_label(1 / 3), epoch_label(12 + 1 / 391), epoch_label(1 / 40_000)
    ('0.3333', '12.0026', '0.000025')
    """
    number = float(epoch)
    if number.is_integer():
        return str(int(number))
    return np.format_float_positional(number, precision=DIGITS, fractional=abs(number) >= 1, trim="-")


def epoch_number(epoch: SupportsFloat) -> int | float:
    """Return an epoch as a number that prints like its label: 1 for 1.0, 0.3333 for 1/3.

    >>> epoch_number(1.0), epoch_number(np.float64(0.25))
    (1, 0.25)
    """
    label = epoch_label(epoch)
    return float(label) if "." in label else int(label)


def epoch_position(epochs: Sequence[float], epoch: object) -> int | None:
    """Return the position of an epoch: counted from the end if it is a negative integer, else by label.

    Parameters
    ----------
    epochs
        Labels of a dim ``epoch``.
    epoch
        −1 is the last probed epoch, 0.3333 the one with this `epoch_label`.

    Returns
    -------
    int or None
        None if no epoch, or more than one, matches.

    Examples
    --------
    >>> epochs = [0.0, 1 / 3, 1.0]
    >>> epoch_position(epochs, -1), epoch_position(epochs, 0.3333), epoch_position(epochs, 0.5)
    (-1, 1, None)
    """
    if isinstance(epoch, bool) or not isinstance(epoch, int | float | np.integer | np.floating):
        return None
    if epoch < 0:
        return int(epoch) if float(epoch).is_integer() and -len(epochs) <= epoch else None
    label = epoch_label(epoch)
    positions = [position for position, known in enumerate(epochs) if epoch_label(known) == label]
    return positions[0] if len(positions) == 1 else None
