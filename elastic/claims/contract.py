"""What a claim is, and how one is added: one function under `claim`, a study's cube in, its evidence out.

The function's **keyword-only parameters are the options** a protocol sets; thresholds are among them, and so is
everything that its sentence says. What the evidence amounts to is decided in one place (`elastic.claims.decision`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import xarray as xr
from pydantic import Field

from elastic.registry import Entry, registry


def _as_it_is(value: float) -> float:
    return value


@dataclass(frozen=True)
class Evidence:
    """What a cube says about a claim, seed by seed.

    Attributes
    ----------
    effect
        [*settings, seed]: one number a seed in each setting, NaN where it cannot be computed (a run that diverged).
        On the scale on which its distribution over seeds is nearest to symmetric (a log ratio, Fisher's z, …): the
        verdict rests on a t interval of its mean.
    region
        Values of the mean effect that support the claim, an open interval: (t, inf), (-inf, t) or (a, b).
    quantity
        What a reader is shown, in words with its units: "factor by which nc1 falls per layer".
    shown
        Monotone map from the effect's scale to the one that readers are shown.
    resolution
        Smallest difference between two seeds that the effect can show; 0 for a continuous one. Seeds that agree are
        not taken to agree better than this.
    """

    effect: xr.DataArray
    region: tuple[float, float]
    quantity: str
    shown: Callable[[float], float] = _as_it_is
    resolution: float = 0.0


ClaimFunction = Callable[..., Evidence]


@dataclass(frozen=True)
class ClaimFacts:
    """What is known of a claim before it is checked.

    Attributes
    ----------
    source
        Cite key in ``elastic/references.bib``.
    sentence
        What is claimed, a format string over the claim's options.
    """

    source: str
    sentence: str


def claim(
    *, source: str, sentence: str, name: str | None = None
) -> Callable[[Callable[..., Evidence]], Callable[..., Evidence]]:
    """Register a function ``(cube: xarray.DataTree, *, options) -> Evidence`` as a claim, with its `ClaimFacts`."""
    return registry("claims").register(name, ClaimFacts(source, sentence))


def stated(entry: Entry, options: Mapping[str, Any]) -> str:
    """Return a claim's sentence with its options in it, some of them in words.

    >>> facts = ClaimFacts("he2023law", "{metric} falls by {by:g} {at_epoch}{in_layer}{where}.")
    >>> options = {"metric": "nc1", "by": 2.0, "epoch": -1, "layer": "hidden_1", "where": {"decay": 0.1}}
    >>> stated(Entry("claims", "falls", print, facts), options)
    'nc1 falls by 2 at the last epoch in layer hidden_1, where decay = 0.1.'
    """
    where = ", ".join(f"{dim} = {label}" for dim, label in (options.get("where") or {}).items())
    named, epoch = options.get("layer"), options.get("epoch", -1)
    layer = "the penultimate layer" if named == "penultimate" else f"layer {named}" if named else ""
    words = {
        "where": f", where {where}" if where else "",
        "at_epoch": "at the last epoch" if epoch == -1 else f"at epoch {epoch}" if epoch >= 0 else f"at probe {epoch}",
        "in_layer": f" in {layer}" if layer else "",
        "layer": layer or "every hidden layer",
        "between": _between(options.get("least"), options.get("most")),
    }
    sentence: str = entry.facts.sentence.format_map({**options, **words})
    return sentence


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return "of any size" if most is None else f"below {most:g}"
    return f"above {least:g}" if most is None else f"between {least:g} and {most:g}"


#: A label on an axis of a study.
Label = str | int | float | bool

# What an option means to the reader of a protocol is told by these annotations: a protocol is held against its own
# axes, and against the variables that a cube can hold, before anything is trained.

#: An option that names a variable of the cube, with or without its group.
Variable = Annotated[str, Field(description="a variable of the cube", json_schema_extra={"names": "variable"})]

#: An option that names an axis of the study.
Axis = Annotated[str, Field(description="an axis of the study", json_schema_extra={"names": "axis"})]

#: An option that names an axis of the study whose labels are numbers, three of them positive.
NumericAxis = Annotated[
    str, Field(description="an axis of the study, of positive numbers", json_schema_extra={"names": "numeric_axis"})
]

#: An option that names a label on the axis of the option ``axis``.
OnAxis = Annotated[Label, Field(description="a label on that axis", json_schema_extra={"names": "label"})]

#: An option that chooses settings of the study, and parts of the variable: {dim: label}.
Where = Annotated[
    dict[str, Label] | None,
    Field(description="labels on the study's axes; left out: every setting", json_schema_extra={"names": "where"}),
]

#: A probed epoch; a negative one counts from the last.
Epoch = Annotated[int, Field(description="a probed epoch; -1: the last")]

#: A split of the data.
Split = Annotated[str, Field(description="a split of the data", examples=["train", "test"])]

#: A layer; None for every hidden one.
Layer = Annotated[str | None, Field(description="a layer; null: every hidden one", examples=["penultimate"])]

#: Where a claim of a general form comes from, when it is made of something in particular.
Source = Annotated[str, Field(description="a key of elastic/references.bib", json_schema_extra={"names": "source"})]
