"""Checks the claims of a study, or of another protocol, on its cube. Nothing is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from elastic._version import __version__
from elastic.claims.contract import evidence_of
from elastic.claims.decision import LEVEL, REFUTED, decide, p_value
from elastic.claims.evidence import Evidence
from elastic.claims.fault import OF_DIM, check_labels, in_words_of_claims, named_by, option_at_fault
from elastic.claims.multiplicity import holm
from elastic.claims.sentence import stated
from elastic.claims.verdicts import (
    ERROR,
    Finding,
    Verdict,
    findings,
    fragile,
    left_out,
    mistaken,
    together,
    unmeasured,
)
from elastic.cube import write_atomically
from elastic.cube.checked_files import encode_json
from elastic.display import claims_html
from elastic.errors import ElasticError, NotMeasured, OptionError, ProtocolError, UnknownName
from elastic.protocol import Component, ReadClaim, read_claims
from elastic.protocol.formatting import dotted
from elastic.protocol.later_components import options_of
from elastic.protocol.reading import Given
from elastic.registry import Entry, registry
from elastic.study import FACTS, Study, open_study
from elastic.study.claim_history import register_verdicts
from elastic.study.claim_standing import Standing, standing_of
from elastic.study.provenance import of_its_release

#: File of a study that holds the verdicts on its own claims.
CLAIMS = "claims.json"


@dataclass(frozen=True, repr=False)
class Checked:
    """The verdicts on a study's claims; a notebook shows them as a table.

    Attributes
    ----------
    study, digest
        Name and protocol digest of the study.
    verdicts
        One for each claim, in the order of the protocol.
    level
        Confidence level of the intervals.
    standing
        When the study's claims were registered; None for claims of another protocol, which are always exploratory.
    """

    study: str
    digest: str
    verdicts: tuple[Verdict, ...]
    level: float = LEVEL
    standing: Standing | None = None

    @property
    def exploratory(self) -> bool:
        """Whether the claims are not the study's own."""
        return self.standing is None

    @property
    def refuted(self) -> bool:
        """Whether a claim is refuted."""
        return any(verdict.verdict == REFUTED for verdict in self.verdicts)

    @property
    def mistaken(self) -> bool:
        """Whether a claim has an error, so that it could not be checked."""
        return any(verdict.verdict == ERROR for verdict in self.verdicts)

    def __repr__(self) -> str:
        counts = Counter(verdict.verdict for verdict in self.verdicts)
        format_value = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), reverse=True))
        return f"<Checked {self.study!r}: {format_value or 'nothing claimed'}>"

    def _repr_html_(self) -> str:
        return claims_html(self.to_json()["claims"], "the study claims nothing")

    def to_json(self) -> dict[str, Any]:
        """Return the contents of claims.json, as plain data."""
        return {
            "study": self.study,
            "digest": self.digest,
            "level": self.level,
            "elastic_version": __version__,
            "exploratory": self.exploratory,
            "standing": self.standing.to_json() if self.standing else None,
            "claims": [verdict.to_json() for verdict in self.verdicts],
        }


def check(study: Study | Path | str, *, claims: Given | None = None) -> Checked:
    """Check claims on a study's cube.

    Parameters
    ----------
    study
        A study, its folder or its name.
    claims
        A protocol (a file, a name or a dictionary) whose claims are checked; the rest of it is ignored. They are
        exploratory: there is no record that they preceded training. By default the study's own claims are checked, and
        their verdicts are written to its ``claims.json``.

    Returns
    -------
    Checked
        A verdict on each claim. A claim about something that was not measured is inconclusive; one that names what the
        study does not have (an unknown claim, variable, layer, class, epoch, split, axis or setting) has the verdict
        "error"; the others are not affected.

    Raises
    ------
    ElasticError
        If the study or the file cannot be read.
    """
    study = study if isinstance(study, Study) else open_study(study)
    return check_cube(study, study.cube, claims=claims)


def check_cube(study: Study, cube: xr.DataTree, *, claims: Given | None = None) -> Checked:
    """Check claims on the cube of a study, which the caller has already read; otherwise like `check`."""
    if claims is None:
        verdicts = verdicts_on(cube, study.claims, study=study)
        keeps = bool(study.claims) and not study.published
        if keeps:
            register_verdicts(study.folder, study.facts["protocol"]["claims"], study.facts["axes"].get("seed", ()))
        checked = Checked(study.name, study.digest, verdicts, standing=standing_of(study))
        if keeps:
            write_checked(study.folder / CLAIMS, checked)
        return checked
    read = [_weighed_read(cube, number, claim, study) for number, claim in enumerate(read_claims(claims))]
    return Checked(study.name, study.digest, judged_together(read))


def verdicts_on(cube: xr.DataTree, asked: Sequence[Component], *, study: Study | None = None) -> tuple[Verdict, ...]:
    """Return the verdict on each claim, in the given order, at its level among all of them.

    Parameters
    ----------
    cube, asked
        The cube on which the claims are checked.
    study
        The study of the claims: errors then name the release that wrote what this one does not support.
    """
    return judged_together([_weighed(cube, number, claim, study) for number, claim in enumerate(asked)])


@dataclass(frozen=True)
class Weighed:
    """A claim with its evidence, before its level is known."""

    entry: Entry
    options: dict[str, Any]
    evidence: Evidence

    def verdict(self, level: float = LEVEL, without: Mapping[Any, float] | None = None) -> Verdict:
        """Return the verdict at a level, and at the level without each seed (`elastic.claims.verdicts.findings`)."""
        found = findings(self.evidence, level, without)
        verdict = together([finding.verdict for finding in found])
        return replace(
            _verdict(self.entry, self.options, self.evidence.quantity, found),
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


def _weighed_read(cube: xr.DataTree, number: int, claim: ReadClaim, study: Study) -> Weighed | Verdict:
    """Return the evidence for a claim of a file; errors contain its location there."""
    if claim.component is None or claim.error is not None:
        assert claim.error is not None, "a claim without a component has an error"
        return mistaken(claim.name, f"The claim {claim.name}", _source(claim.name, {}), {}, claim.error)
    return _weighed(cube, number, claim.component, study, claim.place_of)


def _weighed(
    cube: xr.DataTree,
    number: int,
    claim: Component,
    study: Study | None,
    place_of: Callable[[tuple[str | int, ...]], str] | None = None,
) -> Weighed | Verdict:
    sentence = f"The claim {claim.name}"
    try:
        entry, options = registry("claims").get(claim.name), options_of("claims", claim)
        options = entry.complete(options)
    except (UnknownName, OptionError) as error:
        format_value: ElasticError = error
        if study is not None and place_of is None:
            format_value = of_its_release(error, study.facts["provenance"], study.folder / FACTS)
        return mistaken(claim.name, sentence, _source(claim.name, claim.options), claim.options, format_value)
    is_planned = study is not None and not study.recorded  # a recorded study may have other epochs later
    try:
        evidence = evidence_of(entry, cube, options)
        if is_planned:
            check_labels(entry, cube, options)
        return Weighed(entry, options, evidence)
    except (NotMeasured, OptionError) as error:
        at = option_at_fault(entry, options, error)
        if isinstance(error, OptionError) or (is_planned and at and named_by(entry, str(at[0])) in OF_DIM):
            format_value = ProtocolError(
                dotted(("claims", number, *at)),
                in_words_of_claims(error),
                error.found,
                error.hint,
                place=place_of(at) if place_of else None,
            )
            return mistaken(claim.name, stated(entry, options), _source(claim.name, options), options, format_value)
        return _verdict(entry, options, "", (unmeasured(str(error)),))


def _verdict(entry: Entry, options: dict[str, Any], quantity: str, found: tuple[Finding, ...]) -> Verdict:
    verdict = together([finding.verdict for finding in found])
    return Verdict(entry.name, stated(entry, options), _source(entry.name, options), quantity, options, verdict, found)


def _source(name: str, options: Mapping[str, Any]) -> str:
    """Return the cite key of a claim; "" for an unknown one."""
    known = registry("claims")
    return str(options.get("source") or (known.get(name).facts.source if name in known.names() else ""))


def verdict_on(cube: xr.DataTree, name: str, options: dict[str, Any]) -> Verdict:
    """Return the verdict on one claim, by its registered name.

    Raises
    ------
    UnknownName
        If there is no such claim.
    OptionError
        If an option is unknown or has no valid value.
    """
    entry = registry("claims").get(name)
    options = entry.complete(options)
    try:
        return Weighed(entry, options, evidence_of(entry, cube, options)).verdict()
    except NotMeasured as error:
        return _verdict(entry, options, "", (unmeasured(str(error)),))


def write_checked(path: Path, checked: Checked) -> None:
    """Write verdicts, with a checksum, if the file has others: a study in a read-only folder can be checked."""
    data = encode_json(checked.to_json())
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
