"""Actions of a repair, by file; nothing is deleted: damaged files are moved to the folder ``damaged``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from elastic.cube import run_lock
from elastic.cube.atomic import make_folder, sync_folder, translate_os_errors
from elastic.errors import RunBusy
from elastic.study.verification import Verified
from elastic.study.verification.belonging import DAMAGED


@dataclass(frozen=True)
class Action:
    """One action, or the reason why it was not possible.

    Attributes
    ----------
    path
        Of the file, in the study's folder.
    what
        The action, or why there was none.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass
class Actions:
    """The files of a study during a repair.

    Attributes
    ----------
    folder
        Of the study.
    done
        Actions so far.
    run_again
        Whether `elastic run` has work left.
    """

    folder: Path
    done: list[Action] = field(default_factory=list)
    run_again: bool = False
    _locks: ExitStack = field(default_factory=ExitStack)
    _owned: dict[str, bool] = field(default_factory=dict)

    @contextmanager
    def owning(self) -> Iterator[None]:
        """Keep the runs that are acquired within the block until its end."""
        with self._locks:
            yield
        self._owned.clear()

    def owns(self, path: str) -> bool:
        """Return whether a file may be changed: files of a run only by the process that owns the run.

        The run is acquired, or the process that owns it is noted.
        """
        cell = self._run(path)
        if cell is None:
            return True
        if cell not in self._owned:
            try:
                self._locks.enter_context(run_lock(self.folder / "runs" / cell))
                self._owned[cell] = True
            except RunBusy as busy:
                self._owned[cell] = False
                self.say(f"runs/{cell}", f"left as it is: {busy.found} owns it")
        return self._owned[cell]

    def has_tried(self, path: str) -> bool:
        """Return whether the run of a file was to be acquired; True of files that belong to no run."""
        cell = self._run(path)
        return cell is None or cell in self._owned

    def _run(self, path: str) -> str | None:
        """Return the name of the run that a file belongs to, None if there is no such run."""
        parts = PurePosixPath(path).parts
        is_of_run = len(parts) > 1 and parts[0] == "runs" and self.folder.joinpath(*parts[:2]).is_dir()
        return parts[1] if is_of_run else None

    def say(self, path: str, what: str) -> None:
        """Note an action on a file."""
        self.done.append(Action(path, what))

    def set_aside(self, path: str, why: str = "", *, quietly: bool = False) -> Path | None:
        """Move a file, or a folder, into ``damaged`` and return its new path; None if it does not exist.

        Raises
        ------
        StudyError
            If the folder cannot be written.
        """
        source = self.folder / path
        if not source.is_symlink() and not source.exists():
            return None
        target = self._free_place(path)
        move(source, target)
        if not quietly:
            self.say(path, f"moved to {target.relative_to(self.folder).as_posix()}{f': {why}' if why else ''}")
        return target

    def keep_copy(self, path: str) -> None:
        """Copy a file or folder of the cube into ``damaged``; do nothing if it does not exist.

        It stays in the cube until it is replaced: plain xarray reads a missing chunk as NaN.

        Raises
        ------
        StudyError
            If the folder cannot be written.
        """
        source, target = self.folder / path, self._free_place(path)
        if not source.is_symlink() and not source.exists():
            return
        with translate_os_errors(target):
            make_folder(target.parent)
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, target, symlinks=True, copy_function=_linked)
            else:
                _linked(source, target)
            sync_folder(target.parent)
        self.say(path, f"copied to {target.relative_to(self.folder).as_posix()}")

    def _free_place(self, path: str) -> Path:
        """Return an unused path in ``damaged`` for a file."""
        target, number = self.folder / DAMAGED / path, 1
        while target.is_symlink() or target.exists():
            number += 1
            target = self.folder / DAMAGED / f"{path}.{number}"
        return target


def _linked(source: Path | str, target: Path | str) -> None:
    """Link a file to a second name; copy it if the file system has no links. Files of a cube are never overwritten."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def move(source: Path, target: Path) -> None:
    """Rename a file or a folder, and flush both folders to disk."""
    with translate_os_errors(target):
        make_folder(target.parent)
        source.rename(target)
        sync_folder(target.parent)
        sync_folder(source.parent)


@dataclass(frozen=True)
class Repaired:
    """Result of a repair.

    Attributes
    ----------
    actions
        Actions, in order.
    left
        The state of the study after it.
    next_step
        What is left for the user to do; "" if nothing.
    """

    actions: tuple[Action, ...]
    left: Verified
    next_step: str = ""

    def lines(self) -> list[str]:
        """Return one line per action, then what is still damaged, and what to do next."""
        still = [f"still {one}" for one in self.left.damaged]
        done = [str(one) for one in self.actions] or ["nothing to repair"]
        return [*done, *still, *([f"next: {self.next_step}"] if self.next_step else [])]

    def to_json(self) -> dict[str, Any]:
        """Return both as plain data."""
        actions = [{"path": one.path, "what": one.what} for one in self.actions]
        return {"actions": actions, "next": self.next_step, **self.left.to_json()}
