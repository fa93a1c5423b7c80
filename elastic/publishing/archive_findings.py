"""What is found of a file of an archive that is not as it was published."""

from __future__ import annotations

from dataclasses import dataclass

ALTERED, MISSING, ADDED, UNSAFE, CONTRADICTS = "altered", "missing", "added", "unsafe", "contradicts"


@dataclass(frozen=True)
class Finding:
    """A file of an archive that is not as it was published.

    Attributes
    ----------
    path
        In the archive; "" for the archive as a whole.
    state
        "altered", "missing", "added", "unsafe", or "contradicts": whole, and at odds with another file.
    found
        What is there.
    """

    path: str
    state: str
    found: str = ""

    def __str__(self) -> str:
        return f"{self.path or 'the archive'}: {self.state}{f': {self.found}' if self.found else ''}"
