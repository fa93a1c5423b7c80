"""What a repair does, file by file; nothing is deleted: damaged files are moved into the folder ``damaged``."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elastic.cube.atomic import explained, make_folder, sync_folder
from elastic.study.verification import Verified
from elastic.study.verification.belonging import DAMAGED


@dataclass(frozen=True)
class Action:
    """One thing that was done, or could not be done.

    Attributes
    ----------
    path
        Of the file, in the study's folder.
    what
        What was done with it, or why nothing was.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


@dataclass
class Actions:
    """The files of a study while it is repaired.

    Attributes
    ----------
    folder
        Of the study.
    done
        What has been done so far.
    run_again
        Whether `elastic run` has something left to do.
    """

    folder: Path
    done: list[Action] = field(default_factory=list)
    run_again: bool = False

    def say(self, path: str, what: str) -> None:
        """Note what was done with a file."""
        self.done.append(Action(path, what))

    def set_aside(self, path: str, why: str = "", *, quietly: bool = False) -> Path | None:
        """Move a file, or a folder, into ``damaged`` and return its new path; None if it is not there.

        Raises
        ------
        StudyError
            If the folder cannot be written.
        """
        source = self.folder / path
        if not source.is_symlink() and not source.exists():
            return None
        target = self._free_place(path)
        with explained(target):
            make_folder(target.parent)
            source.rename(target)
            sync_folder(target.parent)
            sync_folder(source.parent)
        if not quietly:
            self.say(path, f"moved to {target.relative_to(self.folder).as_posix()}{f': {why}' if why else ''}")
        return target

    def keep_copy(self, path: str) -> None:
        """Copy a file or folder of the cube into ``damaged``; nothing is done if it is not there.

        It stays in the cube until another takes its place: plain xarray reads a missing chunk as NaN.

        Raises
        ------
        StudyError
            If the folder cannot be written.
        """
        source, target = self.folder / path, self._free_place(path)
        if not source.is_symlink() and not source.exists():
            return
        with explained(target):
            make_folder(target.parent)
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, target, symlinks=True, copy_function=_linked)
            else:
                _linked(source, target)
            sync_folder(target.parent)
        self.say(path, f"copied to {target.relative_to(self.folder).as_posix()}")

    def _free_place(self, path: str) -> Path:
        """Return a path in ``damaged`` for a file, where there is none yet."""
        target, number = self.folder / DAMAGED / path, 1
        while target.is_symlink() or target.exists():
            number += 1
            target = self.folder / DAMAGED / f"{path}.{number}"
        return target


def _linked(source: Path | str, target: Path | str) -> None:
    """Give a file a second name; copy it where the file system has no links. Files of a cube are never written over."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


@dataclass(frozen=True)
class Repaired:
    """How a repair went.

    Attributes
    ----------
    actions
        What was done, in order.
    left
        The state of the study after it.
    next_step
        What is left to do for the user; "" if nothing is.
    """

    actions: tuple[Action, ...]
    left: Verified
    next_step: str = ""

    def lines(self) -> list[str]:
        """Return a line an action, then what is still not as it was written, and what to do next."""
        still = [f"still {one}" for one in self.left.damaged]
        done = [str(one) for one in self.actions] or ["nothing to repair"]
        return [*done, *still, *([f"next: {self.next_step}"] if self.next_step else [])]

    def to_json(self) -> dict[str, Any]:
        """Return both as plain data."""
        actions = [{"path": one.path, "what": one.what} for one in self.actions]
        return {"actions": actions, "next": self.next_step, **self.left.to_json()}
