"""Contents of a record: its keys, a blank record, and a complete one from measured values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elastic.cube.exact_numbers import held
from elastic.cube.layout import Layout
from elastic.cube.names import STATUS, TRAINING, Status
from elastic.cube.record import Array
from elastic.errors import StudyError
from elastic.registry import shorten


def is_probed_key(key: str) -> bool:
    """Return whether a key of a record is of a variable that a probe measures.

    >>> is_probed_key("collapse/nc1"), is_probed_key("training/loss"), is_probed_key("status")
    (True, False, False)
    """
    return key != STATUS and not is_scalar_key(key)


def is_scalar_key(key: str) -> bool:
    """Return whether a key of a record may be missing from an open run's.

    >>> is_scalar_key("training/loss"), is_scalar_key("collapse/nc1")
    (True, False)
    """
    return key.partition("/")[0] == TRAINING


def blank_record(layout: Layout, *, probed: bool) -> dict[str, Array]:
    """Return a record without numbers: every variable NaN, in its type and shape; none of them takes memory."""
    blank: dict[str, Array] = {STATUS: np.asarray(Status.MISSING, dtype=np.int8)}
    for variable in layout.recorded(probed=probed):
        # The byte order is fixed, so that a record's bytes do not depend on the machine.
        dtype: np.dtype[Any] = np.dtype(variable.dtype).newbyteorder("<")
        blank[variable.key] = np.broadcast_to(np.array(np.nan, dtype), layout.shape(variable))
    return blank


def whole_record(
    layout: Layout,
    blanks: Mapping[bool, Mapping[str, Array]],
    epoch: float,
    record: Mapping[str, ArrayLike],
    place: str,
) -> dict[str, Array]:
    """Return the whole record of an epoch, in the layout's types and shapes.

    Parameters
    ----------
    layout
        Of the run.
    blanks
        Its blank records, not probed and probed.
    epoch
        Of the record.
    record
        As `elastic.cube.Journal.append` takes it.
    place
        Path of the record, for messages.

    Raises
    ------
    StudyError
        If the record is not what the layout says.
    """

    def misfit(field: str, expected: str, found: str) -> StudyError:
        hint = "a metric that returns what its registration says (elastic list metrics)"
        return StudyError(f"`{field}`", expected, found, hint, place=place)

    if layout.epochs is not None and not (0 <= epoch <= layout.epochs and epoch == int(epoch)):
        raise misfit("epoch", f"be one of 0 … {layout.epochs}", str(epoch))
    probed = any(map(is_probed_key, record)) if layout.is_open else layout.is_probed(epoch)
    blank = blanks[probed]
    state = Status(int(np.asarray(record.get(STATUS, Status.DONE))))
    if state is Status.MISSING:
        raise misfit(STATUS, "be done or diverged", "missing")
    if unknown := record.keys() - blank.keys():
        raise misfit(sorted(unknown)[0], "be a variable of this epoch's record", "one more")
    absent = blank.keys() - record.keys() - {STATUS}
    absent = {key for key in absent if not (layout.is_open and is_scalar_key(key))}
    if absent and state is Status.DONE:
        raise misfit(sorted(absent)[0], "be in the record of the epoch", "nothing")
    whole: dict[str, Array] = {STATUS: np.asarray(state, dtype=np.int8)}
    for key in blank.keys() - {STATUS}:
        try:
            array = held(record.get(key, blank[key]), blank[key].dtype)
        except ValueError as error:
            expected = f"be real numbers that {blank[key].dtype} holds exactly"
            raise misfit(key, expected, shorten(str(error))) from None
        if array.shape != blank[key].shape:
            raise misfit(key, f"be of shape {blank[key].shape}", str(array.shape))
        whole[key] = array
    return whole
