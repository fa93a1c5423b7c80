from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from elastic.cube import Journal, Layout, Status, Variable, assemble, write_layout
from elastic.errors import StudyError


def test_every_number_is_found_under_its_labels(tmp_path, make_layout, make_record, write_run):
    layout = make_layout(hidden=2, probed=(0, 1, 4))
    runs = [
        ({"lr": lr, "seed": seed}, write_run(tmp_path / f"{lr}-{seed}", layout, seed=10 * seed + int(lr)))
        for lr in (0.0, 1.0)
        for seed in (0, 1, 2)
    ]
    cube = assemble(runs, {"seed": [0, 1, 2], "lr": [0.0, 1.0]}, {"title": "all"})
    assert cube.attrs == {"title": "all"}
    assert set(cube.children) == {"training", "collapse", "elasticity"}
    for coordinates, _ in runs:
        for epoch in range(5):
            record = make_record(layout, epoch, 10 * coordinates["seed"] + int(coordinates["lr"]))
            for variable in layout.recorded(probed=layout.is_probed(epoch)):
                array = cube[variable.group][variable.name]
                assert array.dims == ("seed", "lr", "epoch", *variable.dims)
                of_layout = {dim: list(layout.labels(variable.group, dim)) for dim in variable.dims}
                result = array.sel(epoch=epoch, **coordinates).sel(of_layout)
                assert np.array_equal(result, record[variable.key]), (variable.key, coordinates, epoch)
    assert cube["collapse"].sizes["epoch"] == 3
    assert all((group["status"] == Status.DONE).all() for group in cube.children.values())


def test_coordinates_are_named_typed_and_explained(tmp_path, make_layout, write_run):
    layout = make_layout(classes=("cat", "dog"))
    axes = {"seed": [7], "lr": [0.1], "bias": [True], "loss_name": ["mse"], "widths": [[8, 8]]}
    at = {name: values[0] for name, values in axes.items()}
    cube = assemble([(at, write_run(tmp_path, layout))], axes, {})
    training, collapse, elasticity = (cube[name] for name in ("training", "collapse", "elasticity"))
    assert training["loss"].dims == ("seed", "lr", "bias", "loss_name", "widths", "epoch", "split")
    assert [training[name].dtype for name in ("seed", "lr", "epoch")] == [np.int64, np.float64, np.int64]
    assert [training[name].item() for name in ("bias", "loss_name", "widths")] == ["true", "mse", "[8, 8]"]
    assert list(collapse["layer"].values) == ["input", "hidden_1", "penultimate", "logits"]
    assert list(elasticity["layer"].values) == ["hidden_1", "penultimate", "logits"]
    assert list(elasticity["observed_class"].values) == ["cat", "dog"]
    assert collapse["depth"].sel(layer="penultimate") == 2
    assert collapse["width"].sel(layer="hidden_1") == 8
    assert elasticity["depth"].values.tolist() == [1, 2, 3]
    assert collapse["samples"].sel({"split": "train", "class": "dog"}) == 11
    assert training["loss"].attrs == layout.variables[0].attrs
    for group in cube.children.values():
        for name, array in group.to_dataset().variables.items():
            assert array.attrs.get("long_name"), (group.name, name)


def test_classes_that_are_numbers_stay_numbers(tmp_path, make_layout, write_run):
    cube = assemble([({"seed": 0}, write_run(tmp_path, make_layout(classes=(3, 8))))], {"seed": [0]}, {})
    assert cube["collapse"]["class"].dtype == np.int64
    assert cube["collapse"]["other_class"].values.tolist() == [3, 8]


def test_a_run_under_way_is_nan_where_it_has_not_come(tmp_path, make_layout, write_run):
    layout = make_layout()
    runs = [
        ({"seed": 0}, write_run(tmp_path / "0", layout)),
        ({"seed": 1}, write_run(tmp_path / "1", layout, epochs=range(3))),
        ({"seed": 2}, tmp_path / "2"),
    ]
    cube = assemble(runs, {"seed": [0, 1, 2]}, {})
    assert cube["training"]["status"].values.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    assert cube["collapse"]["status"].values.tolist() == [[1, 1], [1, 0], [0, 0]]
    for group in cube.children.values():
        for name in group.data_vars:
            if name != "status":
                absent = np.isnan(group[name]).all([d for d in group[name].dims if d not in ("seed", "epoch")])
                assert np.array_equal(absent, group["status"] == Status.MISSING), name


def test_a_study_that_has_not_begun_is_missing(tmp_path):
    cube = assemble([({"seed": 0}, tmp_path / "0")], {"seed": [0, 1]}, {})
    assert list(cube.children) == ["training"]
    assert cube["training"]["status"].shape == (2, 0)


def test_a_run_that_diverged_says_so_from_then_on(tmp_path, make_layout, make_record):
    layout = make_layout()
    write_layout(tmp_path, layout)
    journal = Journal(tmp_path)
    journal.append(0, make_record(layout, 0))
    journal.append(1, {"status": Status.DIVERGED, "training/loss": [np.nan, 4.0]})
    cube = assemble([({"seed": 0}, tmp_path)], {"seed": [0]}, {})
    assert cube["training"]["status"].values.tolist() == [[1, 2, 2, 2, 2]]
    assert cube["elasticity"]["status"].values.tolist() == [[1, 2]]
    assert cube["training"]["loss"].sel(seed=0, epoch=1, split="test") == 4.0
    assert np.isnan(cube["elasticity"]["response"].sel(epoch=4)).all()


def test_runs_of_other_depth_epochs_and_classes_are_padded_with_nan(tmp_path, make_layout, make_record, write_run):
    layouts = {
        1: make_layout(hidden=1, epochs=2, probed=(0, 1, 2), classes=(0, 1)),
        3: make_layout(hidden=3, epochs=4, probed=(0, 4), classes=(0, 1, 2)),
    }
    runs = [({"hidden": k}, write_run(tmp_path / str(k), layout, seed=k)) for k, layout in layouts.items()]
    cube = assemble(runs, {"hidden": [1, 3]}, {})
    collapse = cube["collapse"]
    assert collapse["epoch"].values.tolist() == [0, 1, 2, 4]
    assert cube["training"]["epoch"].values.tolist() == [0, 1, 2, 3, 4]
    names = ["input", "hidden_1", "hidden_2", "hidden_3", "penultimate", "logits"]
    assert collapse["layer"].values.tolist() == names
    nan = np.nan
    assert collapse["depth"].dims == ("hidden", "layer")
    assert np.array_equal(collapse["depth"], [[0, 1, nan, nan, 2, 3], [0, 1, 2, 3, 4, 5]], equal_nan=True)
    assert np.array_equal(collapse["samples"].sel(hidden=1, split="train"), [10, 11, nan], equal_nan=True)
    # done at epochs 1 and 2, but only where the run is probed: not measured is missing
    assert collapse["status"].values.tolist() == [[1, 1, 1, 0], [1, 0, 0, 1]]
    for k, layout in layouts.items():
        own = collapse["class_cosine"].sel(hidden=k, epoch=0)
        theirs = {dim: list(layout.labels("collapse", dim)) for dim in ("layer", "class", "other_class")}
        assert np.array_equal(own.sel(theirs), make_record(layout, 0, k)["collapse/class_cosine"])
        assert int(own.notnull().sum()) == make_record(layout, 0, k)["collapse/class_cosine"].size


def test_runs_of_fewer_classes_have_fewer_components(tmp_path, make_layout, make_record, write_run):
    variables = (Variable("collapse", "spectrum", ("split", "component"), {"long_name": "singular values"}),)
    layouts = {k: make_layout(classes=tuple(range(k)), variables=variables) for k in (2, 4)}
    runs = [({"size": k}, write_run(tmp_path / str(k), layout)) for k, layout in layouts.items()]
    collapse = assemble(runs, {"size": [2, 4]}, {})["collapse"]
    assert collapse["component"].values.tolist() == [1, 2, 3, 4]
    assert collapse["component"].attrs["long_name"]
    assert collapse["spectrum"].dims == ("size", "epoch", "split", "component")
    own = collapse["spectrum"].sel(size=2, epoch=0)
    assert own.sel(component=[3, 4]).isnull().all()
    assert np.array_equal(own.sel(component=[1, 2]), make_record(layouts[2], 0)["collapse/spectrum"])


def test_width_has_an_axis_only_where_it_differs(tmp_path, make_layout, write_run):
    runs = [({"wide": w}, write_run(tmp_path / str(w), make_layout(width=w))) for w in (8, 16)]
    cube = assemble(runs, {"wide": [8, 16]}, {})
    assert cube["collapse"]["depth"].dims == ("layer",)
    assert cube["collapse"]["width"].dims == ("wide", "layer")
    assert cube["collapse"]["width"].sel(layer="hidden_1").values.tolist() == [8, 16]


def test_depth_has_only_the_axes_along_which_it_differs(tmp_path, make_layout, write_run):
    cells = [{"hidden": k, "norm": norm, "seed": seed} for k in (1, 3) for norm in ("none", "batch") for seed in (0, 1)]
    runs = [(cell, write_run(tmp_path / str(i), make_layout(hidden=cell["hidden"]))) for i, cell in enumerate(cells)]
    axes = {"norm": ["none", "batch"], "hidden": [1, 3], "seed": [0, 1]}
    nan = np.nan
    expected = [[0, 1, nan, nan, 2, 3], [0, 1, 2, 3, 4, 5]]
    # Whether all runs have begun or the first of some have not.
    for some in (runs, [run for run in runs if run[0] != {"hidden": 1, "norm": "none", "seed": 0}]):
        depth = assemble(some, axes, {})["collapse"]["depth"]
        assert depth.dims == ("hidden", "layer")
        assert np.array_equal(depth, expected, equal_nan=True)


def test_names_and_numbers_as_classes_meet_as_names(tmp_path, make_layout, make_record, write_run):
    layouts = {"digits": make_layout(classes=(0, 1)), "pets": make_layout(classes=("cat", "dog"))}
    runs = [({"data": name}, write_run(tmp_path / name, layout)) for name, layout in layouts.items()]
    cube = assemble(runs, {"data": ["digits", "pets"]}, {})
    assert cube["collapse"]["class"].values.tolist() == ["0", "1", "cat", "dog"]
    result = cube["elasticity"]["self_response"].sel(data="digits", epoch=0, stepped_class=["0", "1"])
    assert np.array_equal(result, make_record(layouts["digits"], 0)["elasticity/self_response"])


def test_variables_of_some_runs_only_are_nan_in_the_others(tmp_path, make_layout, write_run):
    more = make_layout()
    less = dataclasses.replace(more, variables=[v for v in more.variables if v.group == "training"])
    runs = [({"seed": s}, write_run(tmp_path / str(s), layout)) for s, layout in enumerate((less, more))]
    cube = assemble(runs, {"seed": [0, 1]}, {})
    assert np.isnan(cube["collapse"]["nc1"].sel(seed=0)).all()
    assert not np.isnan(cube["collapse"]["nc1"].sel(seed=1)).any()


def test_what_no_run_measures_is_no_group(tmp_path, make_layout, write_run):
    layout = make_layout(variables=[Variable("training", "loss")])
    cube = assemble([({"seed": 0}, write_run(tmp_path, layout))], {"seed": [0]}, {})
    assert list(cube.children) == ["training"]


@pytest.mark.parametrize(
    ("coordinates", "axes", "text"),
    [
        ({"seed": 5}, {"seed": [0, 1]}, r"`axes.seed` should be one of \[0, 1\]; found 5"),
        ({}, {"seed": [0, 1]}, "`axes.seed`"),
        ({"seed": 0}, {"seed": [0, 0]}, "different values"),
        ({"layer": 0}, {"layer": [0]}, "cube's own name 'layer'"),
        ({"loss": "mse"}, {"loss": ["mse"]}, "cube's own name 'loss'"),
    ],
)
def test_runs_that_do_not_stand_on_the_axes_are_refused(tmp_path, make_layout, write_run, coordinates, axes, text):
    with pytest.raises(StudyError, match=text):
        assemble([(coordinates, write_run(tmp_path, make_layout()))], axes, {})


def test_two_runs_at_one_place_are_refused(tmp_path):
    with pytest.raises(StudyError, match="two runs with the same ones"):
        assemble([({"seed": 0}, tmp_path), ({"seed": 0}, tmp_path)], {"seed": [0]}, {})


def test_a_variable_with_other_dims_in_another_run_is_refused(tmp_path, make_layout, write_run):
    runs = [
        ({"seed": seed}, write_run(tmp_path / str(seed), make_layout(variables=[Variable("training", "loss", dims)])))
        for seed, dims in enumerate([(), ("split",)])
    ]
    with pytest.raises(StudyError, match="same dims"):
        assemble(runs, {"seed": [0, 1]}, {})


def test_a_damaged_record_stops_the_assembly_and_is_told(tmp_path, make_layout, write_run):
    folder = write_run(tmp_path, make_layout())
    path = folder / "journal" / "000003.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)
    with pytest.raises(StudyError, match=r"000003\.npz"):
        assemble([({"seed": 0}, folder)], {"seed": [0]}, {})


def test_a_study_of_hundreds_of_runs_allocates_each_variable_once(tmp_path, monkeypatch):
    # Growing or concatenating the cube run by run would make the assembly quadratic in the runs.
    layout = Layout(0, [], [], [], ["train"], {"train": []}, [Variable("training", "loss", ("split",))])
    runs = []
    for seed in range(50):
        write_layout(tmp_path / str(seed), layout)
        Journal(tmp_path / str(seed)).append(0, {"training/loss": [float(seed)]})
        runs.append(({"seed": seed}, tmp_path / str(seed)))
    sizes = []
    full = np.full
    monkeypatch.setattr(np, "full", lambda shape, *a, **k: (sizes.append(np.prod(shape)), full(shape, *a, **k))[1])
    cube = assemble(runs, {"seed": list(range(50))}, {})
    assert cube["training"]["loss"].values.ravel().tolist() == list(range(50))
    assert sum(size >= 50 for size in sizes) == 2  # loss and status
