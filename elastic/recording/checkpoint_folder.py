"""Recording the checkpoints in a folder by their file names, as ``elastic record`` does."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elastic.errors import ElasticError, ModelError, StudyError, first_line
from elastic.models.external import resolve
from elastic.models.own_modules import folder_of, own_modules
from elastic.protocol.allowed import allow_beside
from elastic.recording.checkpoints import record_checkpoints
from elastic.recording.recorder import Recorder
from elastic.registry import nearest
from elastic.study import Study


def checkpoints_in(folder: Path) -> dict[float, Path]:
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
    >>> [(epoch, path.name) for epoch, path in checkpoints_in(place).items()]
    [(0.5, 'net_v2_epoch0.5.pt'), (10, 'net_v2_epoch10.pt')]
    """
    listed = folder.iterdir() if folder.is_dir() else ()
    files = sorted(path for path in listed if path.is_file() and not path.name.startswith("."))
    if not files:
        raise StudyError("`CHECKPOINTS`", "be a folder of checkpoints", "no files", "its path", place=str(folder))
    by_epoch: dict[float, Path] = {}
    for path in files:
        numbers = re.findall(r"\d+(?:\.\d+)?", path.stem)
        hint = "names such as epoch_10.pt, or elastic.record_checkpoints, which takes {epoch: path}"
        if not numbers:
            raise StudyError("the checkpoint", "have its epoch in its name", path.name, hint, place=str(path))
        epoch = float(numbers[-1]) if "." in numbers[-1] else int(numbers[-1])
        if epoch in by_epoch:
            raise StudyError("the checkpoint", f"be the only one of epoch {epoch:g}", path.name, hint, place=str(path))
        by_epoch[epoch] = path
    return dict(sorted(by_epoch.items()))


def record_folder(checkpoints: Path, out: Path, target: str, allow: Sequence[str]) -> tuple[Study, list[str]]:
    """Record a folder of checkpoints with a builder of an allowed module, as ``elastic record`` does.

    Parameters
    ----------
    checkpoints
        Folder, see `checkpoints_in`.
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
    paths = checkpoints_in(checkpoints)
    allowed = allow_beside(allow, Path.cwd())
    with own_modules(folder_of(allowed)):
        given = _given_by(target, resolve(target, allowed))
    arguments = _arguments_of(target, given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        study = record_checkpoints(out, lambda: given["model"], paths, **arguments)
    return study, [str(one.message) for one in caught if "is not recorded" in str(one.message)]


def _given_by(target: str, builder: Callable[[], Any]) -> Any:
    """Return what a builder returns; raise a ModelError for any exception of its own."""
    try:
        return builder()
    except ElasticError:
        raise
    except Exception as error:
        hint = "calling it in Python, which shows where"
        raise ModelError(f"`{target}`", "run without an exception", first_line(error), hint) from error


def _arguments_of(target: str, given: Any) -> dict[str, Any]:
    """Return the arguments of the Recorder among what a builder returned, which has a model too."""
    if not isinstance(given, Mapping) or "model" not in given or "train" not in given:
        hint = 'return {"model": net, "train": (x, y), "layers": […]}'
        raise ModelError(f"`{target}`", "return a mapping with model and train", type(given).__name__, hint)
    arguments = {str(name): value for name, value in given.items() if name != "model"}
    if unknown := sorted(arguments.keys() - inspect.signature(Recorder).parameters.keys()):
        known = list(inspect.signature(Recorder).parameters)
        hint = nearest(unknown[0], known, fallback="the arguments of elastic.Recorder")
        raise ModelError(f"`{target}`", "return arguments of elastic.Recorder", repr(unknown[0]), hint)
    return arguments
