"""The callback that each trainer's callback is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from elastic.errors import ElasticError
from elastic.integrations.training_run import TrainingRun
from elastic.runs.recorder import Recorded


def missing(package: str, error: ImportError) -> ElasticError:
    """Return the error of a package that is not installed, which is the name of its extra."""
    found, hint = str(error), f"pip install 'elastic-collapse[{package}]'"
    return ElasticError(f"`elastic.integrations.{package}`", f"find {package} installed", found, hint)


class RecordingCallback:
    """Records every epoch of a trainer into a study, as `elastic.Recorder` does in a loop of one's own.

    Epoch 0 is recorded before the first step, the last epoch with the probes. The learning rate of an epoch's last step
    is recorded as ``lr``, unless a coordinate has that name. A training that is resumed continues its run: what it
    repeats must come out the same, else NotReproduced is raised and the records are kept.

    Parameters
    ----------
    folder
        Folder of the study.
    logged
        Metrics of the trainer that are recorded as well: {name in the cube: name in the trainer}.
    on_record
        Called with what `elastic.Recorder.record` returns: ``lambda r: wandb.log({"epoch": r.epoch, **r.scores})``.
    **recorder_arguments
        As `elastic.Recorder` takes them, without ``model``. ``epochs`` are the trainer's unless they are given; the
        ``loss`` is not. ``restart`` replaces a run where training begins, and not one that it resumes.

    Raises
    ------
    ElasticError
        For mistakes in the arguments here; what depends on the model is told when training begins.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        logged: Mapping[str, str] | None = None,
        on_record: Callable[[Recorded], Any] | None = None,
        **recorder_arguments: Any,
    ) -> None:
        self._run = TrainingRun(folder, recorder_arguments, logged, on_record)
