"""Protocols by name, by path and as dictionaries."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies
from ruamel.yaml import YAML
from support import studies

import elastic
from elastic.errors import ElasticError
from elastic.protocol import Protocol, load_protocol
from elastic.protocol.shipped import shipped_protocols
from elastic.protocol.sources import find_protocol

SMALL = YAML(typ="safe").load(studies.SMALL)


def refused(given, **options):
    with pytest.raises(ElasticError) as caught:
        load_protocol(given, **options)
    assert type(caught.value).__module__ == "elastic.errors"
    return str(caught.value)


def test_every_protocol_of_the_repository_ships_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path(elastic.__file__).parents[1] / "protocols"
    assert sorted(shipped_protocols()) == sorted(path.stem for path in folder.glob("*.yaml"))
    for name, path in shipped_protocols().items():
        assert path.read_bytes() == (folder / f"{name}.yaml").read_bytes()
        assert find_protocol(name).folder == Path()
    assert load_protocol("quickstart").name == "quickstart"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("quickstrat", "found 'quickstrat'; try 'quickstart' (elastic list protocols)"),
        ("quick", "try 'quickstart'"),
        ("mine", "found 'mine'; try 'mine.yaml'"),
        ("", "found ''"),
        ("folder", "found 'folder', which is a folder"),
        ("quickstart.yaml", "quickstart.yaml: the protocol should be a readable file; found no such file"),
        ("quickstart.yaml", "try 'quickstart'"),
        ("protocols/quickstart.yaml", "try 'quickstart'"),
        ("folder/bas.yaml", "try 'folder/base.yaml'"),
        ("x" * 5000, "should be the name of a protocol that ships"),
        ("a\0b", "a\\x00b: the protocol should be a readable file; found "),
        ("a\0b", "embedded null"),  # the words of Python, which differ between its versions
        (5, "`protocol` should be a name, a path or a dictionary; found 5 (int)"),
        (None, "found null (NoneType)"),
    ],
)
def test_what_is_no_protocol_is_told_with_what_is_meant(tmp_path, monkeypatch, given, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("mine.yaml", "folder/base.yaml"):
        (tmp_path / name).write_text(studies.SMALL)
    assert words in refused(given)


def test_a_file_of_the_name_wins_and_both_are_told_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text(studies.SMALL)
    with pytest.warns(UserWarning, match="quickstart is a file of this folder; the protocol of that name that ships"):
        assert load_protocol("quickstart").name == "small"


def test_a_file_of_the_name_with_a_suffix_does_not_and_is_told_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart.yaml").write_text(studies.SMALL)
    with pytest.warns(UserWarning, match="quickstart is the protocol that ships with elastic; the file of this folder"):
        assert load_protocol("quickstart").name == "quickstart"
    assert load_protocol("quickstart.yaml").name == "small"
    assert load_protocol(Path("quickstart.yaml")).name == "small"


def test_a_folder_of_the_name_is_no_other_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert load_protocol("quickstart").name == "quickstart"


# Dictionaries


def test_a_dictionary_means_what_its_file_does(tmp_path):
    of_file = load_protocol(studies.write(tmp_path))
    assert load_protocol(SMALL).digest == of_file.digest
    assert load_protocol(load_protocol_from_text(load_protocol(SMALL).text, tmp_path)).digest == of_file.digest


def load_protocol_from_text(text, folder):
    (folder / "again.yaml").write_text(text)
    return folder / "again.yaml"


def test_arrays_tuples_and_paths_are_plain_data():
    given = {**SMALL, "axes": {"seed": np.arange(2)}, "data": {**SMALL["data"], "per_class": np.int64(20)}}
    given["model"] = {"name": "mlp", "widths": (10, 8), "norm": "batch"}
    assert load_protocol(given).digest == load_protocol(SMALL).digest
    data = {"name": "arrays", "file": Path("a.npz")}
    assert load_protocol({**SMALL, "data": data}).data.options == {"file": "a.npz"}


def test_a_dictionary_is_not_changed_and_not_kept():
    given = YAML(typ="safe").load(studies.SMALL)
    protocol = load_protocol(given)
    assert given == SMALL
    given["axes"]["seed"].append(7)
    assert protocol.axes.seed == [0, 1]


HIMSELF: dict = {"name": "a"}
HIMSELF["data"] = HIMSELF


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"training": {"epochs": -1}}, "`training.epochs` should be greater than or equal to 1; found -1"),
        ({"trainig": {}}, "try 'training'"),
        ({"model": {"name": "mpl"}}, "`model.name` should be one of the models; found 'mpl'; try 'mlp'"),
        ({"optimizer": {"name": "sgd", "lr": float("nan")}}, "`optimizer.lr` should be a finite number; found nan"),
        ({"data": {"name": "digits", "seed": 2**70}}, "`data.seed` should be a number of at most 64 bits"),
        (
            {"title": object},
            "`title` should be plain data: mappings, lists, text, numbers, True, False, None; found <class",
        ),
        ({"title": "a\0"}, "`title` should be of printable characters"),
        ({"cites": {"he2023law"}}, "(set)"),
        ({5: 1}, "`5` should be a key that is text; found 5"),
        ({"data": HIMSELF}, "should have at most 32 levels"),
        ({"extends": None}, "`extends` should be the name of a protocol that ships, or the path of a file; found null"),
    ],
)
def test_a_mistake_in_a_dictionary_is_told_without_a_place(changed, words):
    message = refused({**SMALL, **changed})
    assert words in message
    assert message.startswith("`")


#: Whatever a program may put where a protocol has plain data.
SCALARS = strategies.one_of(
    strategies.none(),
    strategies.booleans(),
    strategies.integers(),
    strategies.floats(),
    strategies.text(max_size=5),
    strategies.binary(max_size=3),
    strategies.sampled_from([object(), np.zeros(2), np.float32(1), {1}, Path("a"), "mlp"]),
)
KEYS = strategies.text(max_size=4) | strategies.integers()
ANYTHING = strategies.recursive(
    SCALARS,
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(strategies.sampled_from([*SMALL, "extends", "claims", "together", "exclude"]), ANYTHING)
def test_whatever_a_dictionary_holds_is_read_or_refused(key, value):
    with suppress(ElasticError):
        assert isinstance(load_protocol({**SMALL, key: value}), Protocol)


def test_settings_are_put_over_a_dictionary():
    assert load_protocol(SMALL, settings=["training.epochs=2"]).training.epochs == 2


def test_a_loaded_protocol_takes_no_settings_any_more():
    with pytest.raises(ElasticError, match="`settings` should be given where the protocol is loaded"):
        elastic.run(load_protocol(SMALL), settings=["training.epochs=2"])


def test_a_study_of_a_dictionary_is_run_and_taken_up(tmp_path):
    given = {
        **SMALL,
        "probes": {"collapse": None, "elasticity": None},
        "training": {"epochs": 1},
        "axes": {"seed": [0]},
    }
    study = elastic.run(given, out=tmp_path)
    assert elastic.load_protocol(study.folder / "protocol.yaml").digest == study.digest
    assert elastic.run(given, out=tmp_path).digest == study.digest
    assert elastic.plan(given, out=tmp_path).ended == 1
