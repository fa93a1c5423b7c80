"""Archives come from strangers: what is altered is named, what is unsafe is refused, nothing leaves the folder."""

import json
import shutil
import stat
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from support import published

from elastic.errors import Damaged, ElasticError, StudyError
from elastic.publishing import archive as archives
from elastic.publishing.archive import open_archive
from elastic.publishing.listing import decode_sums, encode_sums
from elastic.publishing.reproduction import reproduce
from elastic.publishing.unpacking import unpack
from elastic.publishing.verification import verify_archive
from elastic.publishing.zip_safety import LIMITS, wrong_name


@pytest.fixture(scope="module")
def files(archive):
    return published.files_of(archive)


def listed(files):
    """Return files with a list of sums that fits: a forger writes it, too."""
    import hashlib

    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "SHA256SUMS"}
    return {**files, "SHA256SUMS": encode_sums(sums)}


def info(name, **facts):
    """Return the head of an entry, whatever is wrong with it."""
    made = zipfile.ZipInfo("placeholder")
    made.filename = made.orig_filename = name
    for key, value in {"external_attr": 0o100644 << 16, **facts}.items():
        setattr(made, key, value)
    return made


def states(found):
    return {(one.path, one.state) for one in found.findings}


def changed(files, name, data):
    return {**files, name: data}


def test_what_was_published_is_intact_however_it_is_zipped(archive, files, tmp_path):
    verified = verify_archive(archive)
    assert (verified.damaged, verified.intact, verified.study) == (False, len(files), "small")
    stored = published.zipped(tmp_path / "a.zip", dict(reversed(files.items())), compression=zipfile.ZIP_STORED)
    in_folder = {f"study/{name}": data for name, data in files.items()}
    folders = [("study/", b""), ("study/cube.zarr/", b""), *in_folder.items()]
    for path in (stored, published.zipped(tmp_path / "b.zip", folders)):
        again = verify_archive(path)
        assert (again.findings, again.digest, again.intact) == ((), verified.digest, verified.intact)
    unpack(open_archive(stored), tmp_path / "unpacked")
    assert verify_archive(tmp_path / "unpacked").digest == verified.digest


@pytest.mark.parametrize("name", ["claims.json", "cube.zarr/zarr.json", "README.md", "figures/depth_profile.png"])
def test_a_file_that_was_altered_is_named(files, tmp_path, name):
    data = bytearray(files[name])
    data[len(data) // 2] ^= 1
    verified = verify_archive(published.zipped(tmp_path / "a.zip", changed(files, name, bytes(data))))
    assert states(verified) == {(name, "altered")}


def test_a_file_that_is_missing_or_was_added_is_named(files, tmp_path):
    without = {name: data for name, data in files.items() if name != "report.html"}
    verified = verify_archive(published.zipped(tmp_path / "a.zip", {**without, "extra/run.py": b"print(1)"}))
    assert states(verified) == {("report.html", "missing"), ("extra/run.py", "added")}


def test_an_archive_without_its_list_is_damaged(files, tmp_path):
    without = {name: data for name, data in files.items() if name != "SHA256SUMS"}
    assert states(verify_archive(published.zipped(tmp_path / "a.zip", without))) == {("SHA256SUMS", "missing")}


def test_every_kind_of_list_that_elastic_does_not_write_is_refused(files, tmp_path):
    sums = files["SHA256SUMS"]
    first, *others = sums.splitlines(keepends=True)
    for forged in (
        b"",
        first + sums,
        b"".join([*others, first]),
        sums.upper(),
        sums + b"x\n",
        sums.replace(b"  ", b" *"),
    ):
        verified = verify_archive(published.zipped(tmp_path / "a.zip", changed(files, "SHA256SUMS", forged)))
        assert verified.damaged, forged[:80]


def forged_claims(files):
    result = json.loads(files["claims.json"])
    result["claims"][0]["verdict"] = "supported by all"
    return changed(files, "claims.json", json.dumps(result).encode())


def forged_chunk(files):
    name = next(name for name in files if name.startswith("cube.zarr/collapse/nc1/c/"))
    return changed(files, name, files[name][:-1] + b"\0")


def forged_protocol(files):
    result = json.loads(files["study.json"])
    result["protocol"]["optimizer"]["lr"] = 0.2
    return changed(files, "study.json", json.dumps(result).encode())


def without_chunk(files):
    name = next(name for name in files if name.startswith("cube.zarr/collapse/nc1/c/"))
    return {one: data for one, data in files.items() if one != name}


def with_extra(files):
    return {**files, "hidden.bin": b"data"}


def forged_crate(files):
    return changed(files, "ro-crate-metadata.json", b"[" * 100_000)


def without_crate(files):
    return {name: data for name, data in files.items() if name != "ro-crate-metadata.json"}


def forged_shape(files):
    name = next(name for name in files if name.endswith("collapse/nc1/zarr.json"))
    result = json.loads(files[name])
    result["shape"] = [10**6] * len(result["shape"])
    return changed(files, name, json.dumps(result).encode())


def nested_study(files):
    return changed(files, "study.json", b"[" * 200_000)


@pytest.mark.parametrize(
    "forge",
    [
        forged_shape,
        nested_study,
        forged_claims,
        forged_chunk,
        forged_protocol,
        without_chunk,
        with_extra,
        forged_crate,
        without_crate,
    ],
    ids=lambda forge: forge.__name__,
)
def test_a_forger_who_writes_the_list_anew_meets_the_other_files(files, tmp_path, forge):
    """The list of sums fits: the description, the manifest of the cube and the checksums in JSON files do not."""
    verified = verify_archive(published.zipped(tmp_path / "a.zip", listed(forge(files))))
    assert verified.damaged
    assert verified.digest != verify_archive(published.zipped(tmp_path / "b.zip", files)).digest


def unsafe(name, **facts):
    return lambda files: [*files.items(), (info(name, **facts), b"evil")]


def link(files):
    return [*files.items(), (info("figures/link.svg", external_attr=(stat.S_IFLNK | 0o777) << 16), b"/etc/passwd")]


def device(files):
    return [*files.items(), (info("figures/null", external_attr=(stat.S_IFCHR | 0o666) << 16), b"")]


def duplicate(files):
    return [*files.items(), ("README.md", b"another")]


def bomb(files):
    return [*files.items(), ("zeros.bin", bytes(32 * 2**20))]


def file_and_folder(files):
    return [*files.items(), ("README.md/inner", b"x")]


#: Entries that must not be read; a name each, and what the refusal says of it.
UNSAFE = {
    "parent": (unsafe("../evil.txt"), "leaves"),
    "parent inside": (unsafe("figures/../../evil.txt"), "leaves"),
    "own folder": (unsafe("./README.md"), "leaves"),
    "absolute": (unsafe("/tmp/evil-of-elastic.txt"), "absolute"),
    "drive": (unsafe("C:/evil.txt"), "colon"),
    "backslash": (unsafe("..\\evil.txt"), "backslash"),
    "network": (unsafe("//server/share/evil.txt"), "absolute"),
    "stream": (unsafe("README.md:hidden"), "colon"),
    "empty part": (unsafe("figures//evil.svg"), "empty"),
    "control": (unsafe("evil\x1b[2J.txt"), "shown"),
    "right to left": (unsafe("evil\u202etxt.py"), "shown"),
    "device name": (unsafe("figures/CON.svg"), "device"),
    "trailing dot": (unsafe("README.md."), "dot"),
    "trailing space": (unsafe("figures /a.svg"), "dot or a space"),
    "long part": (unsafe("a" * 300), "too long"),
    "long path": (unsafe("/".join(["a" * 200] * 8)), "too long"),
    "symbolic link": (link, "symbolic link"),
    "device": (device, "neither"),
    "duplicate": (duplicate, "twice"),
    "case": (unsafe("readme.MD"), "case only"),
    "case of a folder": (unsafe("Figures/evil.svg"), "case only"),
    "composed letters": (
        lambda files: [*files.items(), ("caf\u00e9", b"x"), ("cafe\u0301", b"x")],
        "case only",
    ),
    "sharp s": (lambda files: [*files.items(), ("stra\u00dfe", b"x"), ("strasse", b"x")], "case only"),
    "file and folder": (file_and_folder, "at once"),
    "bomb": (bomb, "bomb"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", UNSAFE)
def test_an_unsafe_entry_is_refused_before_anything_is_unpacked(files, tmp_path, monkeypatch, kind):
    forge, result = UNSAFE[kind]
    path = published.zipped(tmp_path / "a.zip", forge(files))
    inside = tmp_path / "inside" / "deeper"
    inside.mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(inside))
    monkeypatch.setattr("tempfile.tempdir", str(inside))
    verified = verify_archive(path)
    assert "unsafe" in {one.state for one in verified.findings}
    assert any(result in one.found for one in verified.findings), verified.lines()
    assert all(line.isprintable() for line in verified.lines())
    with pytest.raises(Damaged, match="be safe to unpack"):
        unpack(open_archive(path), inside / "unpacked")
    with pytest.raises(Damaged, match="nothing was run"):
        reproduce(path, out=inside / "reproduced")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zip", "inside"]
    assert list(inside.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (replace(LIMITS, files=10), "entries"),
        (replace(LIMITS, total=10_000), "bytes unpacked"),
        (replace(LIMITS, metadata=1000), "read as a whole"),
        (replace(LIMITS, single=10_000), "more than 10000"),
        (replace(LIMITS, ratio=1, ratio_from=1000), "bomb"),
    ],
)
def test_limits_are_those_of_the_directory(archive, limits, text):
    assert any(text in wrong for _, wrong in open_archive(archive, limits).unsafe)


def test_a_directory_that_is_too_large_is_not_read(archive):
    with pytest.raises(Damaged, match="a directory of"):
        open_archive(archive, replace(LIMITS, directory=1000))


def test_a_file_that_is_read_whole_is_not_larger_than_its_kind(archive):
    opened = open_archive(archive)
    with opened.reading() as reader, pytest.raises(archives.ReadFailed, match="more than 100"):
        reader.read("README.md", replace(LIMITS, metadata=100))


def patched(path, at, data, target):
    raw = bytearray(path.read_bytes())
    raw[at : at + len(data)] = data
    target.write_bytes(bytes(raw))
    return target


def directory_of(path, name):
    """Return the offset of an entry in the directory of a ZIP file, and that of its local head."""
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        local = opened.getinfo(name).header_offset
        at = opened.start_dir
    while at >= 0:
        at = raw.index(b"PK\x01\x02", at)
        length = struct.unpack_from("<H", raw, at + 28)[0]
        if raw[at + 46 : at + 46 + length] == name.encode():
            return at, local
        at += 46 + length
    raise AssertionError(name)


def test_what_the_directory_says_of_an_entry_is_held_to_its_bytes(archive, tmp_path):
    """A wrong CRC, a wrong size, another local name, an odd method and encryption: each is told, none is believed."""
    entry, local = directory_of(archive, "README.md")
    target = tmp_path / "a.zip"
    cases = {
        "CRC": (entry + 16, b"\1\2\3\4"),
        "smaller": (entry + 24, struct.pack("<L", 10)),
        "larger": (entry + 24, struct.pack("<L", 10**6)),
        "local name": (local + 30, b"EVIL"),
        "method lzma": (entry + 10, struct.pack("<H", 14)),
        "method unknown": (entry + 10, struct.pack("<H", 99)),
        "encrypted": (entry + 8, struct.pack("<H", 1)),
        "strongly encrypted": (entry + 8, struct.pack("<H", 0x41)),
        "patch": (entry + 8, struct.pack("<H", 0x20)),
        "local head": (local, b"XXXX"),
        "offset beyond": (entry + 42, struct.pack("<L", 2**31)),
    }
    for name, (at, data) in cases.items():
        path = patched(archive, at, data, target)
        try:
            assert verify_archive(path).damaged, name
        except Damaged:
            continue
        with pytest.raises(Damaged):
            unpack(open_archive(path), tmp_path / name)


def test_entries_that_share_their_bytes_are_refused(archive, tmp_path):
    entry, local = directory_of(archive, "README.md")
    _, other = directory_of(archive, "analysis.ipynb")
    path = patched(archive, entry + 42, struct.pack("<L", other), tmp_path / "a.zip")
    assert any("those of" in wrong for _, wrong in open_archive(path).unsafe), local


def test_files_of_another_kind_are_the_user_s_mistake_and_torn_ones_are_damage(archive, tmp_path):
    (tmp_path / "notes.txt").write_text("not an archive")
    for path in (tmp_path / "notes.txt", tmp_path / "missing.zip", tmp_path):
        with pytest.raises(StudyError) as error:
            verify_archive(path)
        assert not isinstance(error.value, Damaged)
    raw = archive.read_bytes()
    for size in (0, 3, 30, len(raw) // 2, len(raw) - 1):
        (tmp_path / "torn.zip").write_bytes(raw[:size])
        with pytest.raises(Damaged):
            verify_archive(tmp_path / "torn.zip")


def test_another_zip_file_is_no_archive_of_a_study(tmp_path):
    verified = verify_archive(published.zipped(tmp_path / "a.zip", {"a.txt": b"a"}))
    assert states(verified) == {("SHA256SUMS", "missing")}


def test_random_damage_is_never_taken_for_whole(archive, tmp_path):
    """Every flipped byte is found, or changes nothing of the contents (a time, an attribute, a comment)."""
    raw, generator = archive.read_bytes(), np.random.default_rng(19)
    contents = published.files_of(archive)
    for at in generator.integers(0, len(raw), 40):
        path = patched(archive, int(at), bytes([raw[at] ^ 1 << int(generator.integers(8))]), tmp_path / "a.zip")
        try:
            if verify_archive(path).damaged:
                continue
        except ElasticError:
            continue
        with zipfile.ZipFile(path) as opened:
            assert {name: opened.read(name) for name in opened.namelist()} == contents


def test_links_in_an_unpacked_archive_are_not_followed(archive, tmp_path):
    folder = tmp_path / "unpacked"
    unpack(open_archive(archive), folder)
    (folder / "report.html").unlink()
    (folder / "report.html").symlink_to("/etc/passwd")
    assert states(verify_archive(folder)) == {("report.html", "unsafe")}
    shutil.rmtree(folder / "figures")
    (folder / "figures").symlink_to(tmp_path)
    assert ("figures", "unsafe") in states(verify_archive(folder))


def test_nothing_is_unpacked_over_files(archive, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    with pytest.raises(StudyError, match="be empty"):
        unpack(open_archive(archive), tmp_path / "there")
    assert [one.name for one in (tmp_path / "there").iterdir()] == ["mine.txt"]


def test_ordinary_names_are_safe():
    for name in (
        "cube.zarr/collapse/nc1/c/0/0",
        "figures/Größe 2.svg",
        "a/b/",
        ".zattrs",
        "console.txt",
        "..a/b.."[:3],
    ):
        assert wrong_name(name) == "", name


def test_a_bomb_that_lies_about_its_size_stops_at_what_it_says(files, tmp_path):
    """The directory says 10 bytes, the entry unpacks to 64 MB: no more than a block is read."""
    data = zlib.compress(bytes(64 * 2**20), 9)[2:-4]
    path = published.zipped(tmp_path / "a.zip", {**files, "bomb.bin": bytes(100)})
    raw = path.read_bytes()
    entry, local = directory_of(path, "bomb.bin")
    with zipfile.ZipFile(path) as opened:
        old = opened.getinfo("bomb.bin")
        start, directory = opened.start_dir, raw[opened.start_dir :]
    head = bytearray(raw[local : local + 30 + len("bomb.bin")])
    struct.pack_into("<LLL", head, 14, 0, len(data), 10)
    body = raw[:local] + bytes(head) + data
    shift = len(body) - start
    assert old.header_offset + 30 + len("bomb.bin") + old.compress_size == start, "the last entry"
    directory = bytearray(directory)
    struct.pack_into("<LLL", directory, entry - start + 16, 0, len(data), 10)
    struct.pack_into("<L", directory, len(directory) - 6, start + shift)
    path.write_bytes(body + bytes(directory))
    verified = verify_archive(path)
    assert ("bomb.bin", "added") in states(verified)
    with pytest.raises(Damaged, match=r"more bytes|CRC|fewer"):
        unpack(open_archive(path), tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "bomb.bin").stat().st_size <= 2**20
    assert decode_sums(files["SHA256SUMS"])
