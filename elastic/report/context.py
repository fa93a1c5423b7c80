"""The context of a report: the contents of a study, read once and passed to every part of the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import xarray as xr

from elastic.analysis.reading import settings_of
from elastic.claims.checked import Checked
from elastic.claims.checking import check_cube
from elastic.claims.verdicts import Verdict
from elastic.display.headline import headline
from elastic.display.recorded import study_title
from elastic.errors import ElasticError
from elastic.study import RunStatus, Study
from elastic.study.claim_standing import Standing


@dataclass(frozen=True)
class Context:
    """A study as a report shows it.

    Attributes
    ----------
    name, digest, folder
        Of the study.
    recorded
        Whether it was recorded from a training loop, without a protocol.
    protocol
        The canonical protocol; for a recorded study name, title, question, cites, claims and settings.
    text
        The protocol file; for a recorded study ``protocol`` as YAML.
    axes
        Values along each axis, including ``seed``.
    provenance
        Versions, commit and machine.
    cube
        Cube from `elastic.study.Study.cube`; runs may be unfinished.
    runs
        State of each run.
    reports
        Report of each run at its end, in the order of ``runs``; empty for unfinished runs.
    verdicts
        Verdicts on the study's claims.
    unchecked
        Why the claims could not be checked; "" if they were, or there are none.
    standing
        When the claims were registered; None if there are none or they could not be checked.
    notes
        Of `elastic.study.Study.notes`: runs whose folder is gone, copies of runs.
    """

    name: str
    digest: str
    folder: Path
    recorded: bool
    protocol: Mapping[str, Any]
    text: str
    axes: Mapping[str, Sequence[Any]]
    provenance: Mapping[str, Any]
    cube: xr.DataTree
    runs: tuple[RunStatus, ...]
    reports: tuple[Mapping[str, Any], ...]
    verdicts: tuple[Verdict, ...]
    unchecked: str
    standing: Standing | None = None
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The title of the study, or its name if it has none."""
        return study_title(self.protocol)

    @property
    def place(self) -> str:
        """The study's folder in commands: the folder that `elastic run` writes, or the name of a recorded study."""
        return self.folder.resolve().name if self.recorded else f"results/{self.name}"

    @cached_property
    def settings(self) -> tuple[Mapping[str, Any], ...]:
        """All combinations of the axes except the seed; one empty combination if there are no other axes."""
        return tuple(settings_of(self.cube))

    @cached_property
    def headline(self) -> pd.DataFrame:
        """The headline of the cube; see `elastic.display.headline.headline`."""
        return headline(self.cube)

    @cached_property
    def states(self) -> Mapping[str, int]:
        """Number of runs in each state."""
        return Counter(run.state for run in self.runs)

    @property
    def under_way(self) -> bool:
        """Whether a run has not ended."""
        return not all(run.ended for run in self.runs)


def read_context(study: Study) -> Context:
    """Read the context of a study, finished or not; opens the cube and checks the claims once.

    Raises
    ------
    ElasticError
        If the study cannot be read. Claims that cannot be checked do not raise: ``unchecked`` holds the reason.
    """
    cube, runs = study.cube, tuple(study.runs())
    checked, unchecked = _checked(study, cube, runs)
    return Context(
        name=study.name,
        digest=study.digest,
        folder=study.folder,
        recorded=study.recorded,
        protocol=study.facts["protocol"],
        text=study.facts["text"],
        axes=study.facts["axes"],
        provenance=study.facts["provenance"],
        cube=cube,
        runs=runs,
        reports=tuple(study.run_report(run.cell) for run in runs),
        verdicts=checked.verdicts if checked else (),
        unchecked=unchecked,
        standing=checked.standing if checked else None,
        notes=checked.notes if checked else tuple(study.notes(study.seal_state(runs))),
    )


def _checked(study: Study, cube: xr.DataTree, runs: Sequence[RunStatus]) -> tuple[Checked | None, str]:
    """Return the claims of a study, checked, or None and why they are not; "" if there are none."""
    if not study.facts["protocol"].get("claims"):
        return None, ""
    try:
        return check_cube(study, cube, runs=runs), ""
    except ElasticError as error:
        return None, f"The claims could not be checked: {error}"
