"""Modules allowed by ``--allow``, with an additional folder to search each in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Allowed(str):
    """The name of a module whose code may be imported, and an additional folder to search it in.

    A subclass of `str`, so that the folder travels with the name to workers and schedulers.

    Examples
    --------
    >>> Allowed("mynet", Path("/studies")) == "mynet", Allowed("mynet", Path("/studies")).folder
    (True, PosixPath('/studies'))
    """

    folder: Path

    def __new__(cls, name: str, folder: Path) -> Allowed:
        """Return the name, with a folder."""
        text = super().__new__(cls, name)
        text.folder = folder
        return text

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Return the arguments of `__new__` for unpickling."""
        return str(self), self.folder


def is_allowed(module: str, allow: Iterable[str]) -> bool:
    """Return whether a module, or a package that contains it, is among the allowed ones.

    >>> is_allowed("nets.wide", ["nets"]), is_allowed("nets2", ["nets"]), is_allowed("", [""])
    (True, False, False)
    """
    return bool(module) and any(module == name or module.startswith(f"{name}.") for name in allow)


def allow_beside(modules: Iterable[str], folder: Path | None) -> tuple[str, ...]:
    """Return allowed modules that are also searched in a folder; None: only in Python's search path."""
    given = (modules,) if isinstance(modules, str) else tuple(modules)
    return given if folder is None else tuple(Allowed(name, folder.absolute()) for name in given)
