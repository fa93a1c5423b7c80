"""Recording of one training: the logic shared by all callbacks."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from torch import nn

from elastic.cube.names import STATUS, Status
from elastic.errors import NotReproduced
from elastic.integrations.arguments import checked_arguments, checked_names
from elastic.integrations.trained_model import check_whole, own_forward
from elastic.recording import Recorder
from elastic.recording.coordinates import checked_coordinates
from elastic.runs.recorder import Recorded

#: Hint for resumed trainings: their earlier epochs cannot be recorded any more.
RESUMED = "a checkpoint of every epoch, data and draws that a resumed training repeats, or other coordinates"

#: Open runs by folder and coordinates; releases a run whose trainer did not report its exception.
_BEGUN: WeakValueDictionary[tuple[Any, ...], TrainingRun] = WeakValueDictionary()


class TrainingRun:
    """Records each epoch when the next one starts or the training ends.

    Only then is it known whether the epoch is the last one, which is always probed, even if the trainer stops early.
    Callbacks and hooks that change weights at the end of an epoch have also run by then.

    Parameters
    ----------
    folder, arguments
        Arguments of `elastic.Recorder` except ``model``. ``restart`` replaces the run if the training starts at epoch
        0, and has no effect if it resumes.
    logged
        Metrics of the trainer to record in the group ``training``: {name in the cube: name in the trainer}.
    on_record
        Called with the return value of `elastic.Recorder.record`.

    Raises
    ------
    ElasticError
        For invalid arguments; see `elastic.integrations.arguments`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        arguments: Mapping[str, Any],
        logged: Mapping[str, str] | None,
        on_record: Callable[[Recorded], Any] | None,
    ) -> None:
        self._folder, self._arguments = folder, checked_arguments(arguments)
        self._coordinates, _ = checked_coordinates(arguments.get("coordinates"), arguments.get("seed"))
        self._logged, self._on_record = checked_names(logged, arguments, self._coordinates), on_record
        self._recorder: Recorder | None = None
        self._model: nn.Module | None = None
        self._begun: float = 0
        self._held: float | None = None
        self._rate: float | None = None

    def begin(
        self,
        model: nn.Module,
        epoch: float,
        epochs: int | None,
        *,
        wrapped: nn.Module | None = None,
        writes: bool = True,
    ) -> None:
        """Create the Recorder and record the model at the start of training, or at the epoch it resumes from.

        Parameters
        ----------
        model
            The trainer's model.
        epoch
            Epochs trained so far.
        epochs
            The last epoch of the trainer, if known; the argument ``epochs`` takes precedence.
        wrapped
            The model in the wrapper of the trainer's strategy.
        writes
            Whether this process of a distributed training records.
        """
        check_whole(model if wrapped is None else wrapped)
        if writes:
            self._begin(model, epoch, epochs)

    def _begin(self, model: nn.Module, epoch: float, epochs: int | None) -> None:
        place = (Path(str(self._folder)).absolute(), *self._coordinates.items())
        for earlier in (self, _BEGUN.get(place)):
            if earlier is not None:
                earlier.release()
        given = {**self._arguments, "restart": bool(self._arguments.get("restart")) and epoch == 0}
        given["epochs"] = epochs if given.get("epochs") is None else given["epochs"]
        with own_forward(model):
            self._recorder = Recorder(self._folder, model, **given)
        self._model, self._begun, _BEGUN[place] = model, epoch, self
        # A fractional epoch has a record only if an earlier training ended there.
        if epoch == int(epoch) or epoch in self._recorder.journal.epochs():
            self._record(epoch, None, {})

    def step(self, optimizer: Any) -> None:
        """Store the learning rate of the first parameter group for the step about to be taken."""
        self._rate = None if optimizer is None else float(optimizer.param_groups[0]["lr"])

    def hold(self, epoch: float) -> None:
        """Register an epoch that has ended; `flush` records it."""
        if self._recorder is not None:
            self._held = epoch

    def flush(self, metrics: Callable[[str], Any], *, last: bool = False) -> None:
        """Record the registered epoch, if there is one.

        Parameters
        ----------
        metrics
            Returns a metric of the trainer by name, None if it was not logged.
        last
            Whether it is the last epoch.
        """
        if self._held is None:
            return
        epoch, self._held = self._held, None
        # A coordinate or a metric "lr" takes precedence.
        scalars = {} if "lr" in self._coordinates else {"lr": self._rate}
        scalars |= {name: metrics(key) for name, key in self._logged.items()}
        self._record(epoch, True if last else None, scalars)

    def end(self, metrics: Callable[[str], Any]) -> None:
        """Record the last epoch and close the Recorder, which seals the cube."""
        self.flush(metrics, last=True)
        recorder, self._recorder, self._model = self._recorder, None, None
        if recorder is not None:
            recorder.close()

    def release(self) -> None:
        """Release a run that stays unfinished; its records are kept."""
        recorder, self._recorder, self._model, self._held = self._recorder, None, None, None
        if recorder is not None:
            recorder.__exit__(InterruptedError, None, None)

    def _record(self, epoch: float, probe: bool | None, scalars: dict[str, Any]) -> None:
        assert self._recorder is not None
        assert self._model is not None
        journal, last = self._recorder.journal, self._recorder.last
        if last is not None and epoch <= last:
            return  # an epoch without a step
        if epoch in journal.epochs():
            # The schedule or the number of epochs may have changed since the epoch was recorded.
            probe = journal.is_probed(epoch)
            if last is None:  # resumed: a checkpoint does not hold what was logged before it
                scalars = _given(journal.read(epoch), self._recorder)
        try:
            with own_forward(self._model):
                recorded = self._recorder.record(epoch, probe=probe, **scalars)
        except NotReproduced as error:
            self.release()
            hint = RESUMED if self._begun else error.hint
            raise NotReproduced(error.field, error.expected, error.found, hint, place=error.place) from None
        except BaseException:
            self.release()
            raise
        if self._on_record is not None:
            self._on_record(recorded)


def _given(record: Mapping[str, Any], recorder: Recorder) -> dict[str, Any]:
    """Return the scalars of an existing record as arguments of `elastic.Recorder.record`."""
    values = {key.partition("/")[2]: value for key, value in record.items() if key.startswith("training/")}
    splits = tuple(recorder.subject.samples)
    given: dict[str, Any] = {name: value.item() for name, value in values.items() if not value.ndim}
    if not recorder.evaluates:
        parts = ((name, zip(splits, value, strict=True)) for name, value in values.items() if value.ndim)
        given |= {f"{split}_{name}": number.item() for name, numbers in parts for split, number in numbers}
    if record[STATUS] == Status.DIVERGED:
        return given
    return {name: number for name, number in given.items() if not math.isnan(number)}
