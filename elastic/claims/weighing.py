"""From each claim of a study to its evidence in the cube, and from all evidence together to the verdicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import xarray as xr

from elastic.claims.contract import evidence_of
from elastic.claims.decision import LEVEL, decide, p_value
from elastic.claims.evidence import Evidence
from elastic.claims.fault import OF_DIM, check_labels, in_words_of_claims, named_by, option_at_fault
from elastic.claims.multiplicity import holm
from elastic.claims.sentence import stated
from elastic.claims.verdicts import Finding, Verdict, findings, fragile, left_out, mistaken, together, unmeasured
from elastic.errors import ElasticError, NotMeasured, OptionError, ProtocolError, UnknownName
from elastic.protocol import Component, ReadClaim
from elastic.protocol.formatting import dotted
from elastic.protocol.later_components import options_of
from elastic.registry import Entry, registry
from elastic.study import FACTS, Study
from elastic.study.provenance import of_its_release


@dataclass(frozen=True)
class Weighed:
    """A claim with its evidence, before its level is known."""

    entry: Entry
    options: dict[str, Any]
    evidence: Evidence

    def verdict(self, level: float = LEVEL, without: Mapping[Any, float] | None = None) -> Verdict:
        """Return the verdict at a level, and at the level without each seed (`elastic.claims.verdicts.findings`)."""
        of_settings = findings(self.evidence, level, without)
        verdict = together([finding.verdict for finding in of_settings])
        return replace(
            verdict_of(self.entry, self.options, self.evidence.quantity, of_settings),
            estimates=self.evidence.estimand,
            level=level,
            plain=together(decide(self.evidence).ravel().tolist()),
            fragile=fragile(self.evidence, verdict, level, without),
        )


def judged_together(weighed: Sequence[Weighed | Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts on the claims of a study; those without evidence are given as verdicts.

    Without a seed all claims are judged together again: a fragile verdict changes at the levels of the study
    without that seed.
    """
    evidence = [one.evidence if isinstance(one, Weighed) else None for one in weighed]
    without = [left_out(one) if one else {} for one in evidence]
    seeds = {label for others in without for label in others}
    levels = _levels(evidence)
    left = {
        label: _levels([others.get(label, one) for others, one in zip(without, evidence, strict=True)])
        for label in seeds
    }
    return tuple(
        one.verdict(levels[place], {label: others[place] for label, others in left.items()})
        if isinstance(one, Weighed)
        else one
        for place, one in enumerate(weighed)
    )


def _levels(evidence: Sequence[Evidence | None]) -> list[float]:
    """Return the level of each claim among all that have evidence."""
    return holm([p_value(one) if one else None for one in evidence])


def weigh_read(cube: xr.DataTree, number: int, claim: ReadClaim, study: Study) -> Weighed | Verdict:
    """Return the evidence for a claim of a file; errors contain its location there."""
    if claim.component is None or claim.error is not None:
        assert claim.error is not None, "a claim without a component has an error"
        return mistaken(claim.name, f"The claim {claim.name}", _source(claim.name, {}), {}, claim.error)
    return weigh(cube, number, claim.component, study, claim.place_of)


def weigh(
    cube: xr.DataTree,
    number: int,
    claim: Component,
    study: Study | None,
    place_of: Callable[[tuple[str | int, ...]], str] | None = None,
) -> Weighed | Verdict:
    """Return the evidence for a claim, or the verdict on one that has none.

    Parameters
    ----------
    cube
        The cube on which the claim is checked.
    number
        Position of the claim among those of its protocol.
    claim
        Name and options.
    study
        The study that is checked, if any.
    place_of
        Returns the location of a path inside the claim, if it was read from a file.
    """
    sentence = f"The claim {claim.name}"
    try:
        entry, options = registry("claims").get(claim.name), options_of("claims", claim)
        options = entry.complete(options)
    except (UnknownName, OptionError) as error:
        mistake: ElasticError = error
        if study is not None and place_of is None:
            mistake = of_its_release(error, study.facts["provenance"], study.folder / FACTS)
        return mistaken(claim.name, sentence, _source(claim.name, claim.options), claim.options, mistake)
    is_planned = study is not None and not study.recorded  # a recorded study may have other epochs later
    try:
        evidence = evidence_of(entry, cube, options)
        if is_planned:
            check_labels(entry, cube, options)
        return Weighed(entry, options, evidence)
    except (NotMeasured, OptionError) as error:
        at = option_at_fault(entry, options, error)
        if isinstance(error, OptionError) or (is_planned and at and named_by(entry, str(at[0])) in OF_DIM):
            mistake = ProtocolError(
                dotted(("claims", number, *at)),
                in_words_of_claims(error),
                error.found,
                error.hint,
                place=place_of(at) if place_of else None,
            )
            return mistaken(claim.name, stated(entry, options), _source(claim.name, options), options, mistake)
        return verdict_of(entry, options, "", (unmeasured(str(error)),))


def verdict_of(entry: Entry, options: dict[str, Any], quantity: str, of_settings: tuple[Finding, ...]) -> Verdict:
    """Return the verdict on a claim from the findings at all settings."""
    verdict = together([finding.verdict for finding in of_settings])
    return Verdict(
        entry.name, stated(entry, options), _source(entry.name, options), quantity, options, verdict, of_settings
    )


def _source(name: str, options: Mapping[str, Any]) -> str:
    """Return the cite key of a claim; "" for an unknown one."""
    known = registry("claims")
    return str(options.get("source") or (known.get(name).facts.source if name in known.names() else ""))
