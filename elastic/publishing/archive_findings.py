"""Finding for a file of an archive that differs from the published one."""

from __future__ import annotations

from dataclasses import dataclass

ALTERED, MISSING, ADDED, UNSAFE, CONTRADICTS = "altered", "missing", "added", "unsafe", "contradicts"


@dataclass(frozen=True)
class Finding:
    """A file of an archive that differs from the published one.

    Attributes
    ----------
    path
        In the archive; "" for the archive as a whole.
    state
        "altered", "missing", "added", "unsafe", or "contradicts": intact, but inconsistent with another file.
    found
        What was found.
    """

    path: str
    state: str
    found: str = ""

    def __str__(self) -> str:
        return f"{self.path or 'the archive'}: {self.state}{f': {self.found}' if self.found else ''}"
