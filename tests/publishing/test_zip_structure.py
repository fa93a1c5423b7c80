"""A ZIP file tells names, sizes and where it ends twice: one that two programs read differently is refused."""

import io
import struct
import zipfile
import zlib

import numpy as np
import pytest
from support import processes

from elastic.errors import Damaged, ElasticError
from elastic.publishing.archive import Reader, open_archive

FILES = {"SHA256SUMS": b"sums", "a.txt": b"first " * 50, "folder/b.bin": bytes(range(256))}


class Unseekable(io.RawIOBase):
    """A stream that is written once, as a download is: sizes stand behind the contents."""

    def __init__(self):
        self.written = b""

    def writable(self):
        return True

    def write(self, data):
        self.written += bytes(data)
        return len(data)


def zipped(target=None, *, large=False, method=zipfile.ZIP_DEFLATED, extra=None, comment=b""):
    target = target or io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in FILES.items():
            head = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            head.compress_type, head.extra = method, (extra or {}).get(name, b"")
            with archive.open(head, "w", force_zip64=large) as file:
                file.write(data)
        archive.comment = comment
    return target.written if isinstance(target, Unseekable) else target.getvalue()


RAW = zipped()
END = RAW.rfind(b"PK\5\6")
COUNT, SIZE, DIRECTORY = struct.unpack_from("<HLL", RAW, END + 10)
ENTRY = RAW.index(b"PK\1\2", DIRECTORY + 1)  # that of a.txt
LOCAL = struct.unpack_from("<L", RAW, ENTRY + 42)[0]


def patched(at, form, *values, raw=RAW):
    data = struct.pack(form, *values)
    return raw[:at] + data + raw[at + len(data) :]


def moved(raw, by):
    """Return a ZIP file whose offsets are larger: bytes stand before it."""
    at, raw = DIRECTORY, patched(END + 16, "<L", DIRECTORY + by, raw=raw)
    for _ in range(COUNT):
        raw = patched(at + 42, "<L", struct.unpack_from("<L", raw, at + 42)[0] + by, raw=raw)
        at += 46 + sum(struct.unpack_from("<HHH", raw, at + 28))
    return raw


def large_end(count=COUNT, size=SIZE, offset=DIRECTORY, place=END, disks=1):
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    return RAW[:END] + record + struct.pack("<4sLQL", b"PK\6\7", 0, place, disks) + RAW[END:]


def other_name(name):
    return struct.pack("<HHBL", 0x7075, 5 + len(name), 1, zlib.crc32(b"a.txt")) + name


WITH_GAP = RAW[:DIRECTORY] + b"abc" + RAW[DIRECTORY:]

#: Each a file that some programs unpack to other files than others do, and what is said of it.
CONTRADICTING = {
    "method": (patched(LOCAL + 8, "<H", 0), "another method"),
    "encrypted in its head": (patched(LOCAL + 6, "<H", 1), "another flags"),
    "sizes behind": (patched(LOCAL + 6, "<H", 8), "another flags"),
    "size": (patched(LOCAL + 22, "<L", 7), "another size"),
    "compressed size": (patched(LOCAL + 18, "<L", 7), "another size"),
    "CRC": (patched(LOCAL + 14, "<L", 7), "another size"),
    "name": (patched(LOCAL + 30, "<5s", b"b.txt"), "another name"),
    "second name": (zipped(extra={"a.txt": other_name(b"../evil")}), "two names"),
    "hidden file in front": (RAW[: ENTRY - DIRECTORY] + RAW, "bytes before its first file"),
    "hidden file, offsets moved": (RAW[:LOCAL] + moved(RAW, LOCAL), "bytes before its first file"),
    "script in front": (b"#!/bin/sh\n" + RAW, "bytes before"),
    "bytes between": (
        patched(END + 3 + 16, "<L", DIRECTORY + 3, raw=RAW[:DIRECTORY] + b"abc" + RAW[DIRECTORY:]),
        "3 b",
    ),
    "bytes behind": (RAW + b"behind", "bytes behind"),
    "archive behind": (RAW + RAW, "bytes before"),
    "archive in the comment": (patched(END + 20, "<H", len(RAW)) + RAW, "more than one end"),
    "count": (patched(END + 8, "<HH", 1, 1), "entries, where its end says 1"),
    "disks": (patched(END + 4, "<HH", 1, 1), "several disks"),
    "large count": (large_end(count=2), "contradict each other"),
    "large offset": (large_end(offset=0), "contradict each other"),
    "large locator": (large_end(place=5), "where its locator says"),
    "large disks": (large_end(disks=2), "contradict each other"),
    "offset beyond": (patched(ENTRY + 42, "<L", 2**31), "no head"),
    "marked as a folder": (patched(ENTRY + 38, "<L", 0x10), "marked as a folder"),
    "label": (patched(ENTRY + 38, "<L", 0x8), "label of a disk"),
}


def opened(tmp_path, raw):
    (tmp_path / "a.zip").write_bytes(raw)
    return open_archive(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", CONTRADICTING)
def test_a_file_that_programs_read_differently_is_refused(tmp_path, kind):
    raw, result = CONTRADICTING[kind]
    try:
        collected = [wrong for _, wrong in opened(tmp_path, raw).unsafe]
    except Damaged as error:
        collected = [error.found]
    assert any(result in wrong for wrong in collected), collected


@pytest.mark.parametrize(
    "raw",
    [
        RAW,
        zipped(large=True),
        zipped(Unseekable()),
        zipped(Unseekable(), large=True),
        zipped(method=zipfile.ZIP_STORED),
        zipped(comment=b"4c1d3f0a"),
        zipped(extra={"a.txt": other_name(b"a.txt")}),
        large_end(),
        large_end().replace(RAW[END + 8 : END + 20], b"\xff" * 12),
    ],
    ids=["plain", "large", "streamed", "streamed large", "stored", "comment", "same name", "large end", "only large"],
)
def test_what_other_programs_write_is_read(tmp_path, raw):
    """The same files zipped anew are the same archive."""
    archive = opened(tmp_path, raw)
    assert archive.unsafe == ()
    with archive.reading() as reader:
        assert {name: read(reader, name) for name in archive.entries} == FILES


def read(reader: Reader, name: str) -> bytes:
    return b"".join(reader.blocks(name))


def test_git_and_zip_write_archives_that_are_read(tmp_path):
    folder = tmp_path / "files"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    identity = ["-c", "user.name=x", "-c", "user.email=x"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        processes.run(["git", *command], cwd=folder, check=True)
    made = ["git", "archive", "--format=zip", "--prefix=study/", "-o", "../git.zip", "HEAD"]
    processes.run(made, cwd=folder, check=True)
    archive = open_archive(tmp_path / "git.zip")
    assert (archive.unsafe, set(archive.entries)) == ((), set(FILES))


def test_no_byte_of_the_structure_stops_the_reader(tmp_path):
    """Each byte of heads and directory in turn: an archive, or a refusal, and no other error."""
    generator = np.random.default_rng(19)
    for raw in (RAW, zipped(Unseekable(), large=True), large_end()):
        begin = raw.index(b"PK\1\2")
        for at in [*range(LOCAL + 44), *range(begin, len(raw))]:
            value = int(generator.choice([0, 255, raw[at] ^ 1 << int(generator.integers(8))]))
            try:
                archive = opened(tmp_path, raw[:at] + bytes([value]) + raw[at + 1 :])
            except ElasticError:
                continue
            assert all(isinstance(wrong, str) for _, wrong in archive.unsafe)
