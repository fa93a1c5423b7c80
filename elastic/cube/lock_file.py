"""Locks made of files only, for file systems without `fcntl.flock` and in addition to it.

Each owner has a marker ``<lock>-owner.<number>``, which names it. A lock is free while none of its markers is live: an
owner removes its marker at the end; that of a dead process is void (see `Markers.look`). A contender that finds all
markers void creates the next number, which only one can do (``O_EXCL``), and scans again: if there is a new marker, it
withdraws. So the marker of a live owner is never replaced or renamed, and a new owner has seen all markers older than
its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from elastic.cube.heartbeat import Watch
from elastic.cube.owner import Owner

#: Suffix after the name of the lock.
SUFFIX = "-owner"


@dataclass(frozen=True)
class Marker:
    """One marker as it was seen: its number, content, and time of change."""

    number: int
    content: bytes
    changed: int

    @property
    def owner(self) -> Owner | None:
        """Whom it names, None if it is not written to its end."""
        return Owner.from_bytes(self.content)

    @property
    def identity(self) -> tuple[int, bytes]:
        """What stays while the owner touches it."""
        return self.number, self.content


@dataclass
class Markers:
    """All markers of one lock, as one contender sees them.

    Attributes
    ----------
    path
        The lock's own path; markers lie beside it.
    """

    path: Path
    _watches: dict[tuple[int, bytes], Watch] = field(default_factory=dict)

    def file(self, number: int) -> Path:
        """Return the path of a marker."""
        return self.path.with_name(f"{self.path.name}{SUFFIX}.{number}")

    def scan(self) -> list[Marker]:
        """Return the markers that are there, by their numbers."""
        prefix, markers = f"{self.path.name}{SUFFIX}.", []
        with os.scandir(self.path.parent) as entries:
            numbers = [e.name.removeprefix(prefix) for e in entries if e.name.startswith(prefix)]
        for number in sorted(int(text) for text in numbers if text.isdecimal()):
            with contextlib.suppress(FileNotFoundError), self.file(number).open("rb") as file:
                # Opened, for a network file system asks its server then and may answer stat from memory.
                markers.append(Marker(number, file.read(4096), os.fstat(file.fileno()).st_mtime_ns))
        return markers

    def look(self, marker: Marker, *, flock: bool) -> bool | None:
        """Return whether a marker is live, None if that is not known yet.

        Parameters
        ----------
        marker
            As just scanned.
        flock
            Whether the caller has the system's lock: then no other owner has it.
        """
        owner = marker.owner
        if owner and owner.flock:
            # Without the system's lock nothing is known of a process on another machine, and it has no heartbeat.
            return not flock and not owner.is_dead
        if owner and owner.is_dead:
            return False
        return self._watches.setdefault(marker.identity, Watch()).look(marker.changed, time.monotonic())

    def create(self, owner: Owner, void: list[Marker]) -> Path | None:
        """Create the next marker if the void ones are all that is there; else leave nothing and return None."""
        number = 1 + max((marker.number for marker in void), default=0)
        path = self.file(number)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123  (a descriptor)
                file.write(owner.to_bytes())
            others = {marker.identity for marker in self.scan() if marker.number != number}
            if others == {marker.identity for marker in void}:
                return path
        except BaseException:
            withdraw(path, owner)
            raise
        withdraw(path, owner)
        return None

    def remove(self, markers: list[Marker]) -> None:
        """Remove void markers; only the owner of the lock may."""
        for marker in markers:
            with contextlib.suppress(OSError):
                self.file(marker.number).unlink()


def withdraw(path: Path, owner: Owner) -> None:
    """Remove an owner's marker, unless the lock was taken over and another has this name now."""
    with contextlib.suppress(OSError):
        if path.read_bytes() in (owner.to_bytes(), b""):
            path.unlink()
