"""The run of a Recorder while it is being recorded: one process owns its folder and keeps its status.json."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from elastic.checkpoint import ARITHMETIC, PROBE_ARITHMETIC
from elastic.cube import remove_seal, run_lock, write_report
from elastic.cube.coordinates import Scalar
from elastic.cube.report_file import UNDER_WAY
from elastic.errors import StudyError
from elastic.recording.membership import arithmetic_of, describe, discard, is_recorded


class OwnedRun:
    """A run that this process owns until `release`.

    Parameters
    ----------
    study, folder
        Folders of the study and of the run.
    epochs
        The last epoch; None if it is not known.

    Attributes
    ----------
    arithmetic
        The arithmetic of probes that the run started with.

    Raises
    ------
    RunBusy
        If another process owns the run.
    """

    def __init__(self, study: Path, folder: Path, epochs: int | None) -> None:
        self.study, self.folder, self.epochs = study, folder, epochs
        self.arithmetic = PROBE_ARITHMETIC
        self._is_under_way = False
        self._process = os.getpid()
        self._lock = ExitStack()
        self._lock.enter_context(run_lock(folder))

    def begin(self, coordinates: Mapping[str, Scalar], settings: Mapping[str, Any], *, restart: bool) -> None:
        """Describe the run in its folder, without the records of an earlier one unless they are to be continued."""
        if restart or not is_recorded(self.folder):
            discard(self.study, self.folder)
        self.arithmetic = arithmetic_of(self.folder)
        describe(self.study, self.folder, coordinates, settings)

    @property
    def rounded(self) -> bool:
        """Whether earlier records may differ from today's by rounding, as those of another arithmetic."""
        return self.arithmetic != PROBE_ARITHMETIC

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that owns the run."""
        return self._process != os.getpid()

    def check_process(self) -> None:
        """Raise in a fork of the process that owns the run.

        Raises
        ------
        StudyError
            In a fork.
        """
        if self.is_forked:
            found = f"process {os.getpid()}, a fork of it"
            hint = "a Recorder made in the new process, with other coordinates"
            raise StudyError("the Recorder", f"be used in process {self._process}, which made it", found, hint)

    def before_new_record(self) -> None:
        """Take back what does not include a new record: the report of an earlier Recorder and the sealed cube."""
        if not self._is_under_way:
            write_report(self.folder, {"status": UNDER_WAY, "epochs": self.epochs, ARITHMETIC: self.arithmetic})
            self._is_under_way = True
        remove_seal(self.study)

    def release(self, *, discarding: bool = False) -> None:
        """Leave the run to other processes; ``discarding`` removes it first."""
        if discarding:
            discard(self.study, self.folder)
        self._lock.close()
