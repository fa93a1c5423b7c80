"""`elastic reproduce`: the runs of an archive done again, and compared with what was published."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elastic._version import __version__
from elastic.cube.checked_files import write_json
from elastic.errors import Damaged
from elastic.progress import Watcher
from elastic.protocol import Cell
from elastic.publishing.archive import open_archive
from elastic.publishing.contents import CLAIMS
from elastic.publishing.rerunning import check_allowed, check_data, protocol_to_run, run_again, sample_of
from elastic.publishing.unpacking import unpack
from elastic.publishing.variable_comparison import DIFFERS, IDENTICAL, UNDECIDED, WITHIN, Compared, compare_run
from elastic.publishing.verdict_comparison import ComparedVerdict, compare_verdicts
from elastic.publishing.verification import VerifiedArchive, verify_archive
from elastic.study import Study
from elastic.study.completeness import named
from elastic.study.executors.choice import chosen

FILE = "reproduction.json"

#: Where reproductions lie unless told otherwise.
FOLDER = Path("reproduced")


@dataclass(frozen=True)
class ReproducedRun:
    """One run that was done again.

    Attributes
    ----------
    coordinates
        Where it stands in the cube.
    environment
        {name: (published, here)} of what differs; empty where bits are compared.
    variables
        How each variable compares.
    seconds
        (published, here); None where it is not known.
    """

    coordinates: Mapping[str, Any]
    environment: Mapping[str, tuple[str, str]]
    variables: tuple[Compared, ...]
    seconds: tuple[float | None, float | None]

    @property
    def counts(self) -> dict[str, int]:
        """Number of variables with each outcome."""
        words = [one.outcome for one in self.variables]
        return {word: words.count(word) for word in dict.fromkeys(sorted(words))}

    @property
    def outcome(self) -> str:
        """The worst of its variables."""
        words = {one.outcome for one in self.variables}
        return next((word for word in (DIFFERS, UNDECIDED, WITHIN, IDENTICAL) if word in words), UNDECIDED)


@dataclass(frozen=True)
class Reproduction:
    """What came of running an archive again.

    Attributes
    ----------
    study, study_digest, archive_digest
        Of what was reproduced.
    folder
        Of the study of the rerun.
    total
        Number of runs that the published study has.
    sample
        How the runs were chosen.
    data
        SHA-256 of the data, which are those of the archive.
    runs, verdicts
        How they compare.
    """

    study: str
    study_digest: str
    archive_digest: str
    folder: Path
    total: int
    sample: str
    data: tuple[str, ...]
    runs: tuple[ReproducedRun, ...]
    verdicts: tuple[ComparedVerdict, ...]

    @property
    def reproduced(self) -> bool:
        """Whether every run is identical or within tolerance, and every verdict the same."""
        same = all(run.outcome not in (DIFFERS, UNDECIDED) for run in self.runs)
        return bool(self.runs) and same and all(verdict.same for verdict in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Return what reproduction.json holds."""
        runs = [
            {
                "coordinates": dict(run.coordinates),
                "outcome": run.outcome,
                "compared": "bits" if not run.environment else "within tolerance",
                "environment": {name: list(pair) for name, pair in run.environment.items()},
                "seconds": list(run.seconds),
                "variables": [asdict(one) for one in run.variables],
            }
            for run in self.runs
        ]
        return {
            "study": self.study,
            "study_digest": self.study_digest,
            "archive_digest": self.archive_digest,
            "elastic_version": __version__,
            "reproduced": self.reproduced,
            "runs_of_the_study": self.total,
            "sample": self.sample,
            "data": list(self.data),
            "runs": runs,
            "verdicts": [{**asdict(one), "same": one.same} for one in self.verdicts],
        }


def reproduce(
    archive: Path | str,
    *,
    runs: int | None = None,
    workers: int | str | None = None,
    out: Path | str | None = None,
    data: Path | str | None = None,
    allow: Sequence[str] = (),
    watch: Watcher | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Reproduction:
    """Run an archive's study again and compare every variable of every run, and the verdicts.

    Parameters
    ----------
    archive
        A ZIP file, or the folder that it was unpacked into. It must be as it was published.
    runs
        How many runs to do again: a sample that the digest of the archive draws; by default all.
    workers
        As `elastic.run` takes it.
    out
        Folder under which the rerun's folder ``<name>`` lies, with ``reproduction.json`` in it; ``reproduced`` by
        default. A rerun that was stopped resumes.
    data
        Where the data are on this machine, for data of a folder or a file.
    allow
        Modules from which code may be imported. The archive holds none: nothing of it is executed.
    watch, tell
        Are told of progress.

    Returns
    -------
    Reproduction
        What is the same and what is not.

    Raises
    ------
    Damaged
        If the archive is not as it was published.
    NotAllowed
        If the protocol names code that is not allowed. Nothing was imported.
    DataError
        If the data are others than the published ones. Nothing was trained.
    RunFailed
        If a run failed.
    """
    way = chosen(workers)
    tell("verifying the archive")
    verified = _intact(verify_archive(archive))
    with tempfile.TemporaryDirectory(prefix="elastic-reproduce-") as temporary:
        folder = Path(temporary) / "archive"
        unpack(open_archive(archive), folder)
        if _intact(verify_archive(folder)).digest != verified.digest:  # what is run is what was verified
            raise Damaged("the archive", "stay as it is", "another one since", "again", place=str(archive))
        study = Study(folder)
        protocol = protocol_to_run(study, None if data is None else Path(data))
        check_allowed(protocol, allow)
        published = {named(run.coordinates): study.run_report(run.cell) for run in study.runs() if run.ended}
        cells = sample_of([c for c in protocol.cells if named(c.coordinates) in published], runs, verified.digest)
        tell("comparing the data")
        digests = check_data(cells, published)
        again = run_again(protocol, cells, Path(out or FOLDER), published, way, allow, watch or Watcher())
        tell("comparing the numbers")
        found = _compared(study, again, cells, published, verified, digests)
    write_json(again.folder / FILE, found.to_json())
    return found


def _intact(verified: VerifiedArchive) -> VerifiedArchive:
    if verified.damaged:
        found = "; ".join(map(str, verified.findings[:3]))
        more = f"; and {len(verified.findings) - 3} more" if len(verified.findings) > 3 else ""
        hint = "another copy of it; nothing was run"
        raise Damaged("the archive", "be as it was published", found + more, hint, place=str(verified.path))
    return verified


def _compared(
    study: Study,
    again: Study,
    cells: Sequence[Cell],
    published: Mapping[str, Mapping[str, Any]],
    verified: VerifiedArchive,
    data: Sequence[str],
) -> Reproduction:
    chosen_cells = {cell.digest for cell in cells}
    others = [cell["digest"] for cell in again.cells if cell["digest"] not in chosen_cells]
    cube, rerun = study.cube, again.assemble(leaving_out=others)
    path = study.folder / CLAIMS
    told = json.loads(path.read_bytes()).get("claims", ()) if path.exists() else ()
    whole = len(cells) == len(study.cells)
    return Reproduction(
        study=study.name,
        study_digest=study.digest,
        archive_digest=verified.digest,
        folder=again.folder,
        total=len(study.cells),
        sample="all runs" if whole else f"{len(cells)} of {len(study.cells)} runs, drawn by the digest of the archive",
        data=tuple(data),
        runs=tuple(_run(cube, rerun, cell, published, again) for cell in cells),
        verdicts=tuple(compare_verdicts(study, told, cube, rerun, [cell.coordinates for cell in cells])),
    )


def _run(cube: Any, rerun: Any, cell: Cell, published: Mapping[str, Mapping[str, Any]], again: Study) -> ReproducedRun:
    before, now = published[named(cell.coordinates)], again.run_report(cell.digest)
    different = environment_differences(before.get("environment") or {}, now.get("environment") or {})
    variables = tuple(compare_run(cube, rerun, cell.coordinates, bits=not different))
    return ReproducedRun(dict(cell.coordinates), different, variables, (_seconds(before), _seconds(now)))


def environment_differences(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return in what two environments differ on which bits depend; an unknown one differs from all.

    >>> environment_differences({"torch": "2.13.0", "threads": "1"}, {"torch": "2.13.0", "threads": "2"})
    {'threads': ('1', '2')}
    >>> environment_differences({}, {"threads": "2"})
    {'threads': ('not recorded', '2')}
    """
    told = {name: (before.get(name, "not recorded"), now.get(name, "not recorded")) for name in {**before, **now}}
    return {name: pair for name, pair in told.items() if pair[0] != pair[1]}


def _seconds(report: Mapping[str, Any]) -> float | None:
    seconds = report.get("seconds")
    return round(sum(seconds.values()), 1) if isinstance(seconds, Mapping) and seconds else None
