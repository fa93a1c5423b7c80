"""Acquiring locks: that of the system if available, and always a marker file; waiting for another owner or raising."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elastic.cube.atomic import make_folder, translate_os_errors
from elastic.cube.heartbeat import HEARTBEAT, STALE
from elastic.cube.lock_file import Marker, Markers, withdraw
from elastic.cube.owner import Owner, this_process
from elastic.cube.system_lock import Kept, drop, try_flock
from elastic.cube.waiting import Wait
from elastic.errors import RunBusy, StudyError

#: Seconds after which a lock that seems to be held is tried again: a reader may have tested it (`is_flocked`).
INSTANT = 0.01


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds."""

    markers: Markers
    marker: Path
    owner: Owner
    kept: Kept | None

    def check(self) -> None:
        """Raise a StudyError if another process has taken over the lock, because this one had no heartbeat for long.

        Called before every commit under a lock; a lock held by the system is never lost.
        """
        if self.kept is not None:
            return
        markers = self.markers.scan()
        if not markers or markers[-1].content != self.owner.to_bytes():
            by = f"taken over by {_named(markers[-1])}" if markers else "its file removed"
            hint = "running again: what was committed before is kept"
            expected = f"be kept by a touch of its file every second ({STALE:.0f} s without one lose it)"
            raise StudyError("the lock", expected, by, hint, place=str(self.markers.path))

    def release(self) -> None:
        """Release the lock, except in a forked child of the owner."""
        if self.owner.is_this_process:
            HEARTBEAT.stop(self.marker)
            withdraw(self.marker, self.owner)
            drop(self.kept)


@dataclass(frozen=True)
class Held:
    """Result of an attempt: the holder of the lock, and whether it is known to be alive (if not: try again)."""

    by: str
    live: bool
    hint: str = ""


@contextlib.contextmanager
def holding(path: Path, purpose: str | None) -> Iterator[Lock]:
    """Hold a lock inside the block; see `elastic.cube.ownership`.

    Parameters
    ----------
    path
        File of the lock; its folder is created if missing.
    purpose
        Purpose of waiting, for messages; None raises `RunBusy` if a running process has the lock.
    """
    with translate_os_errors(path):
        lock = _acquire(Markers(path), purpose)
    try:
        yield lock
    finally:
        lock.release()


def _acquire(markers: Markers, purpose: str | None) -> Lock:
    found = _attempt(markers)
    if isinstance(found, Held) and found.live and purpose is None:
        time.sleep(INSTANT)
        found = _attempt(markers)
    if isinstance(found, Lock):
        return found
    with Wait() as wait:
        while True:
            if purpose is None and found.live:
                raise _busy(markers.path.parent, found)
            wait.tell(_in_words(markers.path, purpose, found), found.by)
            wait.pause()
            found = _attempt(markers)
            if isinstance(found, Lock):
                if wait.interrupted:
                    found.release()
                    wait.end()
                return found


def _attempt(markers: Markers) -> Lock | Held:
    """Try to take a lock, without waiting."""
    make_folder(markers.path.parent)
    kept = try_flock(markers.path)
    if kept is False:
        return _held(markers.scan(), live=True)
    try:
        owner = this_process(flock=kept is not None)
        seen = markers.scan()
        looks = [markers.look(marker, flock=owner.flock) for marker in seen]
        if any(look is not False for look in looks):
            holders = [marker for marker, look in zip(seen, looks, strict=True) if look is not False]
            drop(kept)
            return _held(holders, live=True in looks, file=markers.file(holders[-1].number))
        marker = markers.create(owner, seen)
        if marker is None:  # another was faster
            drop(kept)
            time.sleep(random.uniform(0.0, 0.01))
            return _held(markers.scan(), live=False)
    except BaseException:
        drop(kept)
        raise
    lock = Lock(markers, marker, owner, kept)
    try:
        if kept is None:
            HEARTBEAT.start(marker)
        markers.remove(seen)
    except BaseException:
        lock.release()
        raise
    return lock


def _held(holders: list[Marker], *, live: bool, file: Path | None = None) -> Held:
    if not holders:
        return Held("another owner", live)
    owner = holders[-1].owner
    stranger = owner is not None and file is not None and owner.flock and not owner.is_this_process
    return Held(_named(holders[-1]), live, f"deleting {file} if that process no longer runs" if stranger else "")


def _named(marker: Marker) -> str:
    owner = marker.owner
    return "another owner" if owner is None else f"{owner}{', which is this one' if owner.is_this_process else ''}"


def _busy(folder: Path, holder: Held) -> RunBusy:
    hint = "waiting until it is done, or stopping it: what it recorded is kept, and the run can be resumed"
    if holder.by.endswith("which is this one"):
        hint = "closing its Recorder (close(), or a `with` block)"
    return RunBusy("the run", "be owned by one process", holder.by, holder.hint or hint, place=str(folder))


def _in_words(path: Path, purpose: str | None, holder: Held) -> str:
    what = f"to {purpose} in {path.parent}" if purpose else f"to see whether the owner of {path.parent} lives"
    known = "" if holder.live else f"; its lock is void after {STALE:.0f} s without a sign of life"
    hint = f"; try {holder.hint}" if holder.hint else ""
    return f"waiting {what}: {path.name} is held by {holder.by}{known}{hint} (Ctrl-C ends the wait)"
