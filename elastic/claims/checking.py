"""Check the claims of a study, or of another protocol, on its cube. Nothing is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from elastic._version import __version__
from elastic.claims.contract import evidence_of, stated
from elastic.claims.decision import LEVEL, REFUTED
from elastic.claims.verdicts import Verdict, findings, together, unmeasured
from elastic.cube import write_atomically
from elastic.cube.checked_files import encode_json
from elastic.display import claims_html
from elastic.errors import NotMeasured, OptionError, UnknownName
from elastic.protocol import Component, load_claims
from elastic.protocol.later_components import options_of
from elastic.registry import registry
from elastic.study import FACTS, Study, open_study
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
    """

    study: str
    digest: str
    verdicts: tuple[Verdict, ...]
    level: float = LEVEL

    @property
    def refuted(self) -> bool:
        """Whether a claim is refuted."""
        return any(verdict.verdict == REFUTED for verdict in self.verdicts)

    def __repr__(self) -> str:
        counts = Counter(verdict.verdict for verdict in self.verdicts)
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), reverse=True))
        return f"<Checked {self.study!r}: {told or 'nothing claimed'}>"

    def _repr_html_(self) -> str:
        return claims_html(self.to_json()["claims"], "the study claims nothing")

    def to_json(self) -> dict[str, Any]:
        """Return what claims.json holds, as plain data."""
        return {
            "study": self.study,
            "digest": self.digest,
            "level": self.level,
            "elastic_version": __version__,
            "claims": [verdict.to_json() for verdict in self.verdicts],
        }


def check(study: Study | Path | str, *, claims: Path | str | None = None) -> Checked:
    """Check claims on a study's cube.

    Parameters
    ----------
    study
        A study, its folder or its name.
    claims
        A protocol file whose claims are checked; the rest of it is ignored. By default the study's own claims are
        checked, and their verdicts are written to its ``claims.json``.

    Raises
    ------
    ElasticError
        If the study or the file cannot be read, or a claim is not valid (an unknown claim, variable or axis). A claim
        that needs what the cube does not have is inconclusive.
    """
    study = study if isinstance(study, Study) else open_study(study)
    return check_cube(study, study.cube, claims=claims)


def check_cube(study: Study, cube: xr.DataTree, *, claims: Path | str | None = None) -> Checked:
    """Hold the cube of a study, which the caller has already read, against claims; otherwise as `check`."""
    asked = study.claims if claims is None else load_claims(claims)
    try:
        verdicts = verdicts_on(cube, asked)
    except (UnknownName, OptionError) as error:
        if claims is not None:
            raise
        raise of_its_release(error, study.facts["provenance"], study.folder / FACTS) from None
    checked = Checked(study.name, study.digest, verdicts)
    if claims is None and asked:
        write_checked(study.folder / CLAIMS, checked)
    return checked


def verdicts_on(cube: xr.DataTree, asked: Sequence[Component]) -> tuple[Verdict, ...]:
    """Return the verdict on each claim, in the order given."""
    return tuple(verdict_on(cube, component.name, options_of("claims", component)) for component in asked)


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
        evidence = evidence_of(entry, cube, options)
        quantity, found = evidence.quantity, findings(evidence)
    except NotMeasured as error:
        quantity, found = "", (unmeasured(str(error)),)
    verdict = together([finding.verdict for finding in found])
    source = str(options.get("source", entry.facts.source))  # a claim of a general form has the source as an option
    return Verdict(name, stated(entry, options), source, quantity, options, verdict, found)


def write_checked(path: Path, checked: Checked) -> None:
    """Write verdicts, with a checksum, unless the file holds them: a study in a read-only folder can be checked."""
    data = encode_json(checked.to_json())
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)
