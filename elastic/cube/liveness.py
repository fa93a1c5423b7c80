"""Whether the owners of locks are alive, for readers: nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from elastic.cube.heartbeat import BEAT, STALE
from elastic.cube.lock_file import Marker, Markers
from elastic.cube.system_lock import is_flocked


def are_alive(paths: Sequence[Path]) -> list[bool]:
    """Return for each lock whether a running process, which may be this one, holds it.

    Where files that hold a lock have not been touched for long, it takes a second and a half, for all of them together,
    to see whether they still are: clocks of machines may differ.
    """
    lives = [_life(path) for path in paths]
    if any(isinstance(life, set) for life in lives):
        time.sleep(1.5 * BEAT)
    return [_is_touched(path, life) if isinstance(life, set) else life for path, life in zip(paths, lives, strict=True)]


def is_alive(path: Path) -> bool:
    """Return whether a running process, which may be this one, holds a lock; see `are_alive`."""
    return are_alive([path])[0]


def is_held_elsewhere(path: Path) -> bool:
    """Return whether a running process other than this one holds a lock."""
    return any(not (one.owner and one.owner.is_this_process) for one in _scan(path)) and is_alive(path)


def _life(path: Path) -> bool | set[Marker]:
    """Return whether the owner of a lock lives, or the markers that have to be watched to see it."""
    markers, unknown = Markers(path), set[Marker]()
    for marker in _scan(path):
        life = _life_of(markers, marker)
        if life is True:
            return True
        if life is None:
            unknown.add(marker)
    return unknown or False


def _life_of(markers: Markers, marker: Marker) -> bool | None:
    if marker.owner and marker.owner.flock and not marker.owner.is_here:
        return is_flocked(markers.path) is not False
    look = markers.look(marker, flock=False)
    return True if look is None and abs(time.time() - marker.changed / 1e9) < STALE else look


def _is_touched(path: Path, before: set[Marker]) -> bool:
    changed = {marker.identity: marker.changed for marker in before}
    return any(one.changed != changed.get(one.identity, one.changed) for one in _scan(path))


def _scan(path: Path) -> list[Marker]:
    try:
        return Markers(path).scan()
    except (FileNotFoundError, NotADirectoryError):  # no run, or removed by another process
        return []
