"""Runs that record epochs as they come: fractional epochs, probes at any of them, scalars that come later."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elastic.cube import Journal, Layout, Status, Variable, assemble, read_layout, write_layout
from elastic.cube.epoch_files import epoch_of, file_name
from elastic.errors import NotReproduced, StudyError

LOSS = Variable("training", "loss", ("split",))
NC1 = Variable("collapse", "nc1", ("split", "layer"))
RANKS = Variable("ranks", "rank", ("layer", "direction"))


def layout(*variables, classes=(0, 1), layers=("input", "body", "head")):
    table = [(name, depth, 4) for depth, name in enumerate(layers)]
    groups = {
        "collapse": {"split": ["train"], "layer": layers, "class": classes},
        "ranks": {"layer": layers[1:], "direction": ["up", "down"]},
    }
    groups = {name: dims for name, dims in groups.items() if any(v.group == name for v in variables)}
    counts = {"train": [3] * len(classes)}
    long_names = {"direction": "where it points"} if "ranks" in groups else {}
    return Layout(None, (), table, classes, ["train"], counts, (LOSS, *variables), groups, long_names)


def begun(folder, *variables, **options):
    write_layout(folder, layout(*variables, **options))
    return Journal(folder, writing=True)


def record(value, *variables, of=None):
    shapes = {variable.key: (of or layout(*variables)).shape(variable) for variable in variables}
    return {"training/loss": [value]} | {key: np.full(shape, value) for key, shape in shapes.items()}


@given(st.floats(min_value=0, allow_infinity=False, allow_nan=False))
def test_a_file_s_name_holds_every_bit_of_an_epoch(epoch):
    assert epoch_of(file_name(epoch)) == epoch
    assert "e" not in file_name(epoch).removesuffix(".npz")


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=5, unique=True))
def test_different_epochs_have_different_files(epochs):
    assert len({file_name(epoch) for epoch in epochs}) == len(epochs)


@pytest.mark.parametrize(
    "name", ["17.npz", "000017.npy", "000017.npz.partial", "000017..npz", "0000x7.npz", "-00017.npz"]
)
def test_no_other_file_is_a_record(name):
    assert epoch_of(name) is None


def test_an_open_layout_is_read_back_as_it_was_written(tmp_path):
    journal = begun(tmp_path, NC1, RANKS)
    assert read_layout(tmp_path) == journal.layout == layout(NC1, RANKS)
    assert read_layout(tmp_path).is_open
    assert read_layout(tmp_path).dims("ranks") == ("layer", "direction")


def test_probed_records_are_told_by_what_they_hold(tmp_path):
    journal = begun(tmp_path, NC1)
    for epoch, variables in ((0, [NC1]), (0.5, []), (2, [NC1])):
        journal.append(epoch, record(epoch, *variables))
    assert Journal(tmp_path).by_probed() == {False: [0.5], True: [0, 2]}
    cube = assemble([({"seed": 0}, tmp_path)], {"seed": [0]}, {})
    assert cube["training"]["epoch"].values.tolist() == [0, 0.5, 2]
    assert cube["collapse"]["epoch"].values.tolist() == [0, 2]
    assert cube["collapse"]["nc1"].sel(epoch=2).values.ravel().tolist() == [2, 2, 2]


def test_a_probed_record_holds_all_that_probes_measure(tmp_path):
    journal = begun(tmp_path, NC1, RANKS)
    with pytest.raises(StudyError, match="`ranks/rank` should be in the record"):
        journal.append(0, record(0, NC1))
    assert journal.epochs() == []


def test_variables_of_training_may_come_later_or_be_left_out(tmp_path):
    journal = begun(tmp_path, NC1)
    journal.append(0, record(0, NC1))
    journal.extend([Variable("training", "lr")])
    with pytest.raises(StudyError, match="found collapse/nc1, training/nc1; try another name"):
        journal.extend([Variable("training", "nc1")])
    journal.append(1, {"training/lr": 0.1})
    assert np.isnan(journal.read(0)["training/lr"])
    assert np.isnan(journal.read(1)["training/loss"]).all()
    journal.append(0, record(0, NC1))  # the same record, which now has a variable without a value
    with pytest.raises(NotReproduced, match="training/lr"):
        journal.append(0, {**record(0, NC1), "training/lr": 0.1})
    training = assemble([({"seed": 0}, tmp_path)], {"seed": [0]}, {})["training"]
    np.testing.assert_array_equal(training["lr"].values, [[np.nan, 0.1]])


def test_runs_of_other_groups_dims_and_epochs_make_one_cube(tmp_path):
    first = begun(tmp_path / "0", NC1)
    first.append(0, record(1.0, NC1))
    wide = {"classes": (0, 1, 2), "layers": ("input", "body", "neck", "head")}
    second = begun(tmp_path / "1", RANKS, **wide)
    second.append(0.5, record(2.0, RANKS, of=second.layout))
    runs = [({"seed": seed}, tmp_path / str(seed)) for seed in (0, 1)]
    cube = assemble(runs, {"seed": [0, 1]}, {})
    assert list(cube.children) == ["training", "collapse", "ranks"]
    assert cube["training"]["status"].values.tolist() == [[1, 0], [0, 1]]
    assert cube["collapse"]["status"].values.tolist() == [[1], [0]]
    assert cube["ranks"]["layer"].values.tolist() == ["body", "neck", "head"]
    assert cube["ranks"]["role"].values.tolist() == ["hidden", "hidden", "output"]
    assert cube["ranks"]["direction"].attrs["long_name"] == "where it points"
    assert cube["ranks"]["rank"].sel(seed=1, epoch=0.5).values.tolist() == [[2, 2]] * 3


def test_an_axis_may_be_named_as_a_coordinate_of_the_layers(tmp_path):
    for width in (4, 8):
        begun(tmp_path / str(width), NC1).append(0, record(width, NC1))
    runs = [({"width": width, "seed": 0}, tmp_path / str(width)) for width in (4, 8)]
    group = assemble(runs, {"width": [4, 8], "seed": [0]}, {})["collapse"]
    assert group["width"].values.tolist() == [4, 8]
    assert group["layer_width"].dims == ("layer",)
    assert group["nc1"].sel(width=8).values.ravel().tolist() == [8, 8, 8]


@pytest.mark.parametrize("name", ["layer", "collapse", "nc1", "class", "status", "epoch", "layer_width"])
def test_no_axis_has_another_name_of_the_cube(tmp_path, name):
    begun(tmp_path / "run", NC1).append(0, record(1, NC1))
    with pytest.raises(StudyError, match="have names of their own"):
        assemble([({name: 0}, tmp_path / "run")], {name: [0]}, {})


def test_later_epochs_of_a_run_that_diverged_and_went_on_keep_their_status(tmp_path):
    journal = begun(tmp_path)
    journal.append(0, record(1))
    journal.append(1, {"training/loss": [np.inf], "status": Status.DIVERGED})
    journal.append(2, record(1))
    other = begun(tmp_path / "other")
    other.append(3, record(1))
    runs = [({"seed": 0}, tmp_path), ({"seed": 1}, tmp_path / "other")]
    status = assemble(runs, {"seed": [0, 1]}, {})["training"]["status"]
    assert status.values.tolist() == [[1, 2, 1, 2], [0, 0, 0, 1]]


def test_no_flipped_bit_of_a_record_is_read_as_a_number(tmp_path):
    journal = begun(tmp_path, NC1)
    journal.append(0.5, record(1.5, NC1))
    path = journal.path(0.5)
    whole, generator = path.read_bytes(), random.Random(0)
    truth = assemble([({"seed": 0}, tmp_path)], {"seed": [0]}, {})
    for place in range(0, len(whole), 3):
        torn = bytearray(whole)
        torn[place] ^= 1 << generator.randrange(8)
        path.write_bytes(bytes(torn))
        try:
            cube = assemble([({"seed": 0}, tmp_path)], {"seed": [0]}, {})
        except StudyError:
            continue
        assert cube.identical(truth), place
