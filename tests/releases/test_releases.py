"""Studies of earlier releases open, resume and extend: `make` made them with each release's own code."""

from __future__ import annotations

import io
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from click.testing import CliRunner
from releases import make
from support.report_pages import drawing

import elastic
from elastic.checkpoint import FILE, load_checkpoint, save_checkpoint
from elastic.cli import cli
from elastic.cube import verify_manifest
from elastic.progress import Lines
from elastic.protocol import load_protocol
from elastic.study import Study
from elastic.study.runner import as_begun

HERE = Path(__file__).parent
RELEASES = sorted(path.parent.name for path in HERE.glob("*/numbers.json"))
KEPT = sorted((path.parent.name, path.name.removesuffix(".tar.xz")) for path in HERE.glob("*/*.tar.xz"))
STOPPED = [kept for kept in KEPT if kept[1] in make.STOPS]

#: What is trained or probed anew on another machine may differ in the last bits, and by what they grow to.
CLOSE = {"rtol": 1e-3, "atol": 1e-5}


def kept(*names):
    """Return the releases that have these studies."""
    return [release for release in RELEASES if all((release, name) in KEPT for name in names)]


def numbers_of(release, name):
    result = json.loads((HERE / release / "numbers.json").read_text())[name]
    return {path: np.array(values, dtype=float) for path, values in result.items()}


def check_numbers(cube, expected, **tolerance):
    """Hold a cube against numbers that a release told of it; bit for bit unless a tolerance is given."""
    numbers = make.numbers(cube)
    assert expected.keys() == numbers.keys()
    for path, values in expected.items():
        result = np.array(numbers[path], dtype=float)
        if tolerance:
            np.testing.assert_allclose(result, values, **tolerance, err_msg=path)
        else:
            np.testing.assert_array_equal(result, values, err_msg=path)


def kept_numbers(cube, expected):
    """Hold all numbers of a release against a cube that has more: those that it had are the same, bit for bit."""
    numbers = make.numbers(cube)
    for path, values in expected.items():
        result = np.array(numbers[path], dtype=float)
        known = ~np.isnan(values)
        assert known.any(), path
        np.testing.assert_array_equal(result[known], values[known], err_msg=path)


def journals(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.glob("runs/*/journal/*.npz")}


def resume(folder, *settings, **options):
    """Run the protocol that stands in a study's folder again, as a user who kept only the folder would."""
    protocol = shutil.copy(folder / "protocol.yaml", folder.parent / "again.yaml")
    return elastic.run(protocol, out=folder.parent, settings=settings, **options)


def tell(*arguments):
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("release", "name"), KEPT)
def test_it_opens_with_the_numbers_that_it_had(unpack, release, name):
    study = elastic.open_study(unpack(release, name))
    check_numbers(study.cube, numbers_of(release, name))


@pytest.mark.parametrize(("release", "name"), KEPT)
def test_every_command_that_reads_takes_it(unpack, monkeypatch, release, name):
    folder = unpack(release, name)
    runs = json.loads(tell("status", folder, "--json"))["runs"]
    states = {"sealed": ["done", "done"], "recorded": ["done", "interrupted"]}
    assert [run["state"] for run in runs] == states.get(name, ["done", "interrupted"])
    if name in make.STOPS:
        assert runs[1]["epoch"] == make.STOP[1] + (name == "within_epoch")
    claims = json.loads(tell("check", folder, "--json"))["claims"]
    assert [claim["name"] for claim in claims] == ([] if name == "recorded" else ["collapse_deepens_with_depth"])
    if name == "between_epochs":  # its records are those of a study that is stopped within an epoch
        return
    # One figure of each probe, and the charts, of a study that is finished; what is under way is told without pictures.
    if name != "sealed":
        monkeypatch.setattr("elastic.report.page.EXPLORERS", ())
    with drawing(*(["depth_profile", "response_matrices"] if name == "sealed" else [])):
        page = Path(tell("report", folder).replace("\n", ""))
    assert page.stat().st_size > 10_000


@pytest.mark.parametrize(("release", "name"), KEPT)
def test_its_cells_have_the_names_that_they_had(unpack, release, name):
    study = elastic.open_study(unpack(release, name))
    if not study.recorded:
        assert study.protocol.digest == study.digest
        named = {cell["digest"]: cell["coordinates"] for cell in study.cells}
        assert {cell.digest: cell.coordinates for cell in study.protocol.cells} == named
    assert {path.name for path in study.folder.glob("runs/*")} == {cell["digest"] for cell in study.cells}


@pytest.mark.parametrize(("release", "name"), STOPPED)
def test_one_that_was_stopped_is_resumed(unpack, monkeypatch, release, name):
    """It is sealed at its end where it was stopped within an epoch; the other's cube is read from its journals."""
    is_sealing = name == "within_epoch"
    if not is_sealing:
        monkeypatch.setattr(Study, "seal", lambda self: None)
    folder = unpack(release, name)
    digest, log = elastic.open_study(folder).digest, io.StringIO()
    study = resume(folder, watch=Lines(log))
    assert study.digest == digest
    assert "1 finished before" in log.getvalue()
    assert f"resumed after epoch {make.STOP[1]} " in log.getvalue()
    assert {run.state for run in study.runs()} == {"done"}
    assert not is_sealing or verify_manifest(folder) == []
    cube = elastic.open_study(folder).cube
    kept_numbers(cube, numbers_of(release, name))
    check_numbers(cube, numbers_of(release, "sealed"), **CLOSE)


@pytest.mark.usefixtures("unsealed")
@pytest.mark.parametrize("release", kept("between_epochs"))
def test_one_that_was_stopped_is_resumed_under_another_environment(unpack, release):
    folder = unpack(release, "between_epochs")
    (checkpoint,) = [path for path in folder.glob(f"runs/*/{FILE}") if not (path.parent / "status.json").exists()]
    state, environment = load_checkpoint(checkpoint.parent, checkpoint.parent.name)
    other = environment | {"cpu_capability": "SVE256", "torch": "2.9.0", "machine": "aarch64"}
    save_checkpoint(checkpoint.parent, checkpoint.parent.name, state, other)
    log = io.StringIO()
    study = resume(folder, watch=Lines(log))
    assert f"torch 2.9.0 → {torch.__version__}" in log.getvalue()
    assert "the same bits are not promised" in log.getvalue()
    check_numbers(study.cube, numbers_of(release, "sealed"), **CLOSE)


@pytest.mark.parametrize("release", kept("sealed"))
def test_a_sealed_one_is_extended_by_a_seed(unpack, release):
    folder = unpack(release, "sealed")
    before, old = journals(folder), elastic.open_study(folder).cube["collapse"].dataset.load()
    study = resume(folder, "axes.seed=[0, 1]")
    assert journals(folder).items() > before.items()
    cube = elastic.open_study(folder).cube
    new = cube["collapse"].dataset.load()
    for name in old.data_vars:
        xr.testing.assert_equal(new[name].sel(seed=[0]).drop_vars("role", errors="ignore"),
                                old[name].drop_vars("role", errors="ignore"))  # fmt: skip
    kept_numbers(cube.sel(seed=[0]), numbers_of(release, "sealed"))
    check_numbers(cube, numbers_of(release, "extended"), **CLOSE)
    assert [run.state for run in study.runs()] == ["done"] * 4
    assert verify_manifest(folder) == []


@pytest.mark.parametrize("release", kept("sealed"))
def test_a_sealed_one_is_left_as_it_is_when_it_is_run_again(unpack, release):
    folder = unpack(release, "sealed")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    resume(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("release", kept("recorded"))
def test_runs_are_added_to_a_recorded_one(unpack, monkeypatch, release):
    folder = unpack(release, "recorded")
    with monkeypatch.context() as patch:
        patch.setattr(Study, "seal", lambda self: None)  # once the second has ended, too
        make.record(folder, 1)  # which was under way
    make.record(folder, 2)
    study = elastic.open_study(folder)
    assert [run.state for run in study.runs()] == ["done"] * 3
    kept_numbers(study.cube.sel(seed=[0, 1]), numbers_of(release, "recorded"))
    check_numbers(study.cube, numbers_of(release, "recorded on"), **CLOSE)


def test_no_study_is_large():
    sizes = {path.name: path.stat().st_size for path in HERE.glob("*/*.tar.xz")}
    assert max(sizes.values()) < 200_000


def test_every_release_is_told_in_the_list():
    text = (HERE / "README.md").read_text()
    assert [release for release in RELEASES if f"`{release}`" not in text] == []


@pytest.mark.parametrize("release", kept("between_epochs"))
def test_a_lost_study_json_does_not_begin_its_runs_anew(release, unpack):
    """The names of the runs tell that they were begun without the options that came later."""
    folder = unpack(release, "between_epochs")
    before = elastic.open_study(folder)
    (folder / "study.json").unlink()
    loaded = load_protocol(folder / "protocol.yaml")
    result = as_begun(loaded, folder, partial(load_protocol, folder / "protocol.yaml"))
    assert loaded.digest != before.digest
    assert result.digest == before.digest
