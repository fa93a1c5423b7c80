"""`elastic verify` names every damaged file by its path, and nothing else."""

from __future__ import annotations

import os
import random
import shutil
import tarfile
from pathlib import Path

import pytest
from support import corruption, studies

import elastic
from elastic.cube.owner import Owner
from elastic.errors import StudyError
from elastic.study.creation import make_study
from elastic.study.repair import repair
from elastic.study.verification import State, reading, verify

#: A sealed study of commit 58d9528, whose records carry no checksum.
BEFORE = Path(__file__).parents[1] / "cube" / "sealed_before.tar.xz"


@pytest.fixture(scope="module", params=corruption.MAKERS)
def study(request, few_metrics, made, tmp_path_factory):
    """Return a copy of a study, its files, and those of another one of its kind."""
    folder, files, others = made(request.param)
    return shutil.copytree(folder, tmp_path_factory.mktemp("study") / folder.name), files, others


def test_an_intact_study_has_no_finding(study):
    folder, files, _ = study
    verified = verify(folder)
    assert verified.damaged == []
    assert {one.path for one in verified.files if one.state is State.INTACT} == set(files)
    assert all(one.path.startswith("cube.zarr") for one in verified.findings)  # of a study that was taken up again
    assert verified.summary().startswith(f"{len(files)} files intact")


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.long) for seed in (2, 3, 4))])
def test_every_corruption_of_one_file_is_named_by_its_path(study, seed):
    folder, files, others = study
    draw = random.Random(seed)
    for number in range(15):
        damage, changed = corruption.drawn(draw, files, others)
        corruption.put(folder, changed)
        verified = verify(folder)
        named = {one.path for one in verified.damaged}
        corruption.put(folder, {name: files[name] for name in changed})
        text = f"{number}: {damage} of {sorted(changed)}; named {[str(one) for one in verified.damaged]}"
        assert set(changed) <= named, text
        assert len(named) <= len(changed) + 1, text


def test_a_run_folder_that_was_deleted_is_named(study):
    """Of a recorded study nothing else names it: its runs are the folders that are there."""
    folder, *_ = study
    if not (folder / "manifest.sha256").exists() or verify(folder).findings:
        pytest.skip("its cube is not sealed, or not of all runs")
    lost = sorted((folder / "runs").iterdir())[0]
    kept = lost.rename(folder.parent / lost.name)
    result = verify(folder).damaged
    kept.rename(lost)
    assert [str(one).partition(";")[0] for one in result] == [
        f"runs/{lost.name}: missing: its numbers are in the sealed cube"
    ]


def test_what_this_user_may_not_read_is_not_called_damaged(study, monkeypatch):
    """Nor is it moved away by a repair: its owner may find it intact."""
    folder, files, _ = study
    name = next(name for name in sorted(files) if name.endswith(("status.json", "study.json")))
    (folder / name).write_bytes(b"")  # as what cannot be read looks
    monkeypatch.setattr(reading.os, "access", lambda path, mode: mode == os.F_OK or path != folder / name)
    try:
        with pytest.raises(StudyError, match=r"should be readable; found Permission denied; try its permissions"):
            repair(folder)
        assert (folder / name).exists()
    finally:
        (folder / name).write_bytes(files[name])


def test_a_seal_that_a_dead_node_left_is_damaged_and_not_under_way(study):
    """Its marker names a process of another machine, whose end nobody has seen; its lock is free."""
    folder, files, _ = study
    chunk = next((name for name in sorted(files) if name.startswith("cube.zarr/") and "/c/" in name), "study.json")
    marker = folder / ".sealing.lock-owner.1"
    marker.write_bytes(Owner("node17", "far", 1, "1", True, "token").to_bytes())
    (folder / chunk).write_bytes(b"")
    named = {one.path for one in verify(folder).damaged}
    (folder / chunk).write_bytes(files[chunk])
    marker.unlink()
    assert chunk in named


def test_a_study_of_an_earlier_release_is_intact_as_far_as_it_can_be_checked(tmp_path):
    with tarfile.open(BEFORE) as archive:
        archive.extractall(tmp_path, filter="data")
    verified = verify(tmp_path)
    assert {one.state for one in verified.findings} == {State.NOT_CHECKABLE}
    assert verified.damaged == []
    assert "runs/716b2a1a3cd00b05/journal/ (2 files): not checkable: written by an earlier release" in "\n".join(
        verified.lines()
    )


def test_a_study_that_was_killed_while_it_was_begun_is_not_damaged(tmp_path):
    """Its study.json is written, its protocol.yaml not yet."""
    folder = tmp_path / "results/small"
    settings = (*studies.NO_PROBES, "training.epochs=1")
    make_study(folder, elastic.load_protocol(studies.write(tmp_path), settings=settings))
    (folder / "protocol.yaml").unlink()
    verified = verify(folder)
    assert not verified.damaged
    assert [one.path for one in verified.findings] == ["protocol.yaml"]
    assert not studies.run(tmp_path, *settings).verify().damaged
