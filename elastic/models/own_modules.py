"""Importing the user's modules from Python's search path or from the folder of the protocol."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from elastic.errors import ModelError
from elastic.protocol.allowed import Allowed

#: Folder of each top-level module that was imported from the folder of a protocol.
_IMPORTED: dict[str, Path] = {}


def folder_of(allowed: Sequence[str]) -> Path | None:
    """Return the additional folder to search for allowed modules, or None."""
    return next((name.folder for name in allowed if isinstance(name, Allowed)), None)


def import_own(module: str, folder: Path | None) -> ModuleType:
    """Import a module, also from a folder outside Python's search path.

    Parameters
    ----------
    module
        Dotted name.
    folder
        Additional folder to search; Python's search path is restored afterwards.

    Raises
    ------
    ModelError
        If the folder has a module of this name, and Python would import another one.
    """
    with own_modules(folder):
        if folder is not None:
            _refuse_clash(module.partition(".")[0], folder)
        return importlib.import_module(module)


@contextmanager
def own_modules(folder: Path | None) -> Iterator[None]:
    """Add a folder to the end of the search path for imports in the block.

    Modules imported from the folder of another protocol are unloaded, because this folder may have modules of the same
    names.
    """
    if folder is None or str(folder) in sys.path:
        yield
        return
    importlib.invalidate_caches()  # of a folder whose files are new
    _forget_others(folder)
    before = set(sys.modules)
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        _IMPORTED.update({name: folder for name in set(sys.modules) - before if _lies_in(name, folder)})


def _forget_others(folder: Path) -> None:
    for name in [name for name, place in _IMPORTED.items() if place != folder]:
        del _IMPORTED[name]
        for loaded in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            del sys.modules[loaded]


def _lies_in(name: str, folder: Path) -> bool:
    """Return whether a loaded module is a file or package in a folder."""
    if "." in name or not (file := _file_of(getattr(sys.modules[name], "__spec__", None))):
        return False
    path = Path(file)
    return folder == (path.parent.parent if path.name == "__init__.py" else path.parent)


def _refuse_clash(name: str, folder: Path) -> None:
    """Raise a ModelError if a folder has a module of a name, and Python would import another one."""
    beside = _file_of(PathFinder.find_spec(name, [str(folder)]))
    if beside is None:
        return
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
        other = file or _file_of(getattr(sys.modules[name], "__spec__", None)) or "one of this process"
    else:
        other = _file_of(find_spec(name)) or beside
    if not _is_same(other, beside):
        hint = f"another name for {beside}, which is beside the protocol"
        raise ModelError(f"`{name}`", "name one module", f"also {other}", hint)


def _file_of(spec: ModuleSpec | None) -> str | None:
    """Return the file of a module; "built-in" and the like for those of Python that have none."""
    return spec.origin if spec is not None else None


def _is_same(path: str, other: str) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:
        return path == other
