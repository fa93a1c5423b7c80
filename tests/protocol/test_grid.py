"""Axes, cells and digests: what a grid of runs means."""

import copy
import json
import pickle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elastic.cube.names import RESERVED as CUBE_NAMES
from elastic.errors import ProtocolError
from elastic.protocol import Protocol, canonical_json, explain_difference
from elastic.protocol.canonical import digest
from elastic.protocol.grid import RESERVED
from elastic.protocol.registered_probes import names_of_probes
from elastic.registry import registry

LITTLE = {
    "name": "little",
    "title": "A grid",
    "data": {"name": "digits"},
    "model": {"name": "mlp", "widths": [8, 4]},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "training": {"epochs": 3},
}

AXES = {
    "rate": {"path": "optimizer.lr", "values": [1, 0.5]},
    "method": {"path": "optimizer.name", "values": ["sgd", "adam", "adamw"]},
    "schedule": {"path": "optimizer.schedule", "values": ["constant", {"name": "cosine", "final": 0}],
                 "labels": ["flat", "cosine"]},
    "ending": {"path": "optimizer.schedule.name", "values": ["constant", "cosine"]},
    "whole_optimizer": {"path": "optimizer", "values": [{"name": "adam", "lr": 1}, {"name": "sgd", "lr": 0.5}],
                        "labels": ["a", "s"]},
    "decay": {"path": "optimizer.weight_decay", "values": [0, 5e-4]},
    "net": {"path": "model", "values": ["cnn", {"name": "mlp", "widths": [3]}], "labels": ["cnn", "mlp"]},
    "bias": {"path": "model.bias", "values": [True, False]},
    "first": {"path": "model.widths.0", "values": [2, 3]},
    "criterion": {"path": "loss", "values": ["mse", "cross_entropy"]},
    "objective_name": {"path": "loss.name", "values": ["mse", "cross_entropy"]},
    "samples_per_class": {"path": "data.per_class", "values": [None, 5], "labels": ["all", "five"]},
    "length": {"path": "training", "values": [{"epochs": 1}, {"epochs": 2, "batch_size": None}], "labels": ["1", "2"]},
    "batch": {"path": "training.batch_size", "values": [8, None], "labels": [8, 0]},
    "when": {"path": "probes.at", "values": ["linear", "every"]},
    "how_often": {"path": "probes.at.count", "values": [2, 3]},
    "probed": {"path": "probes.elasticity", "values": [None, {"update": "finite", "lr": 1}], "labels": ["no", "yes"]},
}  # fmt: skip


def with_axes(*names, seed=(0,), **changes):
    return {**copy.deepcopy(LITTLE), **changes, "axes": {"seed": list(seed), **{name: AXES[name] for name in names}}}


def as_written(protocol, coordinates):
    """Return the protocol of a cell, written without axes: each value at its path, wholes before parts."""
    cell = {key: copy.deepcopy(value) for key, value in protocol.items() if key != "axes"}
    axes = {name: axis for name, axis in protocol["axes"].items() if name != "seed"}
    for name in sorted(axes, key=lambda name: axes[name]["path"].count(".")):
        axis = axes[name]
        labels = axis.get("labels", axis["values"])
        value = axis["values"][labels.index(coordinates[name])]
        *owners, last = axis["path"].split(".")
        node = cell
        for owner in owners:
            if isinstance(node.get(owner), str):
                node[owner] = {"name": node[owner]}
            default = {"name": "log", "count": 12} if owner == "at" else {}
            default = {"name": "cross_entropy"} if owner == "loss" else default
            node = node.setdefault(owner, default)
        node[int(last) if isinstance(node, list) else last] = copy.deepcopy(value)
    return cell | {"axes": {"seed": [coordinates["seed"]]}}


def test_without_axes_there_is_one_cell_of_seed_0(files):
    (cell,) = files.load(LITTLE).cells
    assert (cell.index, cell.coordinates, cell.settings.seed) == (0, {"seed": 0}, 0)


def test_cells_are_the_product_in_alphabetical_order_with_seed_last(files):
    protocol = files.load(with_axes("rate", "decay", seed=[7, 3]))
    assert protocol.axis_labels == {"decay": [0.0, 5e-4], "rate": [1.0, 0.5], "seed": [7, 3]}
    assert [list(cell.coordinates.items()) for cell in protocol.cells] == [
        [("decay", decay), ("rate", rate), ("seed", seed)]
        for decay in (0.0, 5e-4) for rate in (1.0, 0.5) for seed in (7, 3)
    ]  # fmt: skip
    assert [cell.index for cell in protocol.cells] == list(range(8))
    for cell in protocol.cells:
        assert cell.settings.optimizer.options["lr"] == cell.coordinates["rate"]
        assert cell.settings.optimizer.options["weight_decay"] == cell.coordinates["decay"]
        assert cell.settings.seed == cell.coordinates["seed"]


@given(names=st.sets(st.sampled_from(sorted(AXES)), min_size=1, max_size=3), seeds=st.sampled_from([[0], [4, 2]]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_cell_runs_what_the_protocol_written_for_it_alone_runs(files, names, seeds):
    written = with_axes(*sorted(names), seed=seeds)
    try:
        protocol = files.load(written)
    except ProtocolError:  # axes that do not go together: then some cell alone is no protocol, or two set one part
        return
    for cell in protocol.cells:
        (alone,) = files.load(as_written(written, cell.coordinates)).cells
        assert alone.settings.canonical() == cell.settings.canonical()
        assert alone.digest == cell.digest
    opened = Protocol.from_canonical(json.loads(json.dumps(protocol.canonical(), sort_keys=True)))
    assert (opened.canonical(), opened.digest) == (protocol.canonical(), protocol.digest)
    assert opened.cells == protocol.cells


@pytest.mark.parametrize(
    "names",
    [("method", "rate"), ("method", "decay", "schedule"), ("whole_optimizer", "decay"), ("net", "bias"), ("criterion",),
     ("objective_name",), ("first", "bias"), ("length", "batch"), ("when",), ("how_often",), ("probed",), ("ending",),
     ("samples_per_class",), ("whole_optimizer", "ending")],
)  # fmt: skip
def test_these_axes_go_together(files, names):
    protocol = files.load(with_axes(*names))
    assert len({cell.digest for cell in protocol.cells}) == len(protocol.cells) > 1


def test_an_axis_may_give_what_the_section_lacks(files):
    protocol = files.load(with_axes("rate", "net", "length", optimizer={"name": "sgd"}) | {"name": "x"})
    assert len(protocol.cells) == 8
    del (lacking := with_axes("net"))["model"]
    assert [cell.settings.model.name for cell in files.load(lacking).cells] == ["cnn", "mlp"]


@pytest.mark.parametrize(
    ("axis", "place", "message"),
    [
        ({"path": "optimizer.lr", "values": [1, -1]}, "values.1", "greater than 0; found -1"),
        ({"path": "model.name", "values": ["mlp", "cnn"]}, "values.1", "`model.widths` should be an option of 'cnn'"),
        ({"path": "model", "values": ["cnn", {"name": "mlp", "widths": [8], "bias": 1}], "labels": ["a", "b"]},
         "values.1.bias", "`model.bias`"),
        ({"path": "model", "values": ["cnn", "mpl"]}, "values.1", "'mpl'; try 'mlp'"),
        ({"path": "optimizer.weight_deca", "values": [1]}, "values.0", "try 'weight_decay'"),
        ({"path": "training.epoch", "values": [1]}, "values.0", "try 'epochs'"),
        ({"path": "training.epochs.x", "values": [1]}, "path", "found 3, which has no `x`"),
        ({"path": "model.widths.2", "values": [1]}, "path", "which has no `2`"),
        ({"path": "trainin.epochs", "values": [1]}, "path", "lead into data, model"),
        ({"path": "axes.seed", "values": [1]}, "path", "lead into data, model"),
        ({"path": "name", "values": ["a"]}, "path", "lead into data, model"),
        ({"path": "optimizer..lr", "values": [1]}, "path", "lead into data, model"),
        ({"path": "optimizer.lr", "values": []}, "values", "at least 1 item"),
        ({"path": "optimizer.lr", "values": [0.1, 0.1]}, "values", "no duplicates"),
        ({"path": "optimizer.lr", "values": [1, 1.0]}, "", "no duplicates"),
        ({"path": "optimizer.lr", "values": 1}, "values", "list"),
        ({"path": "model.widths", "values": [[1], [2]]}, "", "`axes.odd.labels` should be given"),
        ({"path": "model.widths", "values": [[1], [2]], "labels": ["a"]}, "", "one label for each"),
        ({"path": "model.widths", "values": [[1], [2]], "labels": ["a", "a"]}, "labels", "no duplicates"),
        ({"path": "model.widths", "values": [[1], [2]], "labels": ["a", 2]}, "labels", "all texts, all numbers"),
        ({"path": "data.per_class", "values": [None, 5]}, "", "`axes.odd.labels` should be given"),
        ({"path": "optimizer.lr", "value": [1]}, "value", "try 'values'"),
        ([0.1, 0.2], "", "mapping"),
    ],
)  # fmt: skip
def test_a_mistake_in_an_axis_is_told_at_its_place(files, axis, place, message):
    written = copy.deepcopy(LITTLE) | {"axes": {"odd": axis}}
    error = files.refuse(json.dumps(written, indent=0))
    assert message in str(error)
    # With one value a line, the line tells the part.
    lines = json.dumps(written, indent=0).splitlines()
    line = int(error.place.split(":")[1])
    start = lines.index('"axes": {') + 1
    assert line > start
    if place and place.split(".")[0] != "values":
        assert f'"{place.split(".")[0]}"' in lines[line - 1]
    if place.startswith("values."):
        position, key = start, lines.index('"values": [') + 1
        assert line > key > position


def test_the_value_of_an_axis_is_where_its_mistake_is(files, base):
    text = base + "axes:\n  rate:\n    path: optimizer.lr\n    values:\n      - 1\n      - -1\n"
    assert files.refuse(text).place == "a.yaml:20:9"
    text = base + "axes: {net: {path: model.name, values: [mlp, cnn]}}\n"
    error = files.refuse(text)
    assert (error.place, error.field) == ("a.yaml:15:46", "`model.widths`")


def test_a_mistake_of_the_file_is_not_blamed_on_an_axis(files, base):
    text = base.replace("lr: 0.05", "lr: 0.05\n  mometum: 0.9") + "axes: {rate: {path: optimizer.lr, values: [1, 2]}}\n"
    error = files.refuse(text)
    assert (error.place, error.hint) == ("a.yaml:13:3", "'momentum'")


@pytest.mark.parametrize(
    "name", ["Rate", "1st", "learning-rate", "a b", "", "é", "x" * 65, "epoch", "lr", "layer", "loss"]
)
def test_an_axis_has_a_name_that_the_cube_can_use(files, name):
    written = copy.deepcopy(LITTLE) | {"axes": {name: AXES["rate"]}}
    error = files.refuse(written)
    assert error.field == f"`axes.{name}`"
    assert "name" in error.expected


def test_no_axis_is_called_as_a_part_of_the_cube(files):
    from elastic.runs.scalars import KNOWN

    assert set(KNOWN) <= RESERVED
    of_probes = {name for entry in registry("probes") for name in (entry.facts.group, *entry.facts.dims)}
    assert {"weights", "layer", "component"} <= of_probes
    for name in sorted(RESERVED | of_probes):
        error = files.refuse(copy.deepcopy(LITTLE) | {"axes": {name: AXES["rate"]}})
        assert (error.field, error.found) == (f"`axes.{name}`", repr(name))
        assert error.hint == f"{name}_axis"
        assert set(error.expected.partition("(")[2].rstrip(")").split(", ")) == RESERVED | of_probes
    for name in registry("metrics").names():
        assert files.refuse(copy.deepcopy(LITTLE) | {"axes": {name: AXES["rate"]}}).field == f"`axes.{name}`"


def test_every_name_of_the_cube_is_one_that_no_axis_may_have():
    assert RESERVED | names_of_probes() >= CUBE_NAMES


def test_seeds_are_different_non_negative_integers(files):
    for seeds in ([], [0, 0], [-1], [2**32], [0.5], [True], ["a"], 3, None, {"values": [1]}):
        assert files.refuse(LITTLE | {"axes": {"seed": seeds}}).field.startswith("`axes.seed")
    assert files.load(LITTLE | {"axes": {"seed": [2**32 - 1]}}).cells[0].settings.seed == 2**32 - 1


def test_two_axes_do_not_set_one_part(files):
    written = LITTLE | {"axes": {"one": AXES["rate"], "two": AXES["rate"]}}
    assert "one and two both set `optimizer.lr`" in str(files.refuse(written))


def test_an_axis_that_means_another_thing_beside_another_is_refused(files):
    probes = [{"at": {"name": "log", "count": 5}}, {"at": {"name": "linear", "count": 7}}]
    written = LITTLE | {"axes": {
        "a": {"path": "probes", "values": probes, "labels": ["log", "linear"]},
        "b": {"path": "probes.at.name", "values": ["log", "linear"]},
    }}  # fmt: skip
    assert "mean the same for every value of a" in str(files.refuse(written))
    assert "mean the same for every value of whole" in str(files.refuse(with_axes("whole_optimizer", "method")))


def test_a_study_has_at_most_100_000_runs(files):
    axes = {"seed": list(range(100)), "rate": {"path": "optimizer.lr", "values": list(range(1, 1003))}}
    assert "at most 100,000 runs (they make 100,200)" in str(files.refuse(LITTLE | {"axes": axes}))


BASE_AGAIN = [
    "# comments and blank lines\n\n{base}",
    {"loss": "cross_entropy"},
    {"loss": {"name": "cross_entropy"}},
    {"data": "digits"},
    {"axes": {}},
    {"axes": {"seed": [0]}},
    {"cites": [], "claims": [], "question": None},
    {"optimizer": {"lr": 0.05, "name": "sgd", "momentum": 0, "schedule": "constant"}},
    {"optimizer": {"schedule": {"name": "constant"}, "weight_decay": -0.0, "name": "sgd", "lr": 5e-2}},
    {"training": {"batch_size": 64, "epochs": 3, "dtype": "float32", "device": "auto", "deterministic": True}},
    {"probes": {}},
    {"probes": {"memory_budget": "1024MiB", "collapse": {"splits": ["test", "train"]}, "at": "log"}},
    {"probes": {"elasticity": {"lr": None}, "memory_budget": 2**30}},
    {"probes": {"collapse": {"rank_tolerance": None}}},
    {"model": {"bias": True, "widths": [8, 4], "name": "mlp", "activation": "relu"}},
]


@pytest.mark.parametrize("change", BASE_AGAIN, ids=str)
def test_files_that_mean_the_same_have_one_digest(files, change):
    same = (
        change.format(base=json.dumps(LITTLE)) if isinstance(change, str) else dict(reversed((LITTLE | change).items()))
    )
    plain, other = files.load(LITTLE), files.load(same)
    assert other.canonical() == plain.canonical()
    assert other.digest == plain.digest
    assert [cell.digest for cell in other.cells] == [cell.digest for cell in plain.cells]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"decay": {"path": "optimizer.weight_decay", "values": [0, 1e-3]}},
         {"decay": {"values": [0.0, 0.001], "path": "optimizer.weight_decay"}}),
        ({"decay": AXES["decay"], "rate": AXES["rate"]}, {"rate": AXES["rate"], "decay": AXES["decay"]}),
        ({"net": {"path": "model", "values": ["cnn"]}},
         {"net": {"path": "model", "values": [{"name": "cnn", "bias": True}], "labels": ["cnn"]}}),
        ({"when": {"path": "probes.at.name", "values": ["log", "linear"]}},
         {"when": {"path": "probes.at", "values": ["log", "linear"]}}),
    ],
)  # fmt: skip
def test_axes_that_mean_the_same_have_one_digest(files, one, other):
    protocols = [files.load(LITTLE | {"axes": axes}) for axes in (one, other)]
    assert protocols[0].canonical() == protocols[1].canonical()
    assert protocols[0].digest == protocols[1].digest


@pytest.mark.parametrize(
    "change",
    [
        {"title": "B grid"}, {"name": "other"}, {"cites": ["he2023law"]}, {"loss": "mse"},
        {"claims": ["propagates_inward"]},
        {"training": {"epochs": 4}}, {"axes": {"seed": [1]}}, {"axes": {"seed": [0, 1]}},
        {"probes": {"collapse": {"rank_tolerance": 1e-6}}},
        {"probes": {"collapse": None}}, {"axes": {"rate": AXES["rate"]}}, {"question": "Why?"},
    ],
)  # fmt: skip
def test_files_that_mean_another_thing_have_another_digest(files, change):
    assert files.load(LITTLE | change).digest != files.load(LITTLE).digest


def test_an_option_that_came_later_is_not_in_the_digest_while_it_is_not_set(files):
    plain = files.load(LITTLE)
    assert plain.canonical()["probes"]["collapse"].keys() == {"per_class", "splits"}
    assert "rank_tolerance" not in plain.cells[0].settings.canonical()["probes"]["collapse"]
    cut = files.load(LITTLE | {"probes": {"collapse": {"rank_tolerance": 1e-6}}})
    assert cut.canonical()["probes"]["collapse"]["rank_tolerance"] == 1e-6
    assert Protocol.from_canonical(cut.canonical()).cells[0].settings.probes.collapse.rank_tolerance == 1e-6


def test_an_option_that_came_later_can_be_an_axis(files):
    path, labels = "probes.collapse.rank_tolerance", ["default", "weak", "strong"]
    grid = files.load(LITTLE | {"axes": {"cut": {"path": path, "values": [None, 1e-9, 0.5], "labels": labels}}})
    assert [cell.settings.probes.collapse.rank_tolerance for cell in grid.cells] == [None, 1e-9, 0.5]
    assert grid.cells[0].digest == files.load(LITTLE).cells[0].digest
    opened = Protocol.from_canonical(grid.canonical())
    assert [cell.digest for cell in opened.cells] == [cell.digest for cell in grid.cells]
    text = str(files.refuse(LITTLE | {"axes": {"cut": {"path": path, "values": [1e-9, 1.0]}}}))
    assert "`probes.collapse.rank_tolerance` should be less than 1" in text


def test_words_do_not_change_what_a_cell_runs(files):
    plain = files.load(LITTLE)
    result = files.load(LITTLE | {"title": "Another", "claims": ["propagates_inward"], "axes": {"seed": [5, 0]}})
    assert result.cells[1].digest == plain.cells[0].digest


def test_digests_are_those_of_the_canonical_form(files):
    protocol = files.load(with_axes("rate", seed=[1, 2]))
    assert protocol.digest == digest(protocol.canonical())
    assert len(protocol.digest) == 64
    for cell in protocol.cells:
        assert cell.digest == digest(cell.settings.canonical())[:16]
    # The form itself is a promise: studies that were written before must be found again.
    assert (
        canonical_json({"b": [1, -0.0, None, True], "a": 1e-3, "ä": "ö"}) == '{"a":0.001,"b":[1,0.0,null,true],"ä":"ö"}'
    )


def test_cells_travel_to_other_processes(files):
    protocol = files.load(with_axes("rate"))
    assert pickle.loads(pickle.dumps(protocol.cells)) == protocol.cells
    assert pickle.loads(pickle.dumps(protocol)).digest == protocol.digest


def test_a_protocol_cannot_be_changed(files):
    protocol = files.load(LITTLE)
    for part, field in [(protocol, "name"), (protocol.training, "epochs"), (protocol.model, "name")]:
        with pytest.raises(ValueError, match="frozen"):
            setattr(part, field, "x")


@pytest.mark.parametrize(
    "change", [{"epochs": 3}, {"training": {"epochs": 0}}, {"data": None}, {"axes": {"seed": []}},
               {"title": float("nan")}, {"optimizer": {"name": "sgd", "lr": float("inf")}}],
)  # fmt: skip
def test_a_canonical_form_that_is_none_is_refused(files, change):
    with pytest.raises(ProtocolError):
        Protocol.from_canonical(files.load(LITTLE).canonical() | change)


def test_differences_are_told_by_dotted_path(files):
    old = files.load(LITTLE)
    new = files.load(LITTLE | {"training": {"epochs": 5}, "loss": "mse", "probes": {"collapse": None},
                               "axes": {"rate": AXES["rate"]}})  # fmt: skip
    assert explain_difference(old.canonical(), old.canonical()) == []
    results = explain_difference(old.canonical(), new.canonical())
    assert "training.epochs: 3 → 5" in results
    assert "loss.name: 'cross_entropy' → 'mse'" in results
    assert any(line.startswith("probes.collapse: {") and line.endswith("→ null") for line in results)
    assert any(line.startswith("axes.rate: nothing → {") for line in results)
    assert {line.partition(":")[0] for line in results} == {
        "training.epochs", "loss.name", "loss.smoothing", "loss.target", "loss.weight",
        "probes.collapse", "axes.rate", "optimizer.lr",
    }  # fmt: skip
