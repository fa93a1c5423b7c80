"""The recorder of one run: the only writer of records, for built-in and external training.

At each epoch it stores the training's scalars, evaluates loss and accuracy unless they are given, reads the probes if
the epoch is due, and appends one record to the run's journal. It needs a model and samples, no trainer.
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.cube import Journal, Layout, Status, write_layout
from elastic.cube.ownership import check_run_lock
from elastic.errors import ModelError, StudyError
from elastic.models.building import layers_on
from elastic.models.dry_run import trial
from elastic.models.modes import plain_modes
from elastic.models.preservation import preserved, state_kept
from elastic.probes.contract import Probe, Subject
from elastic.registry import registry
from elastic.runs.probe_readings import ProbeReadings
from elastic.runs.scalars import SCORES, described, is_diverged, training_values
from elastic.training import evaluate

#: Whether to probe an epoch, given the epoch and the last recorded one (None for the first).
Due = Callable[[float, float | None], bool]


@dataclass(frozen=True)
class Recorded:
    """The record of an epoch.

    Attributes
    ----------
    epoch
        Epoch as given.
    probed
        Whether the probes were read.
    diverged
        Whether a loss or the objective is not finite.
    scores
        Loss and accuracy, {"loss": {split: number}, …}; without unknown ones.
    """

    epoch: float
    probed: bool
    diverged: bool
    scores: Mapping[str, Mapping[str, float]]


class RunRecorder:
    """Records one run in its folder, which the caller owns (`elastic.cube.run_lock`).

    Parameters
    ----------
    folder
        Folder of the run.
    subject
        Model and samples to probe and evaluate; read at every record and left unchanged.
    probes
        Probes made for the subject, by registered name.
    layout
        What the run records (`elastic.runs.layouts.layout_of`).
    due
        Which epochs to probe; by default those of a planned layout.
    evaluate
        Whether to evaluate loss and accuracy of every split; otherwise they are scalars that the caller gives.
    rounded
        As in `elastic.cube.Journal`.

    Attributes
    ----------
    seconds
        Time spent, by part.
    notes
        Messages for the user; `take_notes` returns them.
    """

    def __init__(
        self,
        folder: Path,
        subject: Subject,
        probes: Mapping[str, Probe],
        layout: Layout,
        *,
        due: Due | None = None,
        evaluate: bool = True,
        rounded: bool = False,
    ) -> None:
        self.subject, self.probes, self.evaluates = subject, dict(probes), evaluate
        self.journal = Journal(folder, write_layout(folder, layout), writing=True, rounded=rounded)
        self._readings = ProbeReadings(self.probes, self.journal.layout, layout)
        self.last: float | None = None
        self._resumed = False
        # This process alone records the run, so that the existing records do not change.
        self._earlier = self.journal.epochs() if layout.is_open else []
        self.seconds: dict[str, float] = defaultdict(float)
        self.notes: list[str] = []
        self._due = due or (lambda epoch, _: self.layout.is_probed(epoch))

    @property
    def layout(self) -> Layout:
        """The layout of the run."""
        return self.journal.layout

    @property
    def engine(self) -> str:
        """Method of the probes, if there is a choice; "" otherwise."""
        return "; ".join(filter(None, (probe.engine for probe in self.probes.values())))

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the seconds of the block to the time of an activity."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - begun

    def take_notes(self) -> list[str]:
        """Return and clear the notes."""
        notes, self.notes = self.notes, []
        return notes

    def record(self, epoch: float, *, probe: bool | None = None, **scalars: Any) -> Recorded:
        """Record the current state of the model.

        Parameters
        ----------
        epoch
            Epochs trained so far; greater than the last recorded one.
        probe
            Whether to read the probes; None: if the epoch is due.
        **scalars
            Numbers of the training by name (`elastic.runs.scalars.training_values`).

        Raises
        ------
        ElasticError
            StudyError for an epoch before the last one or a scalar that is not a number; NotReproduced if the epoch was
            recorded before and differs; ModelError of the probes. Nothing is recorded then.
        """
        epoch = self._checked(epoch)
        self._check_device()
        with plain_modes():
            return self._record(epoch, probe, scalars)

    def _record(self, epoch: float, probe: bool | None, scalars: Mapping[str, Any]) -> Recorded:
        if not self._resumed:
            self.resume(epoch)
        splits = tuple(self.subject.samples)
        values = training_values(scalars, splits, evaluated=self.evaluates)
        if self.evaluates:
            with self.timed("evaluation"):
                values |= self.scores()
        diverged = is_diverged({**scalars, **_by_split(values, splits)} if self.evaluates else scalars, splits)
        before = self._before(epoch)
        probed = not diverged and (self._due(epoch, before) if probe is None else probe)
        record: dict[str, Any] = {f"training/{name}": value for name, value in values.items()}
        if diverged:
            record["status"] = Status.DIVERGED
        if probed:
            record |= self._probe(epoch)
        self._append(epoch, record)
        self.last = epoch
        return Recorded(epoch, probed, diverged, _by_split(values, splits))

    def scores(self) -> dict[str, list[float]]:
        """Return loss and accuracy of the model on every split, in evaluation mode."""
        with trial(self.subject.model):
            by_split = [evaluate(self.subject.model, self.subject.loss, part) for part in self.subject.samples.values()]
        return {name: [scores[number] for scores in by_split] for number, name in enumerate(SCORES)}

    def _checked(self, epoch: float) -> float:
        """Return an epoch as a Python number, an integer if possible."""
        number = epoch
        if hasattr(epoch, "item"):
            with suppress(ValueError, RuntimeError):  # of several numbers: refused below
                number = epoch.item()
        if (
            isinstance(number, bool)
            or not isinstance(number, int | float)
            or not (math.isfinite(number) and number >= 0)
        ):
            raise StudyError("`epoch`", "be a finite number that is not negative", repr(epoch), "0, 1, 2, …, or 0.5")
        if number > 2**53:
            raise StudyError("`epoch`", "be at most 2**53, up to which float64 holds all", repr(epoch), "0, 1, 2, …")
        if self.last is not None and number <= self.last:
            hint = "increasing epochs within one Recorder; a new Recorder may replay them"
            raise StudyError("`epoch`", f"be above {self.last:g}, the last one recorded", f"{number:g}", hint)
        return int(number) if number == int(number) else number

    def _before(self, epoch: float) -> float | None:
        """Return the last epoch recorded before this one, by this process or an earlier one."""
        place = bisect_left(self._earlier, epoch)
        earlier = self._earlier[place - 1 : place]
        return max([*earlier, *([] if self.last is None else [self.last])], default=None)

    def _probe(self, epoch: float) -> dict[str, Any]:
        if self.layout.is_open:
            self._check_widths()
        has_records = self._before(epoch) is not None
        record: dict[str, Any] = {}
        with state_kept(self.subject.model):  # which every probe saves, more than once
            for name in self.probes:
                with self.timed(f"{name} probes"), self._as_before(name):
                    record |= self._readings.read(name, epoch, may_be_frozen=self.layout.is_open and has_records)
        self.notes += self._readings.take_notes()
        return self._readings.as_begun(record)

    def _as_before(self, name: str) -> AbstractContextManager[object]:
        """Return a block that restores the model after a user's probe; those of elastic do it without a copy."""
        return preserved(self.subject.model) if registry("probes").get(name).is_own else nullcontext()

    def resume(self, epoch: float) -> None:
        """Continue at an epoch: read the journal once, and pass the earlier records to the probes.

        Raises
        ------
        Damaged
            If a record is damaged, or belongs to another run or epoch: the run cannot continue.
        """
        self._resumed = True
        for _ in self.journal.blocks():
            pass
        earlier = [known for known in self.journal.epochs() if known < epoch and self.journal.is_probed(known)]
        records = [self.journal.read(known) for known in earlier]
        self._readings.resume(records)

    def _check_device(self) -> None:
        device = self.subject.samples["train"].labels.device
        found = {parameter.device for parameter in self.subject.model.parameters()} - {device}
        if found:
            expected = f"stay on {device}, where it was when the Recorder was made"
            hint = f"model.to({str(device)!r}) before record(), or a Recorder made after the move"
            raise ModelError("`model`", expected, str(sorted(map(str, found))[0]), hint)

    def _check_widths(self) -> None:
        layers = layers_on(self.subject.model, self.subject.samples["train"].inputs[:2])
        for known, now in zip(self.layout.layers, layers, strict=True):
            if tuple(known) != tuple(now):
                expected = f"have {known[2]} features, as in the run's first record"
                raise ModelError(
                    f"layer `{known[0]}`", expected, f"{now.width}", "a run of its own, with other coordinates"
                )

    def _append(self, epoch: float, record: Mapping[str, Any]) -> None:
        check_run_lock(self.journal.run_folder)
        if self.layout.is_open:
            known = {variable.key for variable in self.layout.variables}
            new = [key.partition("/")[2] for key in record if key not in known and key.startswith("training/")]
            if new:
                self.journal.extend([described(name) for name in new])
        with self.timed("writing"):
            self.journal.append(epoch, record)


def _by_split(values: Mapping[str, Any], splits: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {name: dict(zip(splits, values[name], strict=True)) for name in SCORES if name in values}
