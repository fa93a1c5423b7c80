"""Recording the checkpoints of a finished training."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ElasticError, ModelError, StudyError
from elastic.models.dry_run import first_line
from elastic.models.external import resolve
from elastic.models.own_modules import folder_of, own_modules
from elastic.models.wrappers import inside, unwrapped
from elastic.protocol.allowed import allow_beside
from elastic.recording.recorder import Recorder
from elastic.registry import nearest
from elastic.study import Study, open_study

#: Keys of the model's weights in the checkpoints of common frameworks.
STATES = ("state_dict", "model_state_dict", "model")

Load = Callable[[Path], Mapping[str, Any]]


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
    >>> import tempfile
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


def restore(model: nn.Module, path: Path, load: Load | None = None) -> None:
    """Load a checkpoint into a model; wrappers of either are removed.

    Raises
    ------
    StudyError
        If the file is missing, damaged, or of another model.
    """
    hint = "the checkpoint's own file and model, or load=… for a form of your own"
    try:
        state = weights_of((load or read_state)(path))
    except ElasticError:
        raise
    except Exception as error:  # torch.load raises all kinds of exceptions for a damaged file, and `load` is the user's
        raise StudyError("the checkpoint", "be readable", first_line(error), hint, place=str(path)) from error
    try:
        _load(unwrapped(model), state)
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        found = " ".join(str(error).split())[:200]
        raise StudyError("the checkpoint", "be of this model", found, hint, place=str(path)) from None


def _load(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Load a state in which a name of a tied weight may be missing, because safetensors omits duplicates."""
    tensors = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    stored = {id(tensors[name]): value for name, value in state.items() if name in tensors}
    absent = {name: id(tensor) for name, tensor in tensors.items() if name not in state}
    model.load_state_dict({**state, **{name: stored[tensor] for name, tensor in absent.items() if tensor in stored}})


def read_state(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint file without executing code in it.

    Raises
    ------
    StudyError
        If reading the file requires executing code, or a library that is not installed.
    """
    if path.suffix == ".safetensors":
        try:
            library = importlib.import_module("safetensors.torch")
        except ImportError:
            hint = "pip install safetensors"
            raise StudyError("the checkpoint", "be readable", "no package safetensors", hint, place=str(path)) from None
        return dict(library.load_file(path))
    try:
        found: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        hint = "load=lambda path: torch.load(path, weights_only=False)['model'], for files that you trust"
        raise StudyError("the checkpoint", "hold tensors only", first_line(error), hint, place=str(path)) from None
    return found


def weights_of(found: Any) -> dict[str, Any]:
    """Extract the state of the model from a checkpoint and remove the prefixes of wrappers.

    >>> sorted(weights_of({"epoch": 3, "state_dict": {"module.0.weight": torch.ones(1)}}))
    ['0.weight']
    """
    if isinstance(found, nn.Module):
        found = found.state_dict()
    if not isinstance(found, Mapping):
        raise TypeError(f"{type(found).__name__} in place of a state_dict")
    states = [found[key] for key in STATES if isinstance(found.get(key), Mapping | nn.Module)]
    if states and not any(isinstance(value, Tensor) for value in found.values()):
        return weights_of(states[0])
    return {inside(str(name)): value for name, value in found.items()}


def _checked(checkpoints: Mapping[float, str | os.PathLike[str]]) -> dict[float, Path]:
    """Sort the paths by epoch."""
    if not isinstance(checkpoints, Mapping) or not checkpoints:
        found = type(checkpoints).__name__ if not isinstance(checkpoints, Mapping) else "none"
        raise StudyError("`checkpoints`", "be a mapping from epochs to paths", found, '{0: "0.pt", 10: "10.pt"}')
    for epoch in checkpoints:
        if isinstance(epoch, bool) or not isinstance(epoch, int | float):
            raise StudyError("`checkpoints`", "have epochs for keys", repr(epoch), '{0: "0.pt", 10: "10.pt"}')
    return {epoch: Path(checkpoints[epoch]) for epoch in sorted(checkpoints)}


def found_checkpoints(folder: Path) -> dict[float, Path]:
    """Return the checkpoints of a folder by epoch: the last number in the stem of each file name.

    Raises
    ------
    StudyError
        If the folder does not exist, a file has no number in its name, or two have the same number.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> for name in ("net_v2_epoch10.pt", "net_v2_epoch0.5.pt"):
    ...     _ = (place / name).write_bytes(b"")
    >>> [(epoch, path.name) for epoch, path in found_checkpoints(place).items()]
    [(0.5, 'net_v2_epoch0.5.pt'), (10, 'net_v2_epoch10.pt')]
    """
    files = (
        sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        if folder.is_dir()
        else []
    )
    if not files:
        raise StudyError("`CHECKPOINTS`", "be a folder of checkpoints", "no files", "its path", place=str(folder))
    found: dict[float, Path] = {}
    for path in files:
        numbers = re.findall(r"\d+(?:\.\d+)?", path.stem)
        hint = "names such as epoch_10.pt, or elastic.record_checkpoints, which takes {epoch: path}"
        if not numbers:
            raise StudyError("the checkpoint", "have its epoch in its name", path.name, hint, place=str(path))
        epoch = float(numbers[-1]) if "." in numbers[-1] else int(numbers[-1])
        if epoch in found:
            raise StudyError("the checkpoint", f"be the only one of epoch {epoch:g}", path.name, hint, place=str(path))
        found[epoch] = path
    return dict(sorted(found.items()))


def record_folder(checkpoints: Path, out: Path, target: str, allow: Sequence[str]) -> tuple[Study, list[str]]:
    """Record a folder of checkpoints with a builder of an allowed module, as ``elastic record`` does.

    Parameters
    ----------
    checkpoints
        Folder, see `found_checkpoints`.
    out
        Folder of the study.
    target
        ``package.module:function``. Called once without arguments, it returns a mapping with the model under "model"
        and arguments of the Recorder ("train", "layers", …).
    allow
        Modules whose code may be imported, also from the working directory.

    Returns
    -------
    study, problems
        The study, and one sentence for each checkpoint that was not recorded.

    Raises
    ------
    ElasticError
        NotAllowed; ModelError if the builder cannot be imported or returns something else; see `record_checkpoints`.
    """
    paths = found_checkpoints(checkpoints)
    allowed = allow_beside(allow, Path.cwd())
    with own_modules(folder_of(allowed)):
        given = resolve(target, allowed)()
    if not isinstance(given, Mapping) or "model" not in given or "train" not in given:
        hint = 'return {"model": net, "train": (x, y), "layers": […]}'
        raise ModelError(f"`{target}`", "return a mapping with model and train", type(given).__name__, hint)
    arguments = {str(name): value for name, value in given.items() if name != "model"}
    if unknown := sorted(arguments.keys() - inspect.signature(Recorder).parameters.keys()):
        known = list(inspect.signature(Recorder).parameters)
        hint = nearest(unknown[0], known, fallback="the arguments of elastic.Recorder")
        raise ModelError(f"`{target}`", "return arguments of elastic.Recorder", repr(unknown[0]), hint)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = record_checkpoints(out, lambda: given["model"], paths, **arguments)
    return study, [str(one.message) for one in caught if "is not recorded" in str(one.message)]
