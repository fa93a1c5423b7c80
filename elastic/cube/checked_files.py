"""Files that contain the SHA-256 of their own bytes, so that every changed, missing or added byte is detected.

- ZIP archives (records, compacted journals, checkpoints) have it in their comment (`elastic.cube.labels`).
- JSON files begin with the key `OF` and end with the key ``sha256``: the SHA-256 of the file with zeros in its place.

Files of earlier releases, which carry no checksum, are read too and reported as `Condition.NOT_CHECKABLE`. The release
before this one wrote checkpoints with the SHA-256 after the archive, and layouts with that of their sorted keys: both
are checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO

from elastic.cube.atomic import open_regular, read_regular, translate_os_errors, write_atomically
from elastic.cube.labels import DIGITS, Label, digest_of, is_bare, read_label
from elastic.errors import Damaged

#: First key of a JSON file with a checksum and its value. A second mark beside the checksum: one flipped bit cannot
#: make a file look like one of an earlier release.
OF, OF_WHAT = "sha256_of", "this file, with zeros for the 64 digits in its last line but one"

_ZEROS = b"0" * DIGITS
_BEFORE, _AFTER = b'"sha256": "', b'"\n}\n'


class Condition(StrEnum):
    """Whether a file has the bytes that were written."""

    INTACT = "intact"
    DAMAGED = "damaged"
    NOT_CHECKABLE = "not checkable (written by an earlier release)"


@dataclass(frozen=True)
class Finding:
    """Result of checking one file.

    Attributes
    ----------
    condition
        Of the file.
    found
        Description of the damage.
    label
        Label of an intact archive; None without a label.

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


def check_archive(path: Path) -> Finding:
    """Check a record, a compacted journal or a checkpoint against its own checksum; the file is read in blocks.

    Raises
    ------
    StudyError
        If the file cannot be read.
    """
    with translate_os_errors(path, "be readable"), open_regular(path) as file:
        size = file.seek(0, 2)
        end = _end(file, size)
        if digest_of(file, size - DIGITS) == end[-DIGITS:].decode(errors="replace"):
            return Finding(Condition.INTACT, label=read_label(end))
    if is_bare(end):
        return Finding(Condition.NOT_CHECKABLE)
    return Finding(Condition.DAMAGED, "a wrong checksum")


def check_json(path: Path) -> Finding:
    """Check a JSON file against its own checksum.

    Raises
    ------
    StudyError
        If the file cannot be read.
    """
    with translate_os_errors(path, "be readable"):
        data = read_regular(path)
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
        If the file is not a JSON object, or differs from what was written.

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
        See `elastic.cube.atomic.write_atomically`.
    """
    write_atomically(path, encode_json(facts))


def read_json(path: Path, hint: str, *, checked: bool = False) -> dict[str, Any] | None:
    """Return the facts of a JSON file, None if the file does not exist.

    Parameters
    ----------
    path
        Of the file.
    hint
        Hint for a damaged file.
    checked
        Whether the file must have a checksum, because other files show that this release wrote it.

    Raises
    ------
    Damaged
        If the file differs from what was written.
    StudyError
        If it cannot be read.
    """
    with translate_os_errors(path, "be readable"):
        try:
            data = read_regular(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    try:
        facts, has_one = decode_json(data)
        if checked and not has_one:
            raise ValueError("no checksum")
    except ValueError as error:
        raise Damaged(f"`{path.name}`", "be as it was written", str(error), hint, place=str(path)) from None
    return facts


def _end(file: BinaryIO, size: int) -> bytes:
    """Return the end of an open file, in which the comment of an archive lies."""
    file.seek(max(0, size - 2**16 - 22))
    return file.read()


def _digest_of_text(data: bytes) -> str | None:
    head, end = data[: -DIGITS - len(_AFTER)], data[-len(_AFTER) :]
    if end != _AFTER or not head.endswith(_BEFORE):
        return None
    return hashlib.sha256(head + _ZEROS + end).hexdigest()


def _digest_of_sorted(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
