"""The interface of claims: a function with the decorator `claim` that returns the evidence for it in a cube.

The **positional parameter** selects the argument of the function: ``selection``, a
`elastic.claims.selection.Selection`, or ``cube``, the whole cube. The **keyword-only parameters are the options** that
a protocol sets: thresholds, parts of the sentence, and those of the selection (``split``, ``layer``,
``layers``, ``epoch``, ``where``). The function reads the latter through the selection; its signature defines their
names, order and defaults. `elastic.claims.decision` derives the verdict from the evidence.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import xarray as xr
from pydantic import Field

from elastic.claims.fault import check_labels, in_words_of_claims, option_at_fault
from elastic.claims.selection import Selection
from elastic.errors import ElasticError, NotMeasured, OptionError
from elastic.registry import Entry, registry
from elastic.releases import Added

__all__ = [
    "Axis", "ClaimFacts", "Classes", "Epoch", "Evidence", "IncludeInput", "Label", "Layer", "Layers", "NumericAxis",
    "OnAxis", "OneLayer", "Selection", "Source", "Split", "Variable", "Where", "claim", "evidence_of", "stated",
]  # fmt: skip

#: Names of the positional parameters of a claim.
HANDED = ("selection", "cube")


def _identity(value: float) -> float:
    return value


@dataclass(frozen=True)
class Evidence:
    """Evidence for a claim in a cube, by seed.

    Attributes
    ----------
    effect
        [*settings, seed]: one number per seed in each setting, NaN if it cannot be computed (a run that diverged).
        On a scale on which its distribution over seeds is close to symmetric (a log ratio, Fisher's z, …): the
        verdict uses a t interval of its mean.
    region
        Values of the mean effect that support the claim, an open interval: (t, inf), (-inf, t) or (a, b).
    quantity
        Description of the shown numbers, with their units: "factor by which nc1 falls per layer".
    shown
        Monotone map from the scale of the effect to the shown one.
    resolution
        Smallest difference between two seeds that the effect can resolve, one number or one per setting; 0 if it is
        continuous. The standard deviation over seeds is at least this large in the interval.
    estimates
        The estimated quantity, if it does not follow from ``shown``.
    """

    effect: xr.DataArray
    region: tuple[float, float]
    quantity: str
    shown: Callable[[float], float] = _identity
    resolution: float | xr.DataArray = 0.0
    estimates: str = ""

    @property
    def estimand(self) -> str:
        """The estimated quantity: ``estimates``, or the one of the scale on which means are taken."""
        return self.estimates or ESTIMANDS.get(self.shown, "typical seed (mean over seeds on the scale of the effect)")


#: Quantity that the mean effect estimates, by the map to the shown scale.
ESTIMANDS: dict[Callable[[float], float], str] = {
    _identity: "mean over seeds",
    math.exp: "typical seed (geometric mean over seeds)",
    math.tanh: "typical seed (mean over seeds on the scale of Fisher's z)",
}

ClaimFunction = Callable[..., Evidence]


@dataclass(frozen=True)
class ClaimFacts:
    """Facts of a claim, known before it is checked.

    Attributes
    ----------
    source
        Cite key in ``elastic/references.bib``.
    sentence
        The claim, a format string over its options.
    own
        The part of the claim that is elastic's own definition or threshold, not the source's; "" if there is none.
    follows_steps
        Whether it sums the steps of training, so that these must be sums of gradients.
    """

    source: str
    sentence: str
    own: str = ""
    follows_steps: bool = False

    def mistake(self, entry: Entry, cube: xr.DataTree, options: Mapping[str, Any]) -> OptionError | None:
        """Return what a claim needs and a cube lacks, None if it can be checked there.

        Parameters
        ----------
        entry
            The claim's own.
        cube
            A cube with everything that a study will measure, with or without numbers.
        options
            All options of the claim.

        Returns
        -------
        OptionError or None
            Its ``location`` names the option; () is the claim as a whole, for instance if it needs more layers.
        """
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # all numbers may be missing
                evidence_of(entry, cube, options)
            check_labels(entry, cube, options)
        except (NotMeasured, OptionError) as error:
            at = option_at_fault(entry, options, error)
            return OptionError(error.field, in_words_of_claims(error, at), error.found, error.hint, location=at)
        return None


def claim(
    *, source: str, sentence: str, own: str = "", follows_steps: bool = False, name: str | None = None
) -> Callable[[ClaimFunction], ClaimFunction]:
    """Register a function ``(selection, *, options) -> Evidence`` as a claim, with its `ClaimFacts`.

    A function ``(cube, *, options)`` is called with the whole cube instead.

    Raises
    ------
    ElasticError
        If the function has other positional parameters, or none.
    """

    def enter(function: ClaimFunction) -> ClaimFunction:
        key = name or function.__name__
        parameters = Entry("claims", key, function).parameters
        if not parameters or not set(parameters) <= set(HANDED):
            expected = "be `selection` (what the options select) or `cube` (all of it)"
            found, hint = ", ".join(parameters) or "none", f"def {key}(selection, *, …) -> Evidence"
            raise ElasticError(f"positional parameters of the claim `{key}`", expected, found, hint)
        return registry("claims").register(name, ClaimFacts(source, sentence, own, follows_steps))(function)

    return enter


def evidence_of(entry: Entry, cube: xr.DataTree, options: Mapping[str, Any]) -> Evidence:
    """Return the evidence for a claim in a cube.

    Parameters
    ----------
    entry
        The claim's.
    cube
        A study's.
    options
        All options of the claim, as `Entry.complete` returns them.

    Raises
    ------
    NotMeasured
        If the cube lacks what the claim needs.
    OptionError
        If an option names what the study does not have.
    """
    handed = {"selection": Selection.of(cube, options), "cube": cube}
    evidence: Evidence = entry.function(*(handed[name] for name in entry.parameters), **options)
    return evidence


def stated(entry: Entry, options: Mapping[str, Any]) -> str:
    """Return a claim's sentence with its options inserted, some of them as words.

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
        "since_epoch": f", from epoch {options['since']} on" if options.get("since") else "",
        "against_epoch": "" if options.get("since") is None else f" against epoch {options['since']}",
        "group_names": " and ".join(options.get("groups") or ()),
        "until_epoch": "over all epochs" if (until := options.get("until", -1)) == -1 else f"up to epoch {until}",
        "of_words": str(options.get("of", "")).replace("_", " "),
        "from_input": " from the input on" if options.get("include_input") else "",
    }
    sentence: str = entry.facts.sentence.format_map({**options, **words})
    return sentence


def _between(least: float | None, most: float | None) -> str:
    if least is None:
        return "of any size" if most is None else f"below {most:g}"
    return f"above {least:g}" if most is None else f"between {least:g} and {most:g}"


#: A label on an axis of a study.
Label = str | int | float | bool

# These annotations define what an option names, so that a protocol is validated against its axes, and against the
# variables that a cube can hold, before anything is trained.

#: An option that names a variable of the cube, with or without its group.
Variable = Annotated[
    str, Field(description="Variable of the cube, with or without its group.", json_schema_extra={"names": "variable"})
]

#: An option that names an axis of the study.
Axis = Annotated[str, Field(description="Axis of the study.", json_schema_extra={"names": "axis"})]

#: An option that names an axis of the study with numeric labels, three of them positive.
NumericAxis = Annotated[
    str,
    Field(
        description="Axis of the study whose labels are numbers, three of them positive.",
        json_schema_extra={"names": "numeric_axis"},
    ),
]

#: An option that names a label on the axis in the option ``axis``.
OnAxis = Annotated[Label, Field(description="Label on that axis.", json_schema_extra={"names": "label"})]

#: An option that selects settings of the study, and parts of the variable: {dim: label}.
Where = Annotated[
    dict[str, Label] | None,
    Field(
        description="Labels on axes of the study, {axis: label}; null: every setting.",
        json_schema_extra={"names": "where"},
    ),
]

#: A probed epoch; a negative one counts from the last.
Epoch = Annotated[int, Field(description="Probed epoch; -1: the last.", json_schema_extra={"names": "epoch"})]

#: A split of the data.
Split = Annotated[
    str,
    Field(
        description="Split of the data on which the variable is measured.",
        examples=["train", "test"],
        json_schema_extra={"names": "split"},
    ),
]

#: A layer, by its label or role; None for every hidden one.
Layer = Annotated[
    str | None,
    Field(
        description="Layer by name, penultimate or logits; null: every hidden layer.",
        examples=["penultimate"],
        json_schema_extra={"names": "layer"},
    ),
]

#: A layer that has to be named.
OneLayer = Annotated[
    str, Field(description="Layer by name.", examples=["penultimate"], json_schema_extra={"names": "layer"})
]

#: Layers, by their labels or roles; None for every hidden one.
Layers = Annotated[
    list[str] | None,
    Field(
        description="Layers by name; null: every hidden layer.",
        examples=[["input", "hidden_1"]],
        json_schema_extra={"names": "layers"},
    ),
]

#: Whether the input counts as a layer; False is omitted from digests, as in earlier releases.
IncludeInput = Annotated[bool, Added("0.1.0", before=False), Field(description="Whether the input counts as layer 0.")]

#: Classes, by their labels.
Classes = Annotated[
    list[Label],
    Field(min_length=2, description="Classes by label.", examples=[[7, 8, 9]], json_schema_extra={"names": "classes"}),
]

#: The paper from which a protocol takes a claim of a general form.
Source = Annotated[str, Field(description="Key of elastic/references.bib.", json_schema_extra={"names": "source"})]
