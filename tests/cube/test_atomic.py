from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from support import processes

import elastic
from elastic.cube import Journal, remove_partials, write_atomically, write_layout
from elastic.cube.atomic import translate_os_errors
from elastic.errors import Damaged, StudyError

ROOT = Path(elastic.__file__).parents[1]


def failing(number):
    def fail(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return fail


def test_a_file_is_written_with_its_folders(tmp_path):
    write_atomically(tmp_path / "a" / "b" / "c.json", b"one")
    write_atomically(tmp_path / "a" / "b" / "c.json", b"two")
    assert (tmp_path / "a" / "b" / "c.json").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.json"]


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    steps = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append(os.path.realpath(f"/proc/self/fd/{fd}")), fsync(fd)))
    monkeypatch.setattr(Path, "replace", lambda self, new: (steps.append("rename"), replace(self, new))[1])
    write_atomically(tmp_path / "c.json", b"one")
    assert [Path(step).suffix or step for step in steps] == [".partial", "rename", str(tmp_path)]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "No space left on device; try freeing space"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "running again"),
    ],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, number, text):
    write_atomically(tmp_path / "c.json", b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(number))
        with pytest.raises(StudyError, match=text):
            write_atomically(tmp_path / "c.json", b"new")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"c.json": b"old"}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_is_told(tmp_path, monkeypatch, number):
    monkeypatch.setattr(Path, "open", failing(number))  # the tests may run as root, who may write anywhere
    with pytest.raises(StudyError, match=rf"{os.strerror(number)}; try a place"):
        write_atomically(tmp_path / "c.json", b"new")


@pytest.mark.parametrize(("number", "kind"), [(errno.EISDIR, Damaged), (errno.EACCES, StudyError)])
def test_a_file_that_may_not_be_read_is_not_damaged(number, kind):
    with pytest.raises(StudyError) as caught, translate_os_errors(Path("a.json"), "be readable"):
        failing(number)()
    assert type(caught.value) is kind


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(StudyError, match=r"try another place .*: a file has this name"):
        write_atomically(tmp_path / "results" / "c.json", b"new")


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "c.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_only_partials_are_removed(tmp_path):
    for name in (".a.json.1-ab.partial", "a.json", ".hidden", "b.partial"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.json", "b.partial"]


def test_a_journal_on_a_full_disk_keeps_its_records_and_goes_on(tmp_path, monkeypatch, make_layout, make_record):
    layout = make_layout()
    write_layout(tmp_path, layout)
    journal = Journal(tmp_path, writing=True)
    journal.append(0, make_record(layout, 0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(StudyError, match="No space left"):
            journal.append(1, make_record(layout, 1))
    assert [path.name for path in journal.folder.iterdir()] == ["000000.npz"]
    journal.append(1, make_record(layout, 1))
    assert journal.epochs() == [0, 1]


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, xarray as xr
from elastic.cube import is_sealed, seal, verify_manifest, write_atomically
from elastic.cube.atomic import translate_os_errors
from elastic.errors import Damaged, StudyError

folder = Path(sys.argv[1])
small = xr.DataTree.from_dict({"/training": xr.Dataset({"loss": (("seed",), np.arange(2.0))})})
large = xr.DataTree.from_dict({"/training": xr.Dataset({"loss": (("seed",), np.random.rand(99_999))})})
seal(small, folder)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (lambda: write_atomically(folder / "a.bin", bytes(200_000)), lambda: seal(large, folder)):
    try:
        write()
    except StudyError as error:
        assert "File too large" in str(error) and "ulimit" in str(error), error
    else:
        raise SystemExit("nothing was raised")
assert is_sealed(folder) and not verify_manifest(folder)
print(sorted(path.name for path in folder.iterdir()))
"""


def test_a_real_write_that_the_system_cuts_short_leaves_no_torn_file_and_the_old_cube(tmp_path):
    done = processes.run([sys.executable, "-c", LIMITED, tmp_path], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "['.sealing.lock', 'cube.zarr', 'manifest.sha256']"
