"""Files that carry the SHA-256 of their own bytes, so that every changed, missing or added byte is noticed.

- ZIP archives (records, compacted journals, checkpoints) end with a comment that names what the file is, the cell of
  its run and its epoch, and ends with the SHA-256 of all bytes before it. NumPy and torch read them as they are.
- JSON files begin with the key `OF` and end with the key ``sha256``: the SHA-256 of the file with zeros in its place.

Files of earlier releases, which carry no checksum, are read too and reported as `Condition.NOT_CHECKABLE`. The release
before this one wrote checkpoints with the SHA-256 after the archive, and layouts with that of their sorted keys: both
are checked.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from elastic.cube.atomic import explained, write_atomically
from elastic.errors import Damaged

#: Number of hexadecimal digits of a SHA-256.
DIGITS = 64

#: First key of a JSON file with a checksum and its value. A second mark beside the checksum: one flipped bit cannot
#: make a file look like one of an earlier release.
OF, OF_WHAT = "sha256_of", "this file, with zeros for the 64 digits in its last line but one"

#: First bytes of the record that ends a ZIP archive; 22 bytes without the comment (PKWARE's APPNOTE, 4.3.16).
END = b"PK\x05\x06"

_ZEROS = b"0" * DIGITS
_BEFORE, _AFTER = b'"sha256": "', b'"\n}\n'
_LABEL = re.compile(r"elastic (\w+) of run (.*?)(?: at epoch (\S+))?, sha256 ", re.DOTALL)


class Condition(StrEnum):
    """Whether a file holds the bytes that were written."""

    INTACT = "intact"
    DAMAGED = "damaged"
    NOT_CHECKABLE = "not checkable (written by an earlier release)"


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

    Examples
    --------
    >>> str(Label("record", "716b2a1a3cd00b05", 0.5)), str(Label("journal", "716b2a1a3cd00b05"))
    ('record of run 716b2a1a3cd00b05 at epoch 0.5', 'journal of run 716b2a1a3cd00b05')
    """

    kind: str
    cell: str
    epoch: float | None = None

    def __str__(self) -> str:
        return f"{self.kind} of run {self.cell}" + ("" if self.epoch is None else f" at epoch {self.epoch!r}")

    def encoded(self) -> bytes:
        """Return the label as it stands in a file, before the checksum."""
        return f"elastic {self}, sha256 ".encode()


@dataclass(frozen=True)
class Finding:
    """What the check of one file found.

    Attributes
    ----------
    condition
        Of the file.
    found
        What is wrong with a damaged file.
    label
        What an intact archive says it is; None if it says nothing.

    Examples
    --------
    >>> str(Finding(Condition.DAMAGED, "a wrong checksum"))
    'damaged: a wrong checksum'
    """

    condition: Condition
    found: str = ""
    label: Label | None = None

    def __str__(self) -> str:
        return f"{self.condition}: {self.found}" if self.found else str(self.condition)


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
    if _is_bare(data):
        return False
    raise ValueError("a wrong checksum")


def read_label(data: bytes) -> Label | None:
    """Return what an archive with a correct checksum says it is, None for one of an earlier release.

    >>> import io, zipfile
    >>> zipfile.ZipFile(buffer := io.BytesIO(), "w").close()
    >>> read_label(labelled(buffer.getvalue(), Label("record", "a", 17)))
    Label(kind='record', cell='a', epoch=17)
    """
    end = data.rfind(END)
    found = _LABEL.fullmatch(data[end + 22 : -DIGITS].decode(errors="replace")) if end >= 0 else None
    if found is None:
        return None
    kind, cell, epoch = found.groups()
    return Label(kind, cell, None if epoch is None else int(epoch) if epoch.isdigit() else float(epoch))


def check_archive(path: Path) -> Finding:
    """Check a record, a compacted journal or a checkpoint against its own checksum; the file is read in blocks.

    Raises
    ------
    StudyError
        If the file cannot be read.
    """
    with explained(path, "be readable"), path.open("rb") as file:
        size = file.seek(0, 2)
        end = _tail(file, size, 2**16)
        if digest_of(file, size - DIGITS) == end[-DIGITS:].decode(errors="replace"):
            return Finding(Condition.INTACT, label=read_label(end))
    if _is_bare(end):
        return Finding(Condition.NOT_CHECKABLE)
    return Finding(Condition.DAMAGED, "a wrong checksum")


def check_json(path: Path) -> Finding:
    """Check a JSON file against its own checksum.

    Raises
    ------
    StudyError
        If the file cannot be read.
    """
    with explained(path, "be readable"):
        data = path.read_bytes()
    try:
        _, is_checked = decode_json(data)
    except ValueError as error:
        return Finding(Condition.DAMAGED, str(error))
    return Finding(Condition.INTACT if is_checked else Condition.NOT_CHECKABLE)


def encode_json(facts: Mapping[str, Any]) -> bytes:
    """Return a JSON file that holds these facts and its own checksum.

    Examples
    --------
    >>> print(encode_json({"epochs": 3}).decode())
    {
     "sha256_of": "this file, with zeros for the 64 digits in its last line but one",
     "epochs": 3,
     "sha256": "e5d8fe14246e6e56f2cce73424e6379e544278be578a9890436edd4d80cadf41"
    }
    <BLANKLINE>
    """
    if clash := facts.keys() & {OF, "sha256"}:
        raise ValueError(f"the key {sorted(clash)[0]!r} is the checksum's own")
    zeroed = {OF: OF_WHAT, **facts, "sha256": _ZEROS.decode()}
    data = (json.dumps(zeroed, indent=1, allow_nan=False) + "\n").encode()
    digest = hashlib.sha256(data).hexdigest().encode()
    return data[: -DIGITS - len(_AFTER)] + digest + _AFTER


def decode_json(data: bytes) -> tuple[dict[str, Any], bool]:
    """Return the facts of a JSON file, without its checksum, and whether it had one.

    Raises
    ------
    ValueError
        If the file is no JSON object, or not as it was written.

    Examples
    --------
    >>> decode_json(encode_json({"epochs": 3})), decode_json(b'{"epochs": 3}')
    (({'epochs': 3}, True), ({'epochs': 3}, False))
    """
    try:
        facts = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{type(facts).__name__} in place of an object")
    of, digest = facts.pop(OF, None), facts.pop("sha256", None)
    if of is None and digest is None:
        return facts, False
    expected = _digest_of_text(data) if of == OF_WHAT else _digest_of_sorted(facts) if of is None else None
    if not isinstance(digest, str) or digest != expected:
        raise ValueError("a wrong checksum: the file is not as it was written")
    return facts, True


def write_json(path: Path, facts: Mapping[str, Any]) -> None:
    """Write a JSON file with its checksum in place of its former version.

    Raises
    ------
    StudyError
        As `elastic.cube.atomic.write_atomically`.
    """
    write_atomically(path, encode_json(facts))


def read_json(path: Path, hint: str, *, checked: bool = False) -> dict[str, Any] | None:
    """Return the facts of a JSON file, None where there is no such file.

    Parameters
    ----------
    path
        Of the file.
    hint
        What to do about a damaged file.
    checked
        Whether the file must have a checksum, as when other files beside it show that this release wrote it.

    Raises
    ------
    Damaged
        If the file is not as it was written.
    StudyError
        If it cannot be read.
    """
    with explained(path, "be readable"):
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
    try:
        facts, has_one = decode_json(data)
        if checked and not has_one:
            raise ValueError("no checksum")
    except ValueError as error:
        raise Damaged(f"`{path.name}`", "be as it was written", str(error), hint, place=str(path)) from None
    return facts


def digest_of(file: BinaryIO, size: int) -> str:
    """Return the SHA-256 of the first bytes of an open file, which is read in blocks."""
    file.seek(0)
    total, left = hashlib.sha256(), max(0, size)
    while left and (block := file.read(min(left, 2**20))):
        total.update(block)
        left -= len(block)
    return total.hexdigest()


def _tail(file: BinaryIO, size: int, length: int) -> bytes:
    file.seek(max(0, size - length))
    return file.read(length)


def _is_bare(data: bytes) -> bool:
    """Return whether data end with a ZIP archive's end record without a comment."""
    return len(data) >= 22 and data[-22:-18] == END and data[-2:] == b"\0\0"


def _digest_of_text(data: bytes) -> str | None:
    head, end = data[: -DIGITS - len(_AFTER)], data[-len(_AFTER) :]
    if end != _AFTER or not head.endswith(_BEFORE):
        return None
    return hashlib.sha256(head + _ZEROS + end).hexdigest()


def _digest_of_sorted(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
