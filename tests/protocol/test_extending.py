"""`extends`: what is taken over, what is replaced, where mistakes are, and what a study keeps."""

from __future__ import annotations

import pytest
from support import studies

import elastic
from elastic.errors import ElasticError
from elastic.protocol import load_claims, load_protocol

BASE = """\
name: base
title: A base
question: Why?
cites: [he2023law, he2020local]
data: {name: digits, per_class: 20, classes: [3, 5, 8]}
model: {name: mlp, widths: [10, 8], norm: batch}
optimizer:
  name: sgd
  lr: 0.1
  momentum: 0.9
  schedule: {name: multistep, milestones: [0.5]}
training: {epochs: 6, batch_size: 16}
axes:
  seed: [0, 1]
  decay: {path: optimizer.weight_decay, values: [0.0, 0.001]}
claims: [{name: collapse_deepens_with_depth, metric: nc1}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


def write(folder, text, name="own.yaml"):
    (folder / name).write_text(text)
    return folder / name


def written_out(folder, old, new):
    """Return the base with a part of its text exchanged."""
    assert old in BASE
    return load_protocol(write(folder, BASE.replace(old, new).replace("name: base", "name: own"), "flat.yaml"))


MERGES = {
    "nothing": ("", "name: base", "name: base"),
    "a number in a mapping": ("training: {epochs: 2}", "epochs: 6", "epochs: 2"),
    "a new key": ("training: {dtype: float64}", "batch_size: 16", "batch_size: 16, dtype: float64"),
    "a number two levels down": ("optimizer: {schedule: {gamma: 0.5}}", "[0.5]}", "[0.5], gamma: 0.5}"),
    "a list": ("data: {classes: [1, 2]}", "[3, 5, 8]", "[1, 2]"),
    "a component of the same name": ("model: {name: mlp, norm: layer}", "norm: batch", "norm: layer"),
    "a component without a name": ("model: {widths: [4]}", "[10, 8]", "[4]"),
    "a component of another name": ("model: {name: cnn}", "{name: mlp, widths: [10, 8], norm: batch}", "cnn"),
    "a component as its name": ("model: cnn", "{name: mlp, widths: [10, 8], norm: batch}", "cnn"),
    "an inner component": ("optimizer: {schedule: cosine}", "{name: multistep, milestones: [0.5]}", "cosine"),
    "a probe that is left out": ("probes: {elasticity: null}", "claims:", "probes: {elasticity: null}\nclaims:"),
    "seeds": ("axes: {seed: [7]}", "seed: [0, 1]", "seed: [7]"),
    "an axis": (
        "axes: {decay: {path: optimizer.momentum, values: [0.1, 0.5]}}",
        "{path: optimizer.weight_decay, values: [0.0, 0.001]}",
        "{path: optimizer.momentum, values: [0.1, 0.5]}",
    ),
    "an axis that is left out": (
        "axes: {decay: null}", "  decay: {path: optimizer.weight_decay, values: [0.0, 0.001]}\n", ""
    ),
    "claims": ("claims: []", "[{name: collapse_deepens_with_depth, metric: nc1}]", "[]"),
    "a new axis that varies with another": (
        "together: {both: [decay, drawn]}\naxes: {drawn: {path: data.seed, values: [1, 2]}}",
        "claims:", "  drawn: {path: data.seed, values: [1, 2]}\ntogether: {both: [decay, drawn]}\nclaims:",
    ),
    "words": ("question: null", "question: Why?\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", MERGES)
def test_what_extends_means_what_it_says_written_out(folder, case):
    own, old, new = MERGES[case]
    extended = load_protocol(write(folder, f"extends: base.yaml\nname: own\n{own}\n"))
    assert extended.digest == written_out(folder, old, new).digest
    again = load_protocol(write(folder, extended.text, "again.yaml"))
    assert again.digest == extended.digest
    assert "\nextends:" not in extended.text


def test_a_dim_of_axes_that_vary_together_is_replaced_or_left_out_as_a_whole(folder):
    axes = "axes: {size: {path: data.seed, values: [1, 2]}, rate: {path: optimizer.momentum, values: [0.1, 0.2]}}"
    write(
        folder, f"extends: base.yaml\nname: between\n{axes}\ntogether: {{both: [decay, size, rate]}}\n", "between.yaml"
    )
    replaced = load_protocol(write(folder, "extends: between.yaml\nname: own\ntogether: {both: [size, rate]}\n"))
    assert replaced.together["both"].axes == ["size", "rate"]
    assert list(replaced.grid.labels) == ["both", "decay", "seed"]
    assert load_protocol(write(folder, "extends: between.yaml\nname: own\ntogether: {both: null}\n")).together == {}


def test_names_paths_and_dictionaries_are_extended(folder, monkeypatch):
    digest = load_protocol({"extends": "quickstart", "name": "own"}).digest
    assert load_protocol(write(folder, "extends: quickstart\nname: own\n")).digest == digest
    (folder / "inner").mkdir()
    inner = write(folder / "inner", "extends: ../own.yaml\nname: own\n")
    assert load_protocol(inner).digest == digest
    monkeypatch.chdir(folder)
    assert load_protocol({"extends": "inner/own.yaml", "name": "own"}).digest == digest


def test_a_name_in_a_protocol_means_one_that_ships_whatever_lies_beside_it(folder):
    write(folder, BASE, "quickstart.yaml")
    write(folder, BASE, "quickstart")
    assert load_protocol(write(folder, "extends: quickstart\nname: own\n")).training.epochs != 6


MISTAKES = {
    "no name": ("extends: base.yaml\n", "own.yaml:1:1: `name` should be given"),
    "unknown name": ("name: own\nextends: quickstrat\n", "own.yaml:2:10: `extends` should be a protocol that ships"),
    "no such file": ("name: own\nextends: bas.yaml\n", "own.yaml:2:10: `extends` should be a file; found 'bas.yaml'"),
    "a folder": ("name: own\nextends: ./\n", "own.yaml:2:10: `extends` should be a file"),
    "a number": ("name: own\nextends: 5\n", "own.yaml:2:10: `extends` should be the name"),
    "a list": ("name: own\nextends: [base.yaml]\n", "own.yaml:2:10: `extends` should be the name"),
    "itself": ("name: own\nextends: own.yaml\n", "own.yaml:2:10: `extends` should not lead back to itself"),
    "a circle": ("name: own\nextends: round.yaml\n", "round.yaml:1:10: `extends` should not lead back to itself"),
    "own mistake": ("extends: base.yaml\nname: own\nmodel: {norm: bach}\n", "own.yaml:3:15: `model.norm` should"),
    "their mistake": ("extends: bad.yaml\nname: own\nmodel: {widths: [3]}\n", "bad.yaml:6:43: `model.norm` should"),
    "a mistake between": (
        "extends: base.yaml\nname: own\noptimizer: adam\naxes: {decay: {path: optimizer.momentum, values: [1]}}\n",
        "own.yaml:4:",
    ),
    "unknown key of theirs": ("extends: key.yaml\nname: own\n", "key.yaml:12:1: `trainig` should"),
    "broken": ("extends: broken.yaml\nname: own\n", "broken.yaml:1:"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_in_the_file_that_makes_it(folder, case):
    text, words = MISTAKES[case]
    write(folder, "extends: own.yaml\n", "round.yaml")
    write(folder, BASE.replace("norm: batch", "norm: bach"), "bad.yaml")
    write(folder, BASE.replace("training:", "trainig:"), "key.yaml")
    write(folder, "name: [", "broken.yaml")
    with pytest.raises(ElasticError) as caught:
        load_protocol(write(folder, text))
    assert words in str(caught.value)


def test_a_long_row_of_protocols_ends(folder):
    for place in range(20):
        write(folder, f"extends: own{place + 1}.yaml\nname: a\n", f"own{place}.yaml")
    write(folder, BASE, "own20.yaml")
    with pytest.raises(ElasticError, match="`extends` should be 16 protocols in a row at most"):
        load_protocol(folder / "own0.yaml")
    assert load_protocol(folder / "own10.yaml").name == "a"


def test_extends_is_no_setting(folder):
    with pytest.raises(ElasticError, match="--set extends=quickstart: `extends` should be set in the protocol"):
        load_protocol(folder / "base.yaml", settings=["extends=quickstart"])


def test_claims_are_taken_from_what_is_extended(folder):
    path = write(folder, "extends: base.yaml\nname: own\n")
    assert [claim.name for claim in load_claims(path)] == ["collapse_deepens_with_depth"]


def test_a_study_keeps_the_protocol_as_it_is_resolved(folder):
    quick = "probes: {collapse: null, elasticity: null}\ntraining: {epochs: 1}\nclaims: []\n"
    quick += "axes: {seed: [0], decay: null}\n"
    path = write(folder, f"extends: base.yaml\nname: own\n{quick}")
    study = elastic.run(path, out=folder / "results")
    kept = study.folder / "protocol.yaml"
    (folder / "base.yaml").unlink()
    assert load_protocol(kept).digest == study.digest
    assert "data: {name: digits" in kept.read_text() or "data:\n  name: digits" in kept.read_text()
    assert kept.read_text().startswith("# own.yaml, with 'base.yaml', which it extends\n")
    assert elastic.run(kept, out=folder / "results").digest == study.digest
    assert studies.contents(study.folder)
