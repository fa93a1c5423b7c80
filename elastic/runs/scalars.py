"""The variables of the group ``training``: scalars of training in the record of every epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from elastic.cube import RESERVED, TRAINING, Variable
from elastic.cube.attributes import BOUNDS, bounds_attribute
from elastic.errors import StudyError
from elastic.registry import registry

#: Scores of each split.
SCORES = ("loss", "accuracy")

#: Variable that shows at which epochs the scores were evaluated, if not at every epoch.
EVALUATED = "scores_evaluated"

_KNOWN = (
    ("loss", "mean loss of the samples, in evaluation mode", "1", "mean of ℓ(z, y)", (None, None), ("split",)),
    ("accuracy", "share of samples classified rightly", "1", "mean of [argmax z = y]", (0.0, 1.0), ("split",)),
    ("objective", "what training minimises, on the whole train split, in evaluation mode", "1",
     "mean of ℓ(z, y) + Σ λ/2 ‖·‖²", (None, None), ()),
    ("lr", "learning rate of the epoch that ended here", "1", "lr · schedule(epoch)", (0.0, None), ()),
    ("gradient_norm", "mean over the epoch's steps of the norm of the minibatch gradient", "1",
     "mean of ‖∇ mean ℓ‖", (0.0, None), ()),
    (EVALUATED, "whether loss, accuracy and objective were evaluated (1) or left out (0)", "1",
     "1 at epochs of training.evaluate", (0.0, 1.0), ()),
)  # fmt: skip

#: The variables of elastic's own training, by name.
KNOWN: Mapping[str, Variable] = {
    name: Variable(
        TRAINING,
        name,
        dims,
        {
            "long_name": long,
            "units": units,
            "formula": formula,
            BOUNDS: bounds_attribute(*bounds),
            "source": "papyan2020prevalence",
        },
    )
    for name, long, units, formula, bounds, dims in _KNOWN
}


def recorded(*, everywhere: bool) -> tuple[Variable, ...]:
    """Return the variables of elastic's own training, with scores evaluated after every epoch or not.

    >>> [variable.name for variable in recorded(everywhere=True)]
    ['loss', 'accuracy', 'objective', 'lr', 'gradient_norm']
    """
    return tuple(variable for name, variable in KNOWN.items() if not (everywhere and name == EVALUATED))


def described(name: str) -> Variable:
    """Return the variable of a scalar: one that elastic's own training has, or one of the user's."""
    attrs = {"long_name": f"{name}, as the training loop gave it", "units": "1"}
    return KNOWN.get(name) or Variable(TRAINING, name, (), attrs)


def training_values(scalars: Mapping[str, Any], splits: Sequence[str], *, evaluated: bool) -> dict[str, Any]:
    """Return the scalars of one record as the variables of ``training``: numbers, or one number per split.

    Parameters
    ----------
    scalars
        Numbers by name. ``loss`` and ``accuracy`` are numbers of the first split, or mappings by split;
        ``train_loss``, ``test_accuracy``, … are those of one split. None is skipped.
    splits
        Of the run, in the order of the dim.
    evaluated
        Whether the Recorder measures the loss and the accuracy, so that they must not be given.

    Raises
    ------
    StudyError
        For a name with another meaning in the cube, or a value that is not a real number.

    Examples
    --------
    >>> training_values({"train_loss": 0.5, "lr": 0.1}, ["train", "test"], evaluated=False)
    {'loss': [0.5, nan], 'lr': 0.1}
    """
    values: dict[str, Any] = {}
    for name, value in scalars.items():
        split, _, score = name.partition("_")
        of_split = score in SCORES and split in splits
        if evaluated and (name in SCORES or of_split):
            hint = "leaving it out, or evaluate=False"
            raise StudyError(f"`{name}`", "be left to the Recorder, which evaluates it", f"{value!r}", hint)
        if value is None:
            continue
        if name in SCORES:
            parts = value if isinstance(value, Mapping) else {splits[0]: value}
            if unknown := [split for split in parts if split not in splits]:
                raise StudyError(f"`{name}`", f"be by split, {', '.join(splits)}", repr(unknown[0]), f"{splits[0]}=…")
            for split, part in parts.items():
                values.setdefault(name, [math.nan] * len(splits))[splits.index(split)] = _number(name, part)
        elif of_split:
            values.setdefault(score, [math.nan] * len(splits))[splits.index(split)] = _number(name, value)
        else:
            _check_name(name)
            values[name] = _number(name, value)
    return values


def is_diverged(scalars: Mapping[str, Any], splits: Sequence[str]) -> bool:
    """Return whether a given loss or objective is infinite or not a number; skipped ones do not count.

    >>> is_diverged({"loss": {"train": float("inf")}}, ["train"]), is_diverged({"lr": float("nan")}, ["train"])
    (True, False)
    """
    if scalars.get(EVALUATED) == 0:
        return False
    given: list[Any] = [scalars.get("objective")]
    given += [scalars.get(f"{split}_loss") for split in splits]
    loss = scalars.get("loss")
    given += loss.values() if isinstance(loss, Mapping) else [loss]
    return not all(math.isfinite(_number("loss", value)) for value in given if value is not None)


def _check_name(name: str) -> None:
    if name in KNOWN:
        return
    if not re.fullmatch(r"(?!__)\w([\w .+@-]{0,98}[\w+@])?", name) or name == "zarr.json":
        # In the files of the cube a slash in the name would make a group.
        hint = re.sub(r"\W+", "_", name[:99]).strip("_") or "lr"
        raise StudyError(f"`{name}`", "be a name of letters, digits and _", repr(name), hint)
    if name in RESERVED or name in registry("metrics").names():
        hint = f"{name}_of_training"
        raise StudyError(f"`{name}`", "have another name than a part or a variable of the cube", repr(name), hint)


def _number(name: str, value: Any) -> float:
    """Return a Python number, a NumPy scalar or a tensor of one element as a Python number."""
    try:
        number = value.item() if hasattr(value, "item") else value
        if isinstance(number, complex | str | bytes):
            raise TypeError
        return number if isinstance(number, int) and not isinstance(number, bool) else float(number)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        found = f"{type(value).__name__}" + (f" of shape {list(value.shape)}" if hasattr(value, "shape") else "")
        raise StudyError(f"`{name}`", "be one real number an epoch", found, f"{name}=float(…)") from None
