"""The interface of claims: a function with the decorator `claim` that returns the evidence for it in a cube.

The **positional parameter** selects the argument of the function: ``selection``, a
`elastic.claims.selection.Selection`, or ``cube``, the whole cube. The **keyword-only parameters are the options** that
a protocol sets: thresholds, parts of the sentence, and those of the selection (``split``, ``layer``,
``layers``, ``epoch``, ``where``). The function reads the latter through the selection; its signature defines their
names, order and defaults. `elastic.claims.decision` derives the verdict from the evidence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

import numpy as np
import xarray as xr

from elastic.claims.evidence import Evidence
from elastic.claims.fault import check_labels, in_words_of_claims, option_at_fault
from elastic.claims.option_types import (
    Axis,
    Classes,
    Epoch,
    IncludeInput,
    Label,
    Layer,
    Layers,
    NumericAxis,
    OnAxis,
    OneLayer,
    Source,
    Split,
    Variable,
    Where,
)
from elastic.claims.selection import Selection
from elastic.claims.sentence import words_of
from elastic.errors import ElasticError, NotMeasured, OptionError
from elastic.protocol.formatting import error_line
from elastic.registry import Entry, nearest, registry

__all__ = [
    "Axis", "ClaimFacts", "Classes", "Epoch", "Evidence", "IncludeInput", "Label", "Layer", "Layers", "NumericAxis",
    "OnAxis", "OneLayer", "Selection", "Source", "Split", "Variable", "Where", "claim", "evidence_of",
]  # fmt: skip

#: Names of the positional parameters of a claim.
HANDED = ("selection", "cube")


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
        If the function has other positional parameters, or none; if the sentence names something else than its options.
    """

    def enter(function: ClaimFunction) -> ClaimFunction:
        key = name or function.__name__
        entry = Entry("claims", key, function)
        parameters = entry.parameters
        if not parameters or not set(parameters) <= set(HANDED):
            expected = "be `selection` (what the options select) or `cube` (all of it)"
            found, hint = ", ".join(parameters) or "none", f"def {key}(selection, *, …) -> Evidence"
            raise ElasticError(f"positional parameters of the claim `{key}`", expected, found, hint)
        _check_sentence(entry, sentence)
        return registry("claims").register(name, ClaimFacts(source, sentence, own, follows_steps))(function)

    return enter


def _check_sentence(entry: Entry, sentence: str) -> None:
    """Raise an ElasticError if a sentence names what is neither an option of its claim nor one of the words."""
    known = [*entry.option_names, *words_of({})]
    for _, name, _, _ in Formatter().parse(sentence):
        if name is not None and name not in known:
            expected, hint = "name options of the claim", nearest(name, known, fallback="{{ and }} for braces")
            raise ElasticError(f"sentence of the claim `{entry.name}`", expected, repr(name), hint)


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
        If an option names what the study does not have; if a user's own claim fails, or returns something else.
    """
    handed = {"selection": Selection.of(cube, options), "cube": cube}
    try:
        evidence: Evidence = entry.function(*(handed[name] for name in entry.parameters), **options)
    except ElasticError:
        raise
    except Exception as error:
        if not entry.is_own:
            raise
        found = error_line(error)
        raise OptionError(f"claim `{entry.name}`", "return evidence", found, "mending its function") from error
    if entry.is_own:
        _check_evidence(entry.name, evidence)
    return evidence


def _check_evidence(name: str, evidence: object) -> None:
    """Raise an OptionError unless a user's claim returned evidence by seed."""
    expected, hint = "return Evidence(effect, region, quantity)", "elastic.claims.contract.Evidence"
    if not isinstance(evidence, Evidence):
        raise OptionError(f"`{name}`", expected, type(evidence).__name__, hint)
    effect, region = evidence.effect, evidence.region
    if not isinstance(effect, xr.DataArray) or "seed" not in effect.dims:
        found = f"dims {effect.dims}" if isinstance(effect, xr.DataArray) else type(effect).__name__
        raise OptionError(f"effect of `{name}`", "be an xarray.DataArray with the dim seed", found, hint)
    if not region[0] < region[1]:
        raise OptionError(f"region of `{name}`", "be an open interval (low, high)", repr(region), "low < high")
