"""Fast reading of many records with the same arrays, as columns of one table of bytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from elastic.cube.record import Array, encode

#: Offset of the CRC-32 in the header of a member.
_CHECKSUM = 14


@dataclass(frozen=True)
class Member:
    """Position of one array in a record.

    Attributes
    ----------
    key
        Name of the array.
    head, start, values, stop
        First byte of the member's head, of the member, of its numbers, and the byte after its last.
    checksums
        Where the record holds the member's CRC-32: in the member's head and in the archive's directory.
    """

    key: str
    head: int
    start: int
    values: int
    stop: int
    checksums: tuple[int, int]


class RecordTable:
    """Reads many records with the same arrays at once.

    Records with arrays of the same names, dtypes and shapes differ only in the values and their checksums. The offsets
    are found once, from a blank record, and hundreds of records are read as columns of one table of bytes: about 20
    times faster than `decode` on each, with the same checks.

    Parameters
    ----------
    blank
        The arrays of one record, by name; only their types and shapes matter.

    Examples
    --------
    >>> table = RecordTable({"loss": np.zeros(2)})
    >>> table.cast([encode({"loss": np.array([1.0, 2.0])}), encode({"loss": np.array([3.0, 4.0])})])
    {'loss': array([[1., 2.], [3., 4.]])}
    >>> table.cast([encode({"loss": np.zeros(3)})]) is None
    True
    """

    def __init__(self, blank: Mapping[str, Array]) -> None:
        self.arrays = dict(blank)
        data = encode(blank)
        self.size = len(data)
        self.members = {member.key: member for member in _members(data, blank)}
        fixed = np.ones(self.size, dtype=bool)
        for member in self.members.values():
            fixed[member.values : member.stop] = False
            for checksum in member.checksums:
                fixed[checksum : checksum + 4] = False
        self._fixed = np.flatnonzero(fixed)
        self._head = np.frombuffer(data, np.uint8)[self._fixed]
        self._heads = {key: _without_checksum(data[m.head : m.values]) for key, m in self.members.items()}

    def cast(self, records: Sequence[bytes]) -> dict[str, Array] | None:
        """Return each array of n records, stacked [n, …]; None if a record is damaged or has other arrays."""
        if any(len(record) != self.size for record in records):
            return None
        table = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), self.size)
        if not (table[:, self._fixed] == self._head).all():
            return None
        stacked = {}
        for member in self.members.values():
            computed = [zlib.crc32(memoryview(record)[member.start : member.stop]) for record in records]
            for place in member.checksums:
                if _columns(table, place, place + 4, np.dtype("<u4"))[:, 0].tolist() != computed:
                    return None
            blank = self.arrays[member.key]
            numbers = _columns(table, member.values, member.stop, blank.dtype)
            stacked[member.key] = numbers.reshape(len(records), *blank.shape)
        return stacked

    def cast_member(self, key: str, data: bytes) -> Array | None:
        """Return one array of a record, given the bytes of its member alone; None if they are damaged or of another.

        Parameters
        ----------
        key
            Name of the array.
        data
            The record from ``members[key].head`` to ``members[key].stop``.
        """
        member, blank = self.members[key], self.arrays[key]
        start, values = member.start - member.head, member.values - member.head
        if len(data) != member.stop - member.head or _without_checksum(data[:values]) != self._heads[key]:
            return None
        if zlib.crc32(data[start:]) != struct.unpack_from("<I", data, _CHECKSUM)[0]:
            return None
        return np.frombuffer(data, blank.dtype, offset=values).reshape(blank.shape)


def _without_checksum(head: bytes) -> bytes:
    return head[:_CHECKSUM] + head[_CHECKSUM + 4 :]


def _columns(table: Array, start: int, stop: int, dtype: np.dtype[Any]) -> Array:
    return np.ascontiguousarray(table[:, start:stop]).view(dtype)


def _members(data: bytes, blank: Mapping[str, Array]) -> list[Member]:
    """Return where the arrays of a record lie, by the layout of ZIP archives (PKWARE's APPNOTE, 4.3.7 and 4.3.12)."""
    members = []
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entry = archive.start_dir
        for info in archive.infolist():
            head = info.header_offset
            start = head + 30 + sum(struct.unpack_from("<HH", data, head + 26))
            stop = start + info.file_size
            key = info.filename.removesuffix(".npy")
            members.append(Member(key, head, start, stop - blank[key].nbytes, stop, (head + _CHECKSUM, entry + 16)))
            entry += 46 + len(info.filename.encode()) + len(info.extra) + len(info.comment)
    return members
