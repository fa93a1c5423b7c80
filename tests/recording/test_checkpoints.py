"""Checkpoints recorded after the fact give the numbers of the live recording; a bad one is named and left out."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.recordings import PROBES, network, recorder, samples, step
from torch import nn

import elastic
from elastic.__main__ import main
from elastic.errors import ElasticError, StudyError

pytestmark = pytest.mark.usefixtures("unsealed")

EPOCHS = (0, 0.5, 1, 3)
ARGUMENTS = {"layers": ["1", "3"], "train": samples(), "test": samples(12, seed=1)}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """Return a folder with a live recording and a checkpoint of each of its epochs."""
    folder, model = tmp_path_factory.mktemp("live"), network()
    model = nn.Sequential(*model[:2], nn.BatchNorm1d(6), *model[2:])
    options = {"layers": ["1", "4"], "epochs": None, "probes": {**PROBES, "at": list(EPOCHS)}}
    with recorder(folder / "study", model, **options) as recording:
        for epoch in EPOCHS:
            if epoch:
                step(model)
            recording.record(epoch)
            torch.save(model.state_dict(), folder / f"{epoch}.pt")
    return folder


def build():
    torch.manual_seed(99)  # other weights than those that are loaded
    net = network(seed=7)
    return nn.Sequential(*net[:2], nn.BatchNorm1d(6), *net[2:])


def paths(live):
    return {epoch: live / f"{epoch}.pt" for epoch in EPOCHS}


def recorded(folder, checkpoints, **options):
    given = {**ARGUMENTS, "layers": ["1", "4"], "probes": {k: v for k, v in PROBES.items() if k != "at"}}
    return elastic.record_checkpoints(folder, build, checkpoints, **{**given, **options})


def test_checkpoints_give_the_numbers_of_the_live_recording_bit_by_bit(live, tmp_path):
    before = torch.get_rng_state()
    after, result = recorded(tmp_path, paths(live)).cube, elastic.open_study(live / "study").cube
    for group in ("training", "collapse", "elasticity"):
        assert after[group].to_dataset().identical(result[group].to_dataset())
    assert not torch.equal(before, torch.get_rng_state())  # `build` draws, as users' functions do


@pytest.mark.parametrize("form", ["nested", "parallel", "compiled", "own"])
def test_other_forms_of_checkpoints_are_read(live, tmp_path, form):
    state = torch.load(live / "3.pt", weights_only=True)
    forms = {
        "nested": {"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 0.1}},
        "parallel": {"state_dict": {f"module.{name}": value for name, value in state.items()}},
        "compiled": {f"_orig_mod.{name}": value for name, value in state.items()},
        "own": {"weights": state},
    }
    torch.save(forms[form], tmp_path / "3.pt")
    load = (lambda path: torch.load(path, weights_only=True)["weights"]) if form == "own" else None
    study = recorded(tmp_path / "study", {3: tmp_path / "3.pt"}, load=load)
    expected = elastic.open_study(live / "study").cube["collapse"]["nc1"].sel(epoch=[3])
    np.testing.assert_array_equal(study.cube["collapse"]["nc1"], expected)


def test_safetensors_are_read_by_their_ending(live, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(torch.load(live / "3.pt", weights_only=True), tmp_path / "3.safetensors")
    study = recorded(tmp_path / "study", {3: tmp_path / "3.safetensors"})
    expected = elastic.open_study(live / "study").cube["training"]["loss"].sel(epoch=[3])
    np.testing.assert_array_equal(study.cube["training"]["loss"], expected)


def test_safetensors_leave_out_the_second_name_of_a_tied_weight(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")

    def tied():
        net = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.Linear(5, 3))
        net[2].weight = net[0].weight
        return net

    net = tied()
    safetensors.save_model(net, str(tmp_path / "0.safetensors"))
    assert len(safetensors.load_file(tmp_path / "0.safetensors")) == len(net.state_dict()) - 1
    given = {"layers": ["1", "2"], "train": samples(), "probes": {"elasticity": None}}
    study = elastic.record_checkpoints(tmp_path / "study", tied, {0: tmp_path / "0.safetensors"}, **given)
    with elastic.Recorder(tmp_path / "live", net, epochs=1, **given) as recording:
        recording.record(0)
    expected = elastic.open_study(tmp_path / "live").cube["collapse"]["nc1"]
    np.testing.assert_array_equal(study.cube["collapse"]["nc1"], expected)


def damage(kind, good, path):
    data = good.read_bytes()
    if kind == "torn":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "foreign":
        torch.save(nn.Linear(2, 2).state_dict(), path)
    elif kind == "wider":
        torch.save({name: torch.cat([v, v]) if v.ndim else v for name, v in torch.load(good).items()}, path)
    elif kind == "number":
        torch.save(3, path)
    elif kind == "code":
        torch.save(nn.Linear(2, 2), path)


BAD = ("torn", "empty", "text", "foreign", "wider", "number", "code", "missing")


def test_bad_checkpoints_are_named_and_the_others_are_recorded(live, tmp_path):
    """One of each kind, between two that are whole."""
    bad = {1 + place / 10: kind for place, kind in enumerate(BAD)}
    for kind in BAD:
        damage(kind, live / "1.pt", tmp_path / f"{kind}.pt")
    with pytest.warns(UserWarning, match="is not recorded") as results:
        study = recorded(
            tmp_path / "study",
            {0.5: live / "0.5.pt", 3: live / "3.pt"} | {epoch: tmp_path / f"{kind}.pt" for epoch, kind in bad.items()},
        )
    for epoch, kind in bad.items():
        named = [str(one.message) for one in results if f"epoch {epoch:g} is not recorded: " in str(one.message)]
        assert len(named) == 1, kind
        assert re.search(rf"{kind}\.pt: the checkpoint should", named[0])
    result = elastic.open_study(live / "study").cube
    assert study.cube["training"]["epoch"].values.tolist() == [0.5, 3]
    for group in ("training", "collapse"):
        expected = result[group].to_dataset().sel(epoch=[0.5, 3])
        for name in expected.data_vars:
            np.testing.assert_array_equal(study.cube[group][name], expected[name], err_msg=name)


def test_no_checkpoint_that_can_be_read_is_an_error_and_leaves_no_run(live, tmp_path):
    (tmp_path / "bad.pt").write_bytes(b"")
    with pytest.warns(UserWarning, match="epoch 1"), pytest.raises(StudyError, match=r"bad\.pt"):
        recorded(tmp_path / "study", {1: tmp_path / "bad.pt"})
    assert list((tmp_path / "study" / "runs").glob("*/journal/*.npz")) == []


@pytest.mark.parametrize(
    ("checkpoints", "match"),
    [({}, "found none"), (["a.pt"], "found list"), ({"1": "a.pt"}, "have epochs for keys"), ({True: "a.pt"}, "epochs")],
)
def test_checkpoints_are_paths_by_epoch(tmp_path, checkpoints, match):
    with pytest.raises(ElasticError, match=match):
        recorded(tmp_path, checkpoints)


def test_build_returns_a_network(live, tmp_path):
    with pytest.raises(ElasticError, match=r"`build` should be a function .*; found a Sequential; try build=lambda"):
        elastic.record_checkpoints(tmp_path / "study", nn.Sequential(nn.Linear(2, 2)), {0: "0.pt"}, train=None)
    with pytest.raises(ElasticError, match=r"`build` should return an nn\.Module"):
        elastic.record_checkpoints(tmp_path, dict, paths(live), **ARGUMENTS)


BUILDER = """
import sys
sys.path[:0] = {paths!r}
import test_checkpoints as cases

def everything():
    return {{"model": cases.build(), **cases.ARGUMENTS, "layers": ["1", "4"], "probes": {{"elasticity": None}}}}

def little():
    return cases.build()

def misspelt():
    return {{**everything(), "lyers": []}}

def raising():
    raise ValueError("mine")
"""


@pytest.fixture
def command(live, tmp_path, monkeypatch, capsys):
    """Return ``(*arguments) -> CompletedProcess`` of ``elastic record`` beside a module ``my_builder``."""
    here = Path(__file__).parent
    (tmp_path / "my_builder.py").write_text(BUILDER.format(paths=[str(here), str(here.parent)]))
    (tmp_path / "saved").mkdir()
    for epoch in EPOCHS:
        shutil.copy(live / f"{epoch}.pt", tmp_path / "saved" / f"net_v2_epoch_{epoch}.pt")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["elastic", "record", *arguments])
        monkeypatch.delitem(sys.modules, "my_builder", raising=False)
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        result = capsys.readouterr()
        return SimpleNamespace(returncode=code, stdout=result.out, stderr=result.err)

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # to which the builder adds
    yield run
    sys.modules.pop("my_builder", None)


BUILD = ("--build", "my_builder:everything", "--out", "study")


def test_the_command_records_a_folder(command, live, tmp_path):
    done = command("saved", *BUILD, "--allow", "my_builder", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["problems"] == []
    expected = elastic.open_study(live / "study").cube["training"].to_dataset()
    study = elastic.open_study(tmp_path / "study").cube["training"].to_dataset()
    for name in ("epoch", "loss", "accuracy"):
        np.testing.assert_array_equal(study[name], expected[name])


def test_the_command_names_a_bad_checkpoint_and_exits_with_3(command, tmp_path):
    (tmp_path / "saved" / "net_v2_epoch_1.pt").write_bytes(b"")
    done = command("saved", *BUILD, "--allow", "my_builder")
    assert done.returncode == 3
    assert "epoch 1 is not recorded" in done.stderr
    assert "Traceback" not in done.stderr
    assert elastic.open_study(tmp_path / "study").cube["training"]["epoch"].values.tolist() == [0, 0.5, 3]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["saved", *BUILD], "be of a module that the command line allows"),
        (["none", *BUILD, "--allow", "my_builder"], "be a folder of checkpoints"),
        (["saved", "--build", "my_builder:little", "--out", "s", "--allow", "my_builder"], "model and train"),
        (["saved", "--build", "my_builder:misspelt", "--out", "s", "--allow", "my_builder"], "'layers'"),
        (["saved", "--build", "my_builder:nothing", "--out", "s", "--allow", "my_builder"], "be importable"),
        (["saved", "--build", "my_builder:litle", "--out", "s", "--allow", "my_builder"], "try 'little'"),
        (["saved", "--build", "my_builder.little", "--out", "s", "--allow", "my_builder"], "try my_builder:little"),
        (["saved", "--build", "my_builder:raising", "--out", "s", "--allow", "my_builder"], "ValueError: mine"),
    ],
)
def test_mistakes_on_the_command_line_are_told_in_one_sentence(command, arguments, text):
    done = command(*arguments)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr
