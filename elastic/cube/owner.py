"""The owner of a lock: a process on a machine, stored in a file; and whether that process still exists."""

from __future__ import annotations

import functools
import json
import os
import platform
import secrets
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock.

    Attributes
    ----------
    host
        Name of the machine, for people.
    machine
        Identifies the machine since it was started, and the processes that see each other on it.
    pid, started
        The process, and when it was started (of two processes with one number only one has it); "" if unknown.
    flock
        Whether the system holds the lock for it (`fcntl.flock`), so that no heartbeat is needed.
    token
        Makes each acquisition a different one.
    """

    host: str
    machine: str
    pid: int
    started: str
    flock: bool
    token: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def to_bytes(self) -> bytes:
        """Return one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes) -> Owner | None:
        """Return the owner that a file names, None if the file is not written to its end or is damaged."""
        try:
            owner = cls(**json.loads(data)) if data.endswith(b"\n") else None
        except (ValueError, TypeError):
            return None
        return owner if owner and isinstance(owner.pid, int) and owner.pid > 0 else None

    @property
    def is_this_process(self) -> bool:
        """Whether it is the process that asks."""
        return (self.machine, self.pid) == (machine(), os.getpid())

    @property
    def is_here(self) -> bool:
        """Whether the process is one of this machine."""
        return self.machine == machine()

    @property
    def is_dead(self) -> bool:
        """Whether the process is known to have ended; on other machines nothing is known."""
        return self.is_here and has_ended(self.pid, self.started)


def this_process(*, flock: bool) -> Owner:
    """Return the owner that this process is."""
    pid = os.getpid()
    return Owner(platform.node(), machine(), pid, _started(pid)[1], flock, secrets.token_hex(8))


@functools.cache
def machine() -> str:
    """Return what identifies this machine, as long as it runs, and its table of processes.

    Containers on one machine share its boot identifier, not their processes; machines may share their names.
    """
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"  # noqa: PTH115  (no path, but a name of the kernel's)
    except OSError:
        return f"{platform.node()} {uuid.getnode():x}"  # a random number where there is no network card: then unique


def has_ended(pid: int, started: str) -> bool:
    """Return whether a process of this machine is known to have ended (a zombie has).

    >>> has_ended(os.getpid(), "")
    False
    """
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # of another user
        pass
    state, since = _started(pid)
    return state in ("Z", "X") or bool(started and since and since != started)


def _started(pid: int) -> tuple[str, str]:
    """Return the state of a process and when it was started, both "" where the system does not say."""
    try:
        # The name, in parentheses, may hold anything; the state follows, and 19 fields later the time.
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
