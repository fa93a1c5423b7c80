"""What a file system has left, and what a folder takes on it."""

from __future__ import annotations

import shutil
from pathlib import Path

from elastic.study.plan_in_words import in_bytes


def folder_bytes(place: Path) -> int:
    """Return the bytes that an empty folder takes where a study is, or will be, as ``du`` counts them.

    A block on ext4 and most network file systems, nothing on tmpfs and Btrfs: that of an existing folder is used.
    """
    there = _existing(place).stat()
    return min(512 * there.st_blocks, there.st_blksize)


def space_notes(place: Path, needed: int) -> list[str]:
    """Return a note if the file system of a study has less space left than its remaining runs take."""
    there = _existing(place)
    free = shutil.disk_usage(there).free
    return [] if needed <= free else [f"only {in_bytes(free)} are free in {there}: choose another disk (--out DIR)"]


def _existing(place: Path) -> Path:
    """Return the nearest folder that exists."""
    return next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
