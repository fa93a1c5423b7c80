"""Validation of the coordinates of a recorded run, its labels on the axes of the cube."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from elastic.cube.coordinates import Axes, Scalar
from elastic.cube.names import ALONG_DIMS
from elastic.errors import StudyError
from elastic.protocol.grid import Reserved, axis_name
from elastic.protocol.registered_probes import names_of_probes
from elastic.protocol.validators import Unfit
from elastic.registry import registry
from elastic.runs.scalars import KNOWN, SCORES

SEED = "seed"

#: Names of training scalars, which a coordinate may use if no record has that scalar.
AS_SCALARS = KNOWN.keys() - set(SCORES)


def checked_coordinates(coordinates: Mapping[str, Any] | None, seed: int | None) -> tuple[dict[str, Scalar], int]:
    """Validate the coordinates of a run; return them with the seed last, and the seed for sampling.

    Parameters
    ----------
    coordinates
        Numbers, strings or booleans by name. "seed" defaults to the seed for sampling.
    seed
        Seed of the probes' samples; None: the coordinate "seed", else 0.

    Raises
    ------
    StudyError
        If a name is reserved in the cube, a value is not a scalar, or the seed is not an integer.

    Examples
    --------
    >>> checked_coordinates({"seed": 3, "width": 64}, None)
    ({'width': 64, 'seed': 3}, 3)
    """
    if coordinates is not None and not isinstance(coordinates, Mapping):
        raise StudyError("`coordinates`", "be a mapping", type(coordinates).__name__, '{"seed": 0}')
    given = {name: _scalar(name, value) for name, value in (coordinates or {}).items()}
    for name in given.keys() - {SEED}:
        _check_name(name)
    drawing = given.get(SEED, 0) if seed is None else _scalar("seed", seed)
    if isinstance(drawing, bool) or not isinstance(drawing, int) or not 0 <= drawing < 2**32:
        raise StudyError("`seed`", "be a whole number from 0 to 2**32 - 1", repr(drawing), "seed=0")
    given.setdefault(SEED, drawing)
    if isinstance(given[SEED], bool) or not isinstance(given[SEED], int):
        raise StudyError("`coordinates['seed']`", "be a whole number", repr(given[SEED]), '{"seed": 0}')
    return {name: given[name] for name in [*sorted(given.keys() - {SEED}), SEED]}, drawing


def check_fit(coordinates: Mapping[str, Scalar], names: Sequence[str], others: Sequence[Mapping[str, Any]]) -> None:
    """Raise a StudyError unless coordinates have the names and types of a study's other runs."""
    if sorted(coordinates) != sorted(names):
        expected = f"have the names of the study's other runs: {', '.join(names)}"
        raise StudyError("`coordinates`", expected, ", ".join(coordinates) or "none", "another folder for this run")
    for name, value in coordinates.items():
        known = {_kind(other[name]) for other in others}
        if known - {_kind(value)}:
            expected = f"be a {known.pop()}, as in the study's other runs"
            raise StudyError(f"`coordinates[{name!r}]`", expected, repr(value), "one kind of labels along a coordinate")
        labels = {other[name] for other in others} | {value}
        try:
            Axes({name: list(labels)})
        except StudyError:
            expected = "have another float64 than each number of the study's other runs"
            raise StudyError(f"`coordinates[{name!r}]`", expected, repr(value), "a text for a long number") from None


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name in AS_SCALARS | ALONG_DIMS.keys():
        return
    try:
        axis_name(name if isinstance(name, str) else repr(name))
    except Reserved as error:
        expected = "have names that no group, dim or variable of the cube has"
        raise StudyError("`coordinates`", expected, repr(name), error.hint) from None
    except Unfit as error:
        expected = "have names of a-z, 0-9 and _ that begin with a letter"
        raise StudyError("`coordinates`", expected, repr(name), error.hint) from None
    if name in names_of_probes() or name in registry("metrics").names():
        expected = "have names that no group, dim or variable of the cube has"
        raise StudyError("`coordinates`", expected, repr(name), f"{name}_axis")


def _scalar(name: str, value: Any) -> Scalar:
    try:
        plain = value.item() if hasattr(value, "item") else value  # a NumPy scalar, a tensor of one element
    except (ValueError, RuntimeError):
        plain = value
    if isinstance(plain, float) and not math.isfinite(plain):
        raise StudyError(f"`coordinates[{name!r}]`", "be finite", repr(plain), "a text for a run without a number")
    if isinstance(plain, int) and not -(2**63) <= plain < 2**63:
        raise StudyError(f"`coordinates[{name!r}]`", "fit into 64 bits", repr(plain), "a text for a longer number")
    if not isinstance(plain, bool | int | float | str):
        expected = "be a number, a text or a truth value"
        raise StudyError(f"`coordinates[{name!r}]`", expected, type(value).__name__, "a text that names the setting")
    return plain


def _kind(value: Any) -> str:
    return "truth value" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"
