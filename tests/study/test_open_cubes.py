"""A cube that is open while its study is repaired: the numbers of the seal that was opened, or an error."""

from __future__ import annotations

import shutil
import threading

import pytest
from support import recordings, studies

import elastic
from elastic.cube import Journal, sealing
from elastic.errors import StudyError
from elastic.protocol import load_protocol
from elastic.study import description
from elastic.study.creation import make_study
from elastic.study.discarding import discard_runs
from elastic.study.repair import repair
from elastic.study.verification import verify


@pytest.fixture(scope="module")
def ended(few_metrics, tmp_path_factory):
    return studies.run(tmp_path_factory.mktemp("ended"), "probes.elasticity=null", "training.epochs=2")


@pytest.fixture
def study(ended, tmp_path):
    shutil.copytree(ended.folder, tmp_path / "small")
    return elastic.open_study(tmp_path / "small")


def yaml(study, seeds):
    """Return the path of the study's protocol with other seeds."""
    path = study.folder.parent / "asked.yaml"
    path.write_text(study.facts["text"].replace("[\n   0,\n   1\n  ]", seeds).replace("seed: [0, 1]", f"seed: {seeds}"))
    return path


def test_a_repair_takes_no_chunk_away_before_the_cube_is_sealed_anew(study, monkeypatch):
    """Plain xarray would read it as NaN."""
    chunk = study.folder / "cube.zarr/training/loss/c/0/0/0"
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[:-1])
    seal, there = type(study).seal, []

    def sealing(study, **options):
        there.append(chunk.read_bytes() == whole[:-1])
        seal(study, **options)

    monkeypatch.setattr(type(study), "seal", sealing)
    repaired = repair(study.folder)
    assert there == [True]
    assert not repaired.left.damaged
    assert (study.folder / "damaged" / chunk.relative_to(study.folder)).read_bytes() == whole[:-1]


def test_a_restart_whose_process_dies_on_the_way_leaves_no_half_run(study, monkeypatch):
    def die(path):
        if path.exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", die)
        with pytest.raises(KeyboardInterrupt):
            discard_runs(study.folder)
    assert not (study.folder / "runs").exists()
    assert not (study.folder / "study.json").exists()
    make_study(study.folder, study.protocol)
    assert not verify(study.folder).damaged
    assert not list(study.folder.glob("**/*.npz"))


def test_a_seal_whose_process_dies_before_the_manifest_is_no_damage(study, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    (study.folder / "manifest.sha256").unlink()
    assert [str(one) for one in study.verify().damaged] == ["manifest.sha256: missing"]
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "write_manifest", die)
        with pytest.raises(KeyboardInterrupt):
            study.seal()
    assert not study.verify().damaged
    study.seal()
    assert not study.verify().damaged
    assert not list(study.folder.glob("cube.zarr.*"))


def test_a_study_that_is_sealed_while_it_is_extended_keeps_its_new_protocol(study, monkeypatch):
    """The process that extends it has moved protocol.yaml aside; the one that seals takes it for lost."""
    extended, write, sealed = load_protocol(yaml(study, "[0, 1, 2]")), description.write_facts, []

    def seal():
        with pytest.raises(StudyError, match="another process has begun there since"):
            study.seal()
        sealed.append(True)

    other = threading.Thread(target=seal)

    def while_another_seals(folder, facts):
        assert not (folder / "protocol.yaml").exists()
        other.start()
        other.join(0.3)  # it waits
        write(folder, facts)

    monkeypatch.setattr(description, "write_facts", while_another_seals)
    made = make_study(study.folder, extended)
    other.join()
    assert sealed
    assert elastic.open_study(study.folder).digest == made.digest == extended.digest
    assert not verify(study.folder).damaged


def test_a_sealed_cube_of_fewer_runs_is_not_opened(study):
    make_study(study.folder, load_protocol(yaml(study, "[0, 1, 2]")))
    assert (study.folder / "manifest.sha256").exists()
    assert elastic.open_study(study.folder).cube["training"]["seed"].values.tolist() == [0, 1, 2]


def test_a_seal_writes_a_protocol_that_was_lost(study):
    before = (study.folder / "protocol.yaml").read_bytes()
    (study.folder / "protocol.yaml").unlink()
    study.seal()
    assert (study.folder / "protocol.yaml").read_bytes() == before


def test_a_recording_that_dies_while_it_is_compacted_is_no_damage(tmp_path, monkeypatch):
    """A record that is left names the one before it, whose file is gone."""

    def die(journal, *, verified=False):
        journal.path(0).with_name("000000.npz").unlink(missing_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "remove_compacted", lambda *_, **__: None)
        recording = recordings.recorder(tmp_path / "mine").__enter__()
        for epoch in range(2):
            recording.record(epoch)
        patch.setattr(Journal, "remove_compacted", die)
        with pytest.raises(KeyboardInterrupt):
            recording.close()
    assert {path.name for path in tmp_path.glob("mine/runs/*/journal/*")} == {"records.npz", "000001.npz"}
    assert not verify(tmp_path / "mine").damaged
