"""The status.json of a run, as far as it follows from the other files of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.cube import Journal, Status
from elastic.cube.report_file import LOST, UNDER_WAY
from elastic.study.recorded_contents import journal_facts
from elastic.study.verification.run_files import CHECKPOINT

#: Keys of status.json that stay valid whatever happens to the run's files.
KEPT = ("epochs", "environment", "data_digest", "engine", "seconds", "notes")


def report_of(
    folder: Path, report: Mapping[str, Any], lost: Sequence[str], *, recorded: bool, data_digest: str | None
) -> dict[str, Any]:
    """Return the new contents of a run's status.json.

    Parameters
    ----------
    folder
        Of the run; its layout and its records are intact.
    report
        Contents of an intact status.json, empty if it is damaged.
    lost
        Files of the run that cannot be rebuilt.
    recorded
        Whether a training loop recorded the run.
    data_digest
        Digest of the samples, if the sealed cube has it.
    """
    lost = list(dict.fromkeys([*report.get(LOST, ()), *lost]))
    kept = {key: report[key] for key in KEPT if key in report}
    if data_digest is not None:
        kept.setdefault("data_digest", data_digest)
    facts = {**kept, **_progress(folder, lost, recorded=recorded)}
    # A run of a protocol computes the digest of its samples when it resumes; nothing is trained then.
    if not recorded and "data_digest" not in facts:
        facts["status"] = UNDER_WAY
    return {**facts, LOST: lost} if lost else facts


def _progress(folder: Path, lost: Sequence[str], *, recorded: bool) -> dict[str, Any]:
    """Return the progress of a run by its records; whether a run to be run again has ended cannot be determined."""
    journal = Journal(folder)
    layout, epochs = journal.layout, journal.epochs()
    under_way = {"status": UNDER_WAY, **({} if layout.is_open else {"epochs": layout.epochs})}
    if not epochs or set(lost) - {CHECKPOINT} or journal.single_epochs():
        return under_way  # journals are compacted when runs end
    status = Status(int(journal.read(epochs[-1])["status"]))
    ended = {**under_way, "status": status.name.lower(), "epoch": epochs[-1]}
    return {**ended, "journal": journal_facts(folder)} if recorded else ended
