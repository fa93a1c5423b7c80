"""Base class of the callbacks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from elastic.errors import ElasticError
from elastic.integrations.training_run import TrainingRun
from elastic.runs.recorder import Recorded


def missing(package: str, error: ImportError) -> ElasticError:
    """Return the error for a missing package, whose extra has the same name."""
    found, hint = str(error), f"pip install 'elastic-collapse[{package}]'"
    return ElasticError(f"`elastic.integrations.{package}`", f"find {package} installed", found, hint)


class RecordingCallback:
    """Records every epoch of a trainer into a study with an `elastic.Recorder`.

    Epoch 0 is recorded before the first step; the last epoch is always probed. The learning rate of an epoch's last
    step is recorded as ``lr``, unless a coordinate has that name. A resumed training continues its run: repeated epochs
    must give identical values, otherwise NotReproduced is raised and the records are kept.

    Parameters
    ----------
    folder
        Folder of the study.
    logged
        Metrics of the trainer to record: {name in the cube: name in the trainer}.
    on_record
        Called with the return value of `elastic.Recorder.record`, such as
        ``lambda r: wandb.log({"epoch": r.epoch, **r.scores})``.
    **recorder_arguments
        Arguments of `elastic.Recorder` except ``model``. ``epochs`` defaults to the trainer's; ``loss`` does not.
        ``restart`` replaces a run when training starts, not when it resumes.

    Raises
    ------
    ElasticError
        For invalid arguments; those that depend on the model are checked when training starts.
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
