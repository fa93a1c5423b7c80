"""Whether all programs read a ZIP file alike: it stores names, sizes and methods twice, and the position of its end.

Programs that unpack a stream read the head before each file, others the directory at the end. If the two differ,
or bytes belong to no entry, different programs read different files.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

_END, _END64, _LOCATOR, _LOCAL, _DESCRIPTOR = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\3\4", b"PK\7\x08"

#: Lengths of the records at the end, and the longest comment after them.
_END_SIZE, _END64_SIZE, _LOCATOR_SIZE, _COMMENT = 22, 56, 20, 65535

#: Length of an entry's local head before its name.
_LOCAL_SIZE = 30

#: Values for numbers that are stored in a field of ZIP64.
_SHORT, _LONG = 0xFFFF, 0xFFFFFFFF

#: Extra fields: sizes of large files, and another name of the entry.
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075

#: Bits of an entry's flags: sizes follow the contents, names are UTF-8.
_SIZES_BEHIND, _UTF8 = 0x8, 0x800

#: Bits that change how an entry is read, such as encryption, patches and masked heads.
_MEANING = 0x1 | _SIZES_BEHIND | 0x20 | 0x40 | _UTF8 | 0x2000


@dataclass(frozen=True)
class End:
    """Position and size of the directory, from the end of a ZIP file.

    Attributes
    ----------
    disks, counts
        Numbers of disks and of entries.
    size, offset
        Of the directory.
    begin
        Start of the records of the end.
    """

    disks: tuple[int, ...]
    counts: tuple[int, ...]
    size: int
    offset: int
    begin: int


def wrong_structure(file: IO[bytes], infos: Sequence[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """Yield (name, error) for contradictions between parts of a ZIP file; name "" for the file as a whole.

    Parameters
    ----------
    file
        The ZIP file; its position is restored.
    infos
        Entries of its directory.
    """
    position = file.tell()
    try:
        end = end_of(file)
        if wrong := _wrong_end(end, len(infos)):
            yield "", wrong
            return
        yield from _wrong_heads(file, infos, end.offset)
    finally:
        file.seek(position)


def end_of(file: IO[bytes]) -> End:
    """Read the end of a ZIP file; its directory is not read.

    Raises
    ------
    zipfile.BadZipFile
        If there is no end, more than one, or bytes after it.
    """
    length = file.seek(0, os.SEEK_END)
    start = max(0, length - _END_SIZE - _COMMENT - _LOCATOR_SIZE - _END64_SIZE)
    file.seek(start)
    tail = file.read()
    ends, at = [], tail.find(_END)
    last = tail.rfind(_END)
    while at >= 0:
        whole = len(tail) - at >= _END_SIZE
        if whole and at + _END_SIZE + int(struct.unpack_from("<H", tail, at + 20)[0]) == len(tail):
            ends.append(at)
        at = tail.find(_END, at + 1)
    if last < 0:
        raise zipfile.BadZipFile("no end of its directory")
    if ends != [last]:
        raise zipfile.BadZipFile("bytes behind its end, or more than one end")
    *disks, first, all_, size, offset = struct.unpack_from("<HHHHLL", tail, last + 4)
    short = End(tuple(disks), (first, all_), size, offset, start + last)
    at = last - _LOCATOR_SIZE
    return _end64(tail, at, start, short) if at >= 0 and tail.startswith(_LOCATOR, at) else short


def _end64(tail: bytes, locator: int, start: int, short: End) -> End:
    """Return the end of a large ZIP file, which must agree with the other end where that has numbers."""
    disk, place, disks = struct.unpack_from("<LQL", tail, locator + 4)
    at = locator - _END64_SIZE
    if at < 0 or not tail.startswith(_END64, at) or place != start + at:
        raise zipfile.BadZipFile("an end of ZIP64 that does not stand where its locator says")
    length, _, _, *numbers = struct.unpack_from("<QHHLLQQQQ", tail, at + 4)
    end = End((*numbers[:2], disk), tuple(numbers[2:4]), numbers[4], numbers[5], start + at)
    pairs = [*zip(short.disks, numbers[:2], strict=True), *zip(short.counts, end.counts, strict=True)]
    same = all(one in (other, _SHORT) for one, other in pairs)
    same &= short.size in (end.size, _LONG) and short.offset in (end.offset, _LONG)
    if not same or disks != 1 or length != _END64_SIZE - 12:
        raise zipfile.BadZipFile("two ends that contradict each other")
    return end


def _wrong_end(end: End, count: int) -> str:
    checks = (
        (any(end.disks), "several disks"),
        (set(end.counts) != {count}, f"{count} entries, where its end says {max(end.counts)}"),
        (end.offset + end.size != end.begin, "bytes before its first file, or between its directory and its end"),
    )
    return next((wrong for is_so, wrong in checks if is_so), "")


def _wrong_heads(file: IO[bytes], infos: Sequence[zipfile.ZipInfo], directory: int) -> Iterator[tuple[str, str]]:
    """Yield entries whose local head differs from the directory, and bytes between the entries."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    following = [*(info.header_offset for info in ordered[1:]), directory]
    if ordered and ordered[0].header_offset:
        yield "", "bytes before its first file"
    for info, after in zip(ordered, following, strict=True):
        inside = info.header_offset + _LOCAL_SIZE <= directory
        wrong = _wrong_head(file, info, after) if inside else "no head where the directory says"
        if wrong:
            yield repr(info.orig_filename)[1:-1][:200], wrong


def _wrong_head(file: IO[bytes], info: zipfile.ZipInfo, after: int) -> str:
    file.seek(info.header_offset)
    head = file.read(_LOCAL_SIZE)
    if len(head) < _LOCAL_SIZE or not head.startswith(_LOCAL):
        return "no head where the directory says"
    _, flags, method, _, _, *numbers, name_size, extra_size = struct.unpack_from("<HHHHHLLLHH", head, 4)
    name, extra = file.read(name_size), file.read(extra_size)
    sizes = _sizes(numbers, extra)
    expected = [info.CRC, info.compress_size, info.file_size]
    behind = info.flag_bits & _SIZES_BEHIND
    checks = (
        (name != info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437", "replace"), "name"),
        ((flags ^ info.flag_bits) & _MEANING, "flags"),
        (method != info.compress_type, "method"),
        (sizes != expected and not (behind and all(a in (0, b) for a, b in zip(sizes, expected, strict=True))), "size"),
    )
    if wrong := next((what for is_so, what in checks if is_so), ""):
        return f"another {wrong} in its head than in the directory"
    if any(name != other for other in (*_other_names(extra), *_other_names(info.extra))):
        return "two names"
    end = info.header_offset + _LOCAL_SIZE + name_size + extra_size + info.compress_size
    if end > after:
        return "more bytes than there are before the next entry"
    file.seek(end)
    between = file.read(min(after - end, 25))
    if between and not (behind and between in _descriptors(expected)):
        return f"{after - end} bytes behind it that belong to no file"
    return ""


def _sizes(numbers: Sequence[int], extra: bytes) -> list[int]:
    """Return CRC, compressed size and size from a local head, with those of ZIP64 substituted."""
    crc, packed, size = numbers
    fields = next((data for kind, data in _fields(extra) if kind == _ZIP64), b"")
    large = [int(value) for (value,) in struct.iter_unpack("<Q", fields[: len(fields) // 8 * 8])]
    if size == _LONG and large:
        size = large.pop(0)
    if packed == _LONG and large:
        packed = large.pop(0)
    return [crc, packed, size]


def _other_names(extra: bytes) -> Iterator[bytes]:
    """Yield the names that extra fields give an entry, as other programs read them."""
    for kind, data in _fields(extra):
        if kind == _UNICODE_PATH:
            yield data[5:]


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _descriptors(expected: Sequence[int]) -> set[bytes]:
    """Return the forms in which CRC and sizes may follow the contents of an entry."""
    crc, packed, size = expected
    forms = {struct.pack("<LQQ", crc, packed, size)}
    if max(packed, size) <= _LONG:
        forms.add(struct.pack("<LLL", crc, packed, size))
    return forms | {_DESCRIPTOR + form for form in forms}
