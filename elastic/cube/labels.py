"""The label and the checksum of a ZIP archive, as its comment: what it is, of which run and epoch, and its SHA-256.

The comment is the end of the file, and its last 64 bytes are the SHA-256 of all bytes before them. NumPy and torch read
such an archive as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

#: Number of hexadecimal digits of a SHA-256.
DIGITS = 64

#: First bytes of the record that ends a ZIP archive; 22 bytes without the comment (PKWARE's APPNOTE, 4.3.16).
END = b"PK\x05\x06"

#: Digits of its checksum by which a record is named in the label of the next one.
AFTER = 16

#: Between a label and the checksum.
_MARK = b", sha256 "

_LABEL = re.compile(r"elastic (\w+) of run (.*?)(?: at epoch ([^ ,]+))?(?: after ([^,]*))?, sha256 ", re.DOTALL)


@dataclass(frozen=True)
class Label:
    """What an archive says it is.

    Attributes
    ----------
    kind
        "record", "journal" or "checkpoint".
    cell
        Digest of the run's cell, which names the run's folder.
    epoch
        Of a record or a checkpoint.
    after
        Of a record of an open run: the record before it, or that there was none, so that one that is missing or of
        another study is noticed: its epoch, and the first digits of the checksum of its file. It is no part of what
        the archive is.

    Examples
    --------
    >>> str(Label("record", "716b2a1a3cd00b05", 0.5)), str(Label("journal", "716b2a1a3cd00b05"))
    ('record of run 716b2a1a3cd00b05 at epoch 0.5', 'journal of run 716b2a1a3cd00b05')
    """

    kind: str
    cell: str
    epoch: float | None = None
    after: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind} of run {self.cell}" + ("" if self.epoch is None else f" at epoch {self.epoch!r}")

    def encoded(self) -> bytes:
        """Return the label as it stands in a file, before the checksum."""
        return f"elastic {self}{f' after {self.after}' if self.after else ''}, sha256 ".encode()

    def fits(self, encoded: bytes) -> bool:
        """Return whether a label as it stands in a file is this one, whatever it comes after.

        >>> label = Label("record", "716b2a1a3cd00b05", 3)
        >>> longer = b"elastic record of run 716b2a1a3cd00b05 at epoch 3 after 2 (1f), sha256 "
        >>> label.fits(label.encoded()), label.fits(longer)
        (True, True)
        """
        start = f"elastic {self}".encode()
        return encoded == start + _MARK or (encoded.startswith(start + b" after ") and encoded.endswith(_MARK))


def labelled(archive: bytes, label: Label) -> bytes:
    """Return a ZIP archive with its label and checksum as the comment.

    Examples
    --------
    >>> import io, zipfile
    >>> zipfile.ZipFile(buffer := io.BytesIO(), "w").close()
    >>> data = labelled(buffer.getvalue(), Label("record", "716b2a1a3cd00b05", 17))
    >>> zipfile.ZipFile(io.BytesIO(data)).comment[:61].decode()
    'elastic record of run 716b2a1a3cd00b05 at epoch 17, sha256 de'
    """
    text = label.encoded()
    data = archive[:-2] + struct.pack("<H", len(text) + DIGITS) + text
    return data + hashlib.sha256(data).hexdigest().encode()


def has_checksum(data: bytes) -> bool:
    """Return whether an archive carries a checksum, False for a record of an earlier release.

    Raises
    ------
    ValueError
        If the checksum does not fit, or the archive is cut short.
    """
    if hashlib.sha256(data[:-DIGITS]).hexdigest().encode() == data[-DIGITS:]:
        return True
    if is_bare(data):
        return False
    raise ValueError("a wrong checksum")


def read_label(data: bytes) -> Label | None:
    """Return what an archive with a correct checksum says it is, None for one of an earlier release.

    >>> import io, zipfile
    >>> zipfile.ZipFile(buffer := io.BytesIO(), "w").close()
    >>> read_label(labelled(buffer.getvalue(), Label("record", "a", 17)))
    Label(kind='record', cell='a', epoch=17, after='')
    """
    end = data.rfind(END)
    match = _LABEL.fullmatch(data[end + 22 : -DIGITS].decode(errors="replace")) if end >= 0 else None
    if match is None:
        return None
    kind, cell, epoch, after = match.groups()
    return Label(kind, cell, None if epoch is None else int(epoch) if epoch.isdigit() else float(epoch), after or "")


def read_checksum(file: BinaryIO) -> bytes | None:
    """Return the checksum at the end of an open archive, unchecked; None for a file of an earlier release.

    >>> import io
    >>> read_checksum(io.BytesIO(b"... sha256 " + b"0" * 64)) == b"0" * 64, read_checksum(io.BytesIO(b"{}"))
    (True, None)
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - DIGITS))
    checksum = file.read()
    return checksum if re.fullmatch(rb"[0-9a-f]{64}", checksum) else None


def digest_of(file: BinaryIO, size: int) -> str:
    """Return the SHA-256 of the first bytes of an open file, which is read in blocks."""
    file.seek(0)
    total, left = hashlib.sha256(), max(0, size)
    while left and (block := file.read(min(left, 2**20))):
        total.update(block)
        left -= len(block)
    return total.hexdigest()


def is_bare(data: bytes) -> bool:
    """Return whether data end with a ZIP archive's end record without a comment."""
    return len(data) >= 22 and data[-22:-18] == END and data[-2:] == b"\0\0"
