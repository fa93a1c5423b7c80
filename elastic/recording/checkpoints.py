"""Recording the checkpoints of a finished training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from elastic.errors import ElasticError, ModelError, StudyError
from elastic.recording.recorder import Recorder
from elastic.recording.restoring import Load, restore
from elastic.study import Study, open_study


def record_checkpoints(
    folder: str | os.PathLike[str],
    build: Callable[[], nn.Module],
    checkpoints: Mapping[float, str | os.PathLike[str]],
    *,
    load: Load | None = None,
    **recorder_arguments: Any,
) -> Study:
    """Record the checkpoints of a finished training; values are bit-identical to those of a live Recorder.

    A checkpoint that is unreadable or of another model raises a warning; the others are recorded.

    Parameters
    ----------
    folder
        Folder of the study.
    build
        Function that returns the model on the device for measuring; called once.
    checkpoints
        Path of each epoch's checkpoint.
    load
        Function from a path to the state that ``load_state_dict`` takes. By default files ending in ``.safetensors``
        are read by that library and others by ``torch.load(weights_only=True)``; of a larger mapping the entry
        "state_dict", "model_state_dict" or "model" is used.
    **recorder_arguments
        Arguments of `elastic.Recorder`. Every checkpoint is probed unless ``probes["at"]`` is given.

    Returns
    -------
    Study
        The study, with a sealed cube.

    Raises
    ------
    ElasticError
        StudyError if there is no checkpoint, or none can be recorded; all errors of the Recorder.

    Examples
    --------
    >>> import tempfile, torch
    >>> place, net = Path(tempfile.mkdtemp()), nn.Linear(2, 2)
    >>> for epoch in (0, 10):
    ...     torch.save(net.state_dict(), place / f"{epoch}.pt")
    >>> x, y = torch.eye(2).repeat(3, 1), torch.arange(6) % 2
    >>> paths = {epoch: place / f"{epoch}.pt" for epoch in (0, 10)}
    >>> study = record_checkpoints(place / "study", lambda: nn.Linear(2, 2), paths, layers=[], train=(x, y))
    >>> study.cube["collapse"]["epoch"].values.tolist()
    [0, 10]
    """
    paths = _checked(checkpoints)
    if isinstance(build, nn.Module) or not callable(build):
        expected = "be a function that returns the network"
        raise ModelError("`build`", expected, f"a {type(build).__name__}", "build=lambda: network")
    model = build()
    if not isinstance(model, nn.Module):
        raise ModelError("`build`", "return an nn.Module", type(model).__name__, "a function that makes the network")
    probes = {"at": list(paths), **(recorder_arguments.pop("probes", None) or {})}
    failed: list[ElasticError] = []
    with Recorder(folder, model, probes=probes, **recorder_arguments) as recorder:
        for epoch, path in paths.items():
            try:
                restore(model, path, load)
            except ElasticError as error:
                failed.append(error)
                warnings.warn(f"epoch {epoch:g} is not recorded: {error}", stacklevel=2)
                continue
            recorder.record(epoch)
    if len(failed) == len(paths):
        raise failed[0]
    return open_study(Path(folder))


def _checked(checkpoints: Mapping[float, str | os.PathLike[str]]) -> dict[float, Path]:
    """Sort the paths by epoch."""
    if not isinstance(checkpoints, Mapping) or not checkpoints:
        found = type(checkpoints).__name__ if not isinstance(checkpoints, Mapping) else "none"
        raise StudyError("`checkpoints`", "be a mapping from epochs to paths", found, '{0: "0.pt", 10: "10.pt"}')
    for epoch in checkpoints:
        if isinstance(epoch, bool) or not isinstance(epoch, int | float):
            raise StudyError("`checkpoints`", "have epochs for keys", repr(epoch), '{0: "0.pt", 10: "10.pt"}')
    return {epoch: Path(checkpoints[epoch]) for epoch in sorted(checkpoints)}
