"""The status.json of a run, as far as it follows from the run's other files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.cube import Journal, Status
from elastic.cube.report_file import LOST, UNDER_WAY
from elastic.study.recorded import journal_facts
from elastic.study.verification.run_files import CHECKPOINT

#: What of a status.json stays true whatever happens to the run's files.
KEPT = ("epochs", "environment", "data_digest", "engine", "seconds", "notes")


def report_of(
    folder: Path, report: Mapping[str, Any], lost: Sequence[str], *, recorded: bool, data_digest: str | None
) -> dict[str, Any]:
    """Return what the status.json of a run is to say.

    Parameters
    ----------
    folder
        Of the run; its layout and its records are intact.
    report
        What an intact status.json says, nothing if it is damaged.
    lost
        Files of the run that cannot be rebuilt.
    recorded
        Whether a training loop recorded the run.
    data_digest
        Of the samples, if the sealed cube tells it.
    """
    lost = list(dict.fromkeys([*report.get(LOST, ()), *lost]))
    kept = {key: report[key] for key in KEPT if key in report}
    if data_digest is not None:
        kept.setdefault("data_digest", data_digest)
    facts = {**kept, **_progress(folder, lost, recorded=recorded)}
    # A run of a protocol finds the digest of its samples when it is taken up; nothing is trained then.
    if not recorded and "data_digest" not in facts:
        facts["status"] = UNDER_WAY
    return {**facts, LOST: lost} if lost else facts


def _progress(folder: Path, lost: Sequence[str], *, recorded: bool) -> dict[str, Any]:
    """Return how far a run is by its records; whether it has ended cannot be told of one that is to run again."""
    journal = Journal(folder)
    layout, epochs = journal.layout, journal.epochs()
    under_way = {"status": UNDER_WAY, **({} if layout.is_open else {"epochs": layout.epochs})}
    if not epochs or set(lost) - {CHECKPOINT} or journal.single_epochs():
        return under_way  # journals are compacted when runs end
    status = Status(int(journal.read(epochs[-1])["status"]))
    ended = {**under_way, "status": status.name.lower(), "epoch": epochs[-1]}
    return {**ended, "journal": journal_facts(folder)} if recorded else ended
