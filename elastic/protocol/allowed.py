"""Modules that the command line allows, and where each may be found beside the ordinary places."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


class Allowed(str):
    """The name of a module from which code may be imported, and a folder in which it may lie.

    It is a text, the name, so that whatever hands modules on hands the folder on with it: to workers, to a scheduler.

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
        """Return what a process that unpickles it hands to `__new__`."""
        return str(self), self.folder


def allow_beside(modules: Iterable[str], folder: Path | None) -> tuple[str, ...]:
    """Return allowed modules, which may lie in a folder, too; None: only where Python looks for modules."""
    given = (modules,) if isinstance(modules, str) else tuple(modules)
    return given if folder is None else tuple(Allowed(name, folder.absolute()) for name in given)
