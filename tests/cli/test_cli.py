"""The command line: exit codes that scripts can read, one clear sentence for every mistake, JSON that is only JSON."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from support import journals, processes, studies
from support.few_metrics import leave_few

import elastic
from elastic.__main__ import main
from elastic.cli import cli
from elastic.cli.group import SECTIONS
from elastic.progress import Watcher
from elastic.registry import PACKAGES, registry

ROOT = Path(elastic.__file__).parents[1]

#: A run of two epochs without probes.
QUICK = ("--set", "training.epochs=2", "--set", "probes.collapse=null", "--set", "probes.elasticity=null")

NETWORK = """
import torch

class Network(torch.nn.Module):
    def __init__(self, classes, input_shape, width=6, fails=False):
        super().__init__()
        self.hidden = torch.nn.Linear(input_shape[1] * input_shape[2], width)
        self.output = torch.nn.Linear(width, classes)
        self.fails = fails

    def forward(self, inputs):
        if self.fails and self.training:
            raise RuntimeError("out of ideas")
        return self.output(torch.relu(self.hidden(inputs.flatten(1))))
"""

EXTERNAL = "{name: external, target: 'my_network:Network', layers: [hidden]}"


@dataclass(frozen=True)
class Told:
    """What a command answered."""

    code: int
    out: str
    error: str


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return ``(*arguments) -> Told``: the command, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["elastic", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        result = capsys.readouterr()
        assert "Traceback" not in result.err + result.out
        return Told(code, result.out, result.err)

    return run


@pytest.fixture(scope="module")
def finished_study(study_of_few):
    return study_of_few


@pytest.fixture
def protocol(tmp_path, monkeypatch):
    """Return a protocol that is run with few metrics."""
    leave_few(monkeypatch)
    return studies.write(tmp_path / "protocols")


def one_object(text):
    """Return the one JSON object that is all of a text."""
    facts = json.loads(text)
    assert isinstance(facts, dict)
    return facts


# What works


def test_a_run_ends_with_what_it_found_and_what_to_type_next(command, protocol):
    result = command("run", protocol)
    assert result.code == 0
    assert Path("results/small/cube.zarr").is_dir()
    for shown in ("nc1", "locality", "penultimate", "accuracy at epoch 6", "cube:", "elastic plot results/small"):
        assert shown in result.out
    assert "seed=1: epoch 6/6" in result.error
    again = command("run", protocol)
    assert (again.code, again.out) == (0, result.out)
    assert "2 runs, 2 finished before" in again.error


def test_json_is_one_object_and_progress_goes_elsewhere(command, protocol):
    result = command("run", protocol, "--out", "here", "--json", *QUICK)
    facts = one_object(result.out)
    assert result.code == 0
    assert facts["sealed"] is True
    assert [(run["state"], run["epoch"], run["coordinates"]) for run in facts["runs"]] == [
        ("done", 2, {"seed": 0}),
        ("done", 2, {"seed": 1}),
    ]
    assert facts["folder"] == "here/small"
    assert "epoch 2/2" in result.error
    assert facts.pop("claims") == []
    assert facts.pop("standing")["claims"] == []
    assert one_object(command("status", "here/small", "--json").out) == facts


#: A claim that holds of every study, one that does not, and one that two seeds cannot decide.
HELD, WRONG, OPEN = (f"{{name: above, variable: loss, threshold: {value}}}" for value in (-1000, 1000, 0.2))


def test_a_run_ends_with_its_verdicts_and_a_refuted_claim_is_no_failed_run(command, protocol):
    protocol.write_text(studies.SMALL + f"claims: [{HELD}, {WRONG}]\n")
    result = command("run", protocol, *QUICK)
    assert result.code == 0
    for shown in ("✓ supported", "✗ refuted", "loss is above 1000", "claims:", "results/small/claims.json"):
        assert shown in result.out
    written = json.loads(Path("results/small/claims.json").read_text())
    assert [claim["verdict"] for claim in written["claims"]] == ["supported", "refuted"]
    assert one_object(command("run", protocol, *QUICK, "--json").out)["claims"] == written["claims"]


@pytest.mark.parametrize(
    ("claims", "code"), [([HELD], 0), ([HELD, OPEN], 0), ([HELD, WRONG, OPEN], 1), (["collapse_deepens_with_depth"], 0)]
)
def test_check_exits_with_1_if_a_claim_is_refuted(command, finished_study, tmp_path, claims, code):
    (tmp_path / "claims.yaml").write_text(f"claims: [{', '.join(claims)}]\n")
    before = studies.contents(finished_study.folder)
    result = command("check", finished_study.folder, "--claims", "claims.yaml")
    assert result.code == code
    assert result.out.count("claimed") == len(claims) - ("collapse_deepens_with_depth" in claims)
    result = command("check", finished_study.folder, "--claims", "claims.yaml", "--json")
    assert (result.code, result.error) == (code, "")
    assert len(one_object(result.out)["claims"]) == len(claims)
    assert studies.contents(finished_study.folder) == before


def test_check_tells_a_mistake_beside_the_other_verdicts(command, finished_study, tmp_path):
    right = "{name: below, variable: loss, threshold: 1000}"
    (tmp_path / "claims.yaml").write_text(f"claims:\n  - {{name: abov, variable: loss}}\n  - {right}\n")
    result = command("check", finished_study.folder, "--claims", "claims.yaml")
    assert (result.code, result.error) == (2, "")
    words = " ".join(result.out.split())
    assert "1 supported, 1 error" in words
    assert (
        "claims.yaml:2:12: `claims.0.name` should be one of the claims; found 'abov'; "
        "try 'above' (elastic list claims)" in words
    )
    result = command("check", finished_study.folder, "--claims", "claims.yaml", "--json")
    assert result.code == 2
    assert [claim["verdict"] for claim in one_object(result.out)["claims"]] == ["error", "supported"]


def test_settings_override_the_file(command, protocol):
    result = command("run", protocol, *QUICK, "--set", "axes.seed=[7]", "--set", "optimizer.lr=0.01", "--json")
    study = elastic.open_study("small")
    assert [run["coordinates"] for run in one_object(result.out)["runs"]] == [{"seed": 7}]
    assert study.protocol.optimizer.options["lr"] == 0.01


def test_status_tells_of_each_run(command, finished_study):
    result = command("status", finished_study.folder)
    assert result.code == 0
    assert "small: 2 of 2 runs ended, cube sealed" in result.out
    assert result.out.count("6/6") == 2
    assert result.error == ""


def test_a_study_is_known_by_its_name(command, protocol):
    command("run", protocol, *QUICK)
    assert command("status", "small").code == 0


@pytest.fixture
def three_figures(monkeypatch):
    """Leave `elastic plot` three figures to draw, in place of all, which tests/figures draw."""
    names = ("depth_profile", "training_curves", "axis_comparison")
    monkeypatch.setattr("elastic.figures.drawing.in_order", lambda: map(registry("figures").get, names))
    return set(names)


def test_figures_are_drawn_into_the_study(command, finished_study, tmp_path, three_figures):
    folder = tmp_path / "small"
    shutil.copytree(finished_study.folder, folder)
    result = command("plot", folder, "--format", "svg")
    assert result.code == 0
    paths = [Path(line) for line in result.out.splitlines()]
    drawn = {path.stem for path in paths}
    assert {"depth_profile", "training_curves"} <= drawn
    left_out = three_figures - drawn  # a comparison of settings, where there is one
    assert left_out
    assert all(f"{name} shows " in result.error for name in left_out)
    assert "elastic:" not in result.error  # what is left out is no mistake
    assert all(path.is_file() for path in paths)


def test_the_same_study_gives_the_same_drawings_of_the_figure_that_is_named(command, finished_study, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(finished_study.folder, tmp_path / name)
        drawn = command("plot", name, "--figure", "training_curves").out.splitlines()
        assert {Path(line).stem for line in drawn} == {"training_curves"}
    one, two = (studies.contents(tmp_path / name / "figures") for name in ("one", "two"))
    assert one == two
    assert len(one) == 3


def test_every_kind_of_name_is_listed(command):
    listed = one_object(command("list", "--json").out)
    assert set(listed) == {*PACKAGES, "sections", "protocols"}
    for kind in PACKAGES:
        assert set(listed[kind]) == set(registry(kind).names())
        result = command("list", kind)
        assert result.code == 0
        assert all(name in result.out for name in listed[kind])
        assert set(one_object(command("list", kind, "--json").out)) == {kind}
        assert all(listed[kind].values()), "a name without a summary"
        assert not [text for text in listed[kind].values() if "`" in text], "marks of code are for developers"


def test_protocols_of_the_folder_are_listed(command, protocol):
    (protocol.parent / "broken.yaml").write_text("name: [")
    result = command("list", "protocols")
    assert result.code == 0
    assert "protocols/small.yaml" in result.out
    assert "A small study" in result.out
    assert "not readable" in result.out


def test_a_name_of_several_kinds_is_shown_as_each_or_as_the_one_asked_for(command):
    result = command("show", "weights")
    assert result.code == 0
    assert "weights  (probe)" in result.out
    assert "weights  (protocol)" in result.out
    assert "one alone: elastic show weights --kind probes | protocols" in " ".join(result.out.split())
    assert "(protocol)" not in command("show", "weights", "--kind", "probes").out


def test_protocols_that_ship_are_listed_and_shown_in_any_folder(command):
    titles = one_object(command("list", "protocols", "--json").out)["protocols"]
    assert list(titles) == sorted(path.stem for path in (ROOT / "protocols").glob("*.yaml"))
    shown = " ".join(command("show", "quickstart").out.split())
    protocol = elastic.load_protocol("quickstart")
    for text in (
        protocol.title,
        protocol.question,
        "seed: 0, 1, 2",
        f"{len(protocol.cells)} runs, ",
        " on two cores",
    ):
        assert " ".join(text.split()) in shown
    for claim in ("nc1 falls from layer to layer", "locality is above 1 in every hidden layer"):
        assert claim in shown
    assert "[he2020local]" in shown


def test_a_start_is_written_shown_and_run(command):
    begun = command("new", "mine", "--from", "quickstart")
    assert (begun.code, begun.error) == (0, "")
    assert "elastic run mine.yaml" in begun.out
    assert command("show", "mine.yaml").code == 0
    small = ("--set", "axes.seed=[0]", "--set", "data.per_class=4", "--set", "model.widths=[4]", "--set", "claims=[]")
    result = command("run", "mine.yaml", *QUICK, *small, "--json")
    assert one_object(result.out)["folder"] == "results/mine"
    again = command("new", "mine.yaml")
    assert (again.code, again.out) == (2, "")
    assert "should be a new file; found mine.yaml, which exists" in again.error


def test_a_file_that_is_called_like_a_protocol_that_ships_is_told_of(command, tmp_path):
    (tmp_path / "quickstart.yaml").write_text("extends: quickstart\nname: lookalike\n")
    result = command("show", "quickstart")
    assert (
        result.error
        == "elastic: quickstart is the protocol that ships with elastic; the file of this folder is quickstart.yaml\n"
    )
    assert "lookalike" not in result.out
    assert command("show", "quickstart.yaml").out.startswith("lookalike")


def test_the_schema_of_protocols_accepts_the_ones_that_ship(command):
    from ruamel.yaml import YAML

    result = command("schema")
    schema = one_object(result.out)
    valid = jsonschema.validators.validator_for(schema)
    valid.check_schema(schema)
    shipped = list((ROOT / "protocols").glob("*.yaml"))
    assert shipped
    for path in shipped:
        valid(schema).validate(YAML(typ="safe").load(path))
    with pytest.raises(jsonschema.ValidationError):
        valid(schema).validate({"name": "a"})


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("run", "--help"), ("--version",)])
def test_help_and_version_are_no_mistakes(command, arguments):
    result = command(*arguments)
    assert result.code == 0
    assert result.out
    assert elastic.__version__ in result.out or "Usage: elastic" in result.out


def test_the_help_lists_every_command_whole(command):
    assert sorted(itertools.chain(*SECTIONS.values())) == sorted(cli.commands)
    assert command("--help").out.count("...") == 1  # after the arguments of the usage


@pytest.mark.parametrize("name", cli.commands)
def test_every_command_has_an_example_that_it_accepts_in_a_line_to_paste(command, name):
    (example,) = re.findall(r"^  Example: (.+)$", command(name, "--help").out, re.M)
    assert example == " ".join(cli.commands[name].help.split("Example:")[1].split())
    program, given, *words = shlex.split(example)
    assert (program, given) == ("elastic", name)
    arguments = words[: words.index(">")] if ">" in words else words
    cli.commands[name].make_context(name, arguments)


def test_a_network_of_one_s_own_beside_the_protocol_runs_where_it_is_allowed(command, protocol, monkeypatch):
    (protocol.parent / "my_network.py").write_text(NETWORK)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    before = list(sys.path)
    result = command("run", protocol, "--set", f"model={EXTERNAL}", "--allow", "my_network")
    assert result.code == 0
    assert sys.path == before
    cube = elastic.open_study("small").cube
    assert cube["collapse"].dataset["layer"].values.tolist() == ["input", "hidden", "logits"]
    assert cube["elasticity"].dataset["relative_similarity"].notnull().any()


# Mistakes: exit code 2, one sentence, no study


def write(text):
    def make(folder):
        path = folder / "mistake.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return [path]

    return make


def changed(old, new):
    assert old in studies.SMALL
    return write(studies.SMALL.replace(old, new))


def small(*options):
    return lambda folder: [studies.write(folder), *options]


MISTAKES = {
    "missing file": (lambda folder: ["nowhere.yaml"], "nowhere.yaml: the protocol should be a readable file"),
    "a folder": (lambda folder: [folder], "should be a file; found a folder"),
    "empty": (write(""), "should hold a protocol; found an empty file"),
    "binary": (write(bytes(range(256))), "mistake.yaml:2:118: the protocol should be text in UTF-8"),
    "bad yaml": (write("name: [a\ntitle: b\n"), "mistake.yaml:2:"),
    "no mapping": (write("- a\n"), "should be a mapping"),
    "key twice": (write("name: a\nname: b\n"), "mistake.yaml:2:1"),
    "alias": (write("name: &a b\ntitle: *a\n"), "mistake.yaml:1:7: the protocol should have no anchors"),
    "brackets": (write("a: " + "[" * 5000), "mistake.yaml:1:"),
    "too long": (write("# " + "a" * 2_000_000), "at most 1,000,000 bytes"),
    "unknown key": (changed("training:", "trainig:"), "try 'training'"),
    "unknown model": (changed("name: mlp", "name: mpl"), "mistake.yaml:5:15: `model.name` should"),
    "unknown option": (changed("norm:", "norms:"), "try 'norm'"),
    "negative epochs": (changed("epochs: 6", "epochs: -1"), "`training.epochs` should be greater than or equal to 1"),
    "nan": (changed("lr: 0.1", "lr: .nan"), "`optimizer.lr` should be a finite number"),
    "unknown source": (changed("he2023law", "he2023lawn"), "try 'he2023law'"),
    "not allowed": (small("--set", f"model={EXTERNAL}"), "--allow my_network (it runs that module's code)"),
    "no such module": (
        small("--set", f"model={EXTERNAL.replace('my_', 'no_')}", "--allow", "no_network"),
        "`no_network:Network` should be importable; found ModuleNotFoundError",
    ),
    "no data": (
        small("--set", "data={name: fashion_mnist, folder: /nowhere}"),
        "`/nowhere` should hold train-images-idx3-ubyte or train-images-idx3-ubyte.gz; found no such folder; "
        "try apt-get install dataset-fashion-mnist",
    ),
    "no file": (small("--set", "data={name: arrays, file: nowhere.npz}"), "`nowhere.npz` should be a readable .npz"),
    "too few samples": (small("--set", "data.per_class=100000"), "`data.per_class` should be 1 to 122"),
    "options that do not fit": (
        small("--set", "optimizer={name: sgd, lr: 0.1, nesterov: true}"),
        "`optimizer` sgd should have options that fit together; found Nesterov momentum requires a momentum",
    ),
    "model for images": (small("--set", "model={name: cnn, channels: [4], kernel_size: 99}"), "`kernel_size` should"),
    "no such device": (small("--device", "cuda:99"), "`training.device` should be a device of this machine"),
    "no device": (small("--device", "toaster"), "`training.device` should be a device of this machine"),
    "setting without value": (small("--set", "training.epochs"), "--set should be path=value"),
    "setting of nothing": (small("--set", "training.epoch=3"), "try 'epochs'"),
    "setting of bad yaml": (small("--set", "axes.seed=[0"), "--set axes.seed=[0"),
    "setting into a number": (small("--set", "training.epochs.many=3"), "`training.epochs` should be a mapping"),
    "axis of a variable": (
        small("--set", "axes.nc1={path: optimizer.lr, values: [0.1]}"),
        "`axes.nc1` should have another name",
    ),
    "out is a file": (small("--out", "here.yaml/small.yaml"), "should be"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_sentence_and_leaves_nothing(command, tmp_path, mistake):
    arguments, sentence = MISTAKES[mistake]
    (tmp_path / "here.yaml").mkdir()
    made = arguments(tmp_path / "here.yaml")
    before = sorted(tmp_path.rglob("*"))
    result = command("run", *made)
    assert result.code == 2
    assert result.out == ""
    (line,) = result.error.splitlines()
    assert line.startswith("elastic: ")
    assert " should " in line
    assert "; found " in line
    assert "; try " in line
    assert sentence in line
    assert sorted(tmp_path.rglob("*")) == before


QUESTIONS = {
    "unknown command": (["rum"], "No such command 'rum'"),
    "no command": ([], "Usage: elastic"),
    "no protocol": (["run"], "Missing argument 'PROTOCOL'"),
    "unknown flag": (["run", "a.yaml", "--fast"], "No such option"),
    "status of nothing": (["status", "nowhere"], "`STUDY` should be a study folder; found no such folder"),
    "status of a folder": (["status", "."], "`STUDY` should be a study folder; found no study.json in it"),
    "status of a file": (["status", __file__], "`STUDY` should be a study folder; found a file"),
    "check of nothing": (["check", "nowhere"], "`STUDY` should be a study folder; found no such folder"),
    "plot of nothing": (["plot", "nowhere"], "`STUDY` should be a study folder"),
    "unknown kind": (["list", "metric"], "'metric' is not one of"),
    "unknown name": (["show", "ncl"], "`NAME` should be registered; found 'ncl'; try 'nc1'"),
    "unknown protocol": (["plan", "quickstrat"], "found 'quickstrat'; try 'quickstart' (elastic list protocols)"),
    "unknown kind of a name": (["show", "nc1", "--kind", "metric"], "found 'metric'; try 'metrics'"),
    "start of nothing": (["new", "mine.yaml", "--from", "quickstar"], "found 'quickstar'; try 'quickstart'"),
    "start without a folder": (["new", "no/mine.yaml"], "try mkdir -p no"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_that_makes_no_sense_is_answered_with_what_does(command, question):
    arguments, answer = QUESTIONS[question]
    result = command(*arguments)
    assert (result.code, result.out) == (2, "")
    assert answer in result.error


def test_an_unknown_figure_is_told_with_the_nearest(command, finished_study, tmp_path):
    shutil.copytree(finished_study.folder, tmp_path / "small")
    result = command("plot", "small", "--figure", "depth_profil")
    assert result.code == 2
    assert "found 'depth_profil'; try 'depth_profile' (elastic list figures)" in result.error


def test_a_study_of_another_protocol_is_left_alone(command, finished_study, protocol, tmp_path):
    shutil.copytree(finished_study.folder, tmp_path / "results/small")
    before = studies.contents(tmp_path / "results")
    result = command("run", protocol, *QUICK)
    assert result.code == 2
    assert "training.epochs: 6 → 2" in result.error
    assert "--restart" not in result.error
    assert "--set name=small-2" in result.error
    assert studies.contents(tmp_path / "results") == before


WHOLE = {"cells": [], "protocol": {"name": "small"}, "digest": "a", "axes": {"seed": []}, "text": "", "provenance": {}}
DAMAGES = ["", "{", "[]", "null", *(json.dumps({k: v for k, v in WHOLE.items() if k != key}) for key in WHOLE)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_facts_of_a_study_are_named(command, protocol, tmp_path, damage):
    folder = tmp_path / "results/small"
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(damage)
    for arguments in (["status", folder], ["plot", folder], ["run", protocol]):
        result = command(*arguments)
        assert result.code == 4
        assert "study.json: `study.json` should be readable" in result.error
        assert "try deleting it and running its protocol again: the runs are kept" in result.error


def test_a_study_whose_facts_are_lost_finds_its_runs_again(command, finished_study, protocol, tmp_path):
    shutil.copytree(finished_study.folder, tmp_path / "results/small")
    (tmp_path / "results/small/study.json").unlink()
    result = command("run", protocol)
    assert result.code == 0
    assert "2 runs, 2 finished before" in result.error
    assert studies.journals(elastic.open_study("small")) == studies.journals(finished_study)


def test_a_study_that_has_not_begun_has_nothing_to_draw(command, finished_study, tmp_path):
    shutil.copytree(finished_study.folder, tmp_path / "small")
    shutil.rmtree(tmp_path / "small/runs")
    (tmp_path / "small/manifest.sha256").unlink()
    result = command("status", "small")
    assert result.code == 0
    assert "0 of 2 runs ended, cube not sealed" in result.out
    assert result.out.count("waiting") == 2
    drawn = command("plot", "small")
    assert (drawn.code, drawn.out) == (2, "")
    assert "the study should hold something that a figure shows" in drawn.error


def test_a_study_without_probes_has_only_the_figure_of_its_training(command, protocol):
    command("run", protocol, *QUICK)
    result = command("plot", "small", "--figure", "response_matrices")
    assert result.code == 2
    assert "figure response_matrices: " in result.error
    assert "try a protocol that probes it" in result.error
    result = command("plot", "small")
    assert (result.code, {Path(line).stem for line in result.out.splitlines()}) == (0, {"training_curves"})


@pytest.mark.usefixtures("three_figures")
def test_a_study_under_way_is_drawn_as_far_as_it_is(command, finished_study, tmp_path):
    shutil.copytree(finished_study.folder, tmp_path / "small")
    (tmp_path / "small/manifest.sha256").unlink()
    first, second = finished_study.runs()
    shutil.rmtree(tmp_path / "small/runs" / second.cell)
    journal = journals.expand(tmp_path / "small/runs" / first.cell)
    for epoch in (2, 3, 4, 5, 6):
        (journal / f"{epoch:06d}.npz").unlink()
    assert "1/6" in command("status", "small").out
    result = command("plot", "small", "--format", "svg")
    assert result.code == 0
    assert {Path(line).stem for line in result.out.splitlines()} == {"depth_profile", "training_curves"}


# Runs that fail


AXIS = {
    # Nesterov's rule needs a momentum, which torch says when the optimizer of that run is built.
    "options": "{path: optimizer.momentum, values: [0.9, 0.0]}",
    # A kernel larger than the image.
    "model": "{path: model, values: [{name: mlp, widths: [8]}, {name: cnn, kernel_size: 99}], labels: [mlp, cnn]}",
}


@pytest.mark.parametrize("kind", AXIS)
def test_a_run_that_fails_leaves_the_others_and_exits_with_3(command, protocol, kind):
    settings = ["--set", f"axes.tried={AXIS[kind]}", "--set", "optimizer={name: sgd, lr: 0.1, nesterov: true}"]
    if kind == "options":
        settings[-1] = "optimizer={name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}"
    else:
        settings[-1] = "optimizer={name: sgd, lr: 0.1}"
    result = command("run", protocol, *QUICK, *settings, "--json")
    assert (result.code, result.out) == (3, "")
    last = result.error.splitlines()[-1]
    assert last.startswith("elastic: every run should end; found ")
    assert {"options": "Nesterov momentum requires", "model": "`kernel_size` should be"}[kind] in last
    states = [run.state for run in elastic.open_study("small").runs()]
    assert states == ["done", "done", "waiting", "waiting"]
    cube = elastic.open_study("small").cube
    assert cube["training"].dataset["accuracy"].isel(tried=0).notnull().all()
    assert cube["training"].dataset["accuracy"].isel(tried=1).isnull().all()


def test_an_error_of_a_network_of_one_s_own_is_told_and_its_traceback_kept(command, protocol, tmp_path, monkeypatch):
    (tmp_path / "my_network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    axis = "{path: model.options.fails, values: [false, true]}"
    result = command("run", protocol, *QUICK, "--set", f"model={EXTERNAL[:-1]}, options: {{fails: false}}}}",
                   "--set", f"axes.fails={axis}", "--set", "axes.seed=[0]", "--allow", "my_network")  # fmt: skip
    assert result.code == 3
    assert "RuntimeError: out of ideas" in result.error
    good, bad = elastic.open_study("small").runs()
    assert (good.state, bad.epoch) == ("done", 0)
    kept = (Path("results/small/runs") / bad.cell / "traceback.txt").read_text()
    assert 'raise RuntimeError("out of ideas")' in kept
    assert "traceback.txt" in result.error


# As a program


#: Tells on standard error that a module is about to be loaded, so that a signal comes while it is.
ANNOUNCED = """
import sys
from elastic.__main__ import main

class Announcing:
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            print("here", file=sys.stderr, flush=True)

sys.meta_path.insert(0, Announcing())
main()
"""


def program(*arguments, cwd, start=("-m", "elastic")):
    return processes.started(
        [sys.executable, *start, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


class Beginning(Watcher):
    """Stops a study as its first run begins, and tells at which epoch that was."""

    def run_started(self, label, epochs, epoch):
        self.epoch = epoch
        raise KeyboardInterrupt


def test_ctrl_c_stops_after_an_epoch_and_the_same_command_goes_on(tmp_path, command, protocol):
    settings = ["--set", "axes.seed=[0]", "--set", "probes.collapse=null", "--set", "probes.elasticity=null"]
    arguments = ["run", protocol, *settings, "--set", "training.epochs=3000"]
    with program(*arguments, cwd=tmp_path) as running:
        while running.poll() is None and len(list(tmp_path.glob("results/small/runs/*/journal/*.npz"))) < 3:
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        out, error = running.communicate()
    assert running.returncode == 130
    assert out == ""
    assert "stopping after this epoch" in error
    assert error.splitlines()[-1] == "elastic: stopped; run the same command to resume"
    (run,) = elastic.open_study(tmp_path / "results/small").runs()
    assert run.state == "interrupted"
    assert 2 <= run.epoch < 3000

    begun = Beginning()
    with pytest.raises(KeyboardInterrupt):
        elastic.run(protocol, settings=[s for s in arguments[2:] if s != "--set"], watch=begun)
    assert begun.epoch == run.epoch


@pytest.mark.parametrize(("module", "number"), [("elastic.cli", signal.SIGINT), ("torch", signal.SIGTERM)])
def test_a_signal_before_anything_is_trained_is_no_traceback(tmp_path, protocol, module, number):
    many = ("--set", "training.epochs=100000")
    start = ("-c", ANNOUNCED.format(module=module))
    with program("run", protocol, *QUICK, *many, cwd=tmp_path, start=start) as running:
        assert running.stderr.readline() == "here\n"
        running.send_signal(number)
        _, error = running.communicate()
    assert running.returncode == 128 + number
    assert error.strip() == "elastic: stopped; run the same command to resume"
    assert not (tmp_path / "results").exists()


def test_the_program_exits_as_the_command_does(tmp_path):
    with program("status", "nowhere", cwd=tmp_path) as running:
        out, error = running.communicate()
    assert (running.returncode, out) == (2, "")
    assert error.startswith("elastic: nowhere: `STUDY` should be a study folder")


def test_a_reader_that_has_enough_is_no_error(tmp_path):
    with program("list", "protocols", cwd=tmp_path) as running:
        running.stdout.close()
        error = running.stderr.read()
    assert error == ""
