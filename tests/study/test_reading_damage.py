"""Whoever reads a damaged study gets numbers that are right, or one line that names the file and the way out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support import corruption

import elastic
from elastic.errors import Damaged

pytestmark = pytest.mark.usefixtures("few_metrics")

#: What reads a study, the first part of it before any number is used.
READERS = {
    "status": lambda folder: elastic.open_study(folder).runs(),
    "cube": lambda folder: elastic.open_study(folder).cube.load(),
    "check": elastic.check,
}

#: Files that each reader needs, by the kind of study.
NEEDED = {
    "sealed": {
        "study.json": READERS,
        "protocol.yaml": READERS,
        "runs/*/status.json": ["status"],
        "cube.zarr/zarr.json": ["cube", "check"],
        "cube.zarr/collapse/nc1/c/0/0/0/0": ["cube", "check"],
    },
    "under way": {
        "study.json": READERS,
        "runs/*/layout.json": ["cube", "check"],
        "runs/*/status.json": READERS,
        "runs/*/journal/records.npz": ["cube", "check"],
    },
    "recorded": {"study.json": READERS, "runs/*/run.json": READERS, "runs/*/status.json": READERS},
}


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])


def another_thing(make):
    def replace(path):
        path.unlink()
        make(path)

    return replace


DAMAGE = {
    "cut short": cut_short,
    "a folder": another_thing(Path.mkdir),
    "a pipe": another_thing(os.mkfifo),
    "a device": another_thing(corruption.link_to_no_end),
}


@pytest.mark.parametrize("kind", NEEDED)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_in_one_line_with_the_file_and_the_way_out(made, tmp_path, kind, damage):
    folder = Path(shutil.copytree(made(kind)[0], tmp_path / "mine"))
    for name, readers in NEEDED[kind].items():
        path = sorted(folder.glob(name))[0]
        shutil.copy(path, tmp_path / "kept")
        DAMAGE[damage](path)
        if name.startswith("cube.zarr") and damage != "cut short":  # no seal: the numbers are read from the journals
            readers = ()
            elastic.open_study(folder).cube.load()
        for reader in readers:
            with pytest.raises(Damaged) as caught:
                READERS[reader](folder)
            text = str(caught.value)
            assert caught.value.exit_code == 4
            assert path.name in text or "cube.zarr" in text, (name, reader, text)
            assert str(folder) in text
            assert "; try " in text
            assert "\n" not in text
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(tmp_path / "kept", path)
    assert not elastic.open_study(folder).verify().damaged


@pytest.mark.parametrize("kind", NEEDED)
def test_a_lost_study_json_is_damage(made, tmp_path, kind):
    folder = Path(shutil.copytree(made(kind)[0], tmp_path / "mine"))
    (folder / "study.json").unlink()
    for read in READERS.values():
        with pytest.raises(Damaged, match=r"study\.json` should be there beside the runs; .* elastic verify --repair"):
            read(folder)
