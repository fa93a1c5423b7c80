"""What elastic returns is ordinary xarray: it is written, read back, plotted, joined and pickled like any other."""

from __future__ import annotations

import json
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from torch import nn

from elastic import measure_collapse, measure_elasticity

#: zarr-python says these two of whatever xarray writes with strings, and with consolidated metadata.
OF_ZARR = (
    r"ignore:The data type \(FixedLengthUTF32\(",
    "ignore:Consolidated metadata is currently not part",
)
FACTS = {"long_name", "units", "source", "formula", "value_bounds"}

Y = np.arange(12) % 3
H = np.random.default_rng(0).normal(size=(12, 4))
WORDS = np.array(["ä", "", "a longer name"])
LABELS = {
    "integers": Y, "uint8": Y.astype(np.uint8), "floats": Y / 2, "float16": (Y / 2).astype(np.float16),
    "truth values": Y > 0, "words": WORDS[Y], "objects": WORDS.astype(object)[Y], "pandas": pd.Series(WORDS[Y]),
    "words of any length": WORDS.astype(np.dtypes.StringDType())[Y], "integers as objects": Y.astype(object),
    "list": WORDS[Y].tolist(), "tensor": torch.tensor(Y),
}  # fmt: skip
UPDATES = {"first order": {}, "with pairs": {"pairs": True}, "finite": {"pairs": True, "update": "finite", "lr": 0.1}}
GROUPS = ("training", "collapse", "elasticity")


def elasticity(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    return measure_elasticity(model, (H[:6], Y[:6]), (H[3:], Y[3:]), layers=["0", "1"], **options)


def collapse(labels, layers=("input", "hidden_1", "penultimate")):
    return measure_collapse({name: H[:, :3] + depth for depth, name in enumerate(layers)}, labels)


def one_of_each_shape(dataset):
    """Return the dataset with one variable of each set of dims and type: kinds of labels change none of the others."""
    shapes = {(values.dims, values.dtype): name for name, values in dataset.data_vars.items()}
    return dataset[sorted(shapes.values())].assign_attrs(dataset.attrs)


def of_labels(labels):
    """Return what labels change: a variable with the classes, and one without."""
    return collapse(labels)[["class_cosine", "nc1"]]


MEASURED = {
    "collapse": lambda: collapse(Y),
    **{f"collapse of {kind}": lambda labels=labels: of_labels(labels) for kind, labels in LABELS.items()},
    "collapse of one layer without a name": lambda: measure_collapse({"": H}, Y),
    "collapse with a classifier": lambda: measure_collapse(H, Y, classifier=np.eye(3, 4)),
    **{f"elasticity {kind}": lambda options=options: elasticity(**options) for kind, options in UPDATES.items()},
}

KINDS = [*MEASURED, *GROUPS]

#: One of each kind of number and text, which zarr 2 also gives back; `pytest -m long` writes all others in it.
OF_FORMAT_2 = ("collapse of words", "collapse of truth values", "collapse of float16", "elasticity finite")


@pytest.fixture(scope="module", params=KINDS)
def dataset(request):
    """Return a dataset, whose tests change nothing of it."""
    if request.param in MEASURED:
        return MEASURED[request.param]()
    return request.getfixturevalue("finished_study").cube[request.param].to_dataset().load()


@pytest.fixture
def stored(dataset):
    """Return what is written to disk of a dataset: a variable of each shape."""
    return one_of_each_shape(dataset)


def same(found, asked):
    """Assert that a dataset came back with every value, type and attribute."""
    xr.testing.assert_identical(found, asked)
    assert {name: v.dtype for name, v in found.variables.items()} == {
        name: v.dtype for name, v in asked.variables.items()
    }


def test_attributes_and_labels_are_plain(dataset):
    for part in (dataset, *dataset.variables.values()):
        json.dumps(part.attrs, allow_nan=False)
        for value in part.attrs.values():
            kinds = {type(one) for one in value} if isinstance(value, list) else {type(value)}
            assert len(kinds) == 1
            assert kinds <= {str, int, float}
    for name, values in dataset.data_vars.items():
        assert set(values.attrs) >= FACTS or name == "status", name
        assert values.dtype.kind in "fi"
    assert {values.dtype.kind for values in dataset.coords.values()} <= set("iufbU")


def test_netcdf_gives_it_back(request, dataset, stored, tmp_path):
    stored = dataset if set(GROUPS) & set(request.node.callspec.params.values()) else stored  # groups of a study whole
    stored.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf", decode_coords="all") as result:
        same(result.load(), stored)


@pytest.mark.parametrize("kind", ["collapse of words of any length", "collapse with a classifier", "elasticity finite"])
def test_netcdf_by_the_engine_that_xarray_chooses_gives_it_back(kind, tmp_path):
    dataset = MEASURED[kind]()
    dataset.to_netcdf(tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", decode_coords="all") as result:
        same(result.load(), dataset)


@pytest.mark.filterwarnings(*OF_ZARR)
@pytest.mark.parametrize(
    ("dataset", "zarr_format"),
    [
        pytest.param(kind, form, marks=() if form == 3 or kind in OF_FORMAT_2 else pytest.mark.long)
        for kind in KINDS
        for form in (2, 3)
    ],
    indirect=["dataset"],
)
def test_zarr_gives_it_back(stored, zarr_format, tmp_path):
    stored.to_zarr(tmp_path / "a.zarr", zarr_format=zarr_format)
    same(xr.open_zarr(tmp_path / "a.zarr", decode_coords="all").load(), stored)


def test_it_is_pickled_told_and_framed(dataset):
    same(pickle.loads(pickle.dumps(dataset)), dataset)
    xr.testing.assert_identical(xr.Dataset.from_dict(dataset.to_dict()), dataset)
    assert repr(dataset)
    for values in dataset.data_vars.values():
        assert len(values.to_dataframe()) == values.size if values.ndim else True


def test_a_variable_of_every_shape_is_plotted(dataset):
    for values in one_of_each_shape(dataset).data_vars.values():
        if any(values[dim].dtype == bool for dim in values.dims):
            continue  # matplotlib plots no truth values
        line = values.isel(dict.fromkeys(values.dims[:-1], -1))
        if line.size > 1:
            line.plot.line()
        if values.ndim > 1 and min(values.shape) > 1:
            x, y = ("epoch", "layer") if {"epoch", "layer"} <= set(values.dims) else values.dims[-2:]
            plane = values.isel({dim: -1 for dim in values.dims if dim not in (x, y)})
            plane.plot.pcolormesh(x=x, y=y)
            plane.plot.line(x=x)
        plt.close("all")


def test_results_are_joined():
    first, second = collapse(WORDS[Y]), collapse(WORDS[::-1][Y])
    runs = xr.concat([first, second], dim="run", join="exact", data_vars="all", coords="minimal", compat="override")
    assert runs["layer"].dtype.kind == runs["class"].dtype.kind == "U"
    other = collapse(np.array(["x", "a name that is longer", "z"])[Y])
    options = {"join": "outer", "data_vars": "all", "coords": "minimal", "compat": "override"}
    assert xr.concat([first, other], dim="run", **options)["class"].dtype.kind == "U"
    merged = xr.merge([first[["nc1"]], elasticity()[["locality"]]], join="outer", compat="override")
    assert merged["layer"].values.tolist() == ["0", "1", "hidden_1", "input", "logits", "penultimate"]
    assert merged["layer"].dtype.kind == "U"


# Cubes


def small(cube):
    """Return a cube with a variable of each shape in each group; the groups themselves are stored whole above."""
    groups = {name: one_of_each_shape(node.to_dataset()) for name, node in cube.children.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=cube.attrs), **groups})


@pytest.mark.parametrize("engine", ["h5netcdf", None])
def test_netcdf_gives_a_cube_back(finished_study, engine, tmp_path):
    cube = small(finished_study.cube)
    cube.to_netcdf(tmp_path / "cube.nc", engine=engine)
    with xr.open_datatree(tmp_path / "cube.nc", engine="h5netcdf") as result:
        xr.testing.assert_identical(result.load(), cube.load())


@pytest.mark.filterwarnings(*OF_ZARR)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr_gives_a_cube_back(finished_study, zarr_format, tmp_path):
    cube = small(finished_study.cube)
    cube.to_zarr(tmp_path / "cube.zarr", zarr_format=zarr_format)
    xr.testing.assert_identical(xr.open_datatree(tmp_path / "cube.zarr", engine="zarr").load(), cube.load())


def test_a_cube_is_pickled_and_told(finished_study):
    cube = finished_study.cube.load()
    xr.testing.assert_identical(pickle.loads(pickle.dumps(cube)), cube)
    assert json.loads(cube.attrs["versions"])["numpy"] == np.__version__
    assert cube.attrs["seeds"] == [0, 1]


@pytest.mark.parametrize("group", GROUPS)
def test_plain_xarray_reads_a_group_as_elastic_does(finished_study, group):
    result = xr.open_zarr(finished_study.folder / "cube.zarr", group=group, decode_coords="all")
    same(result.load(), finished_study.cube[group].to_dataset().load())


def test_plain_xarray_plots_a_cube(finished_study):
    cube = xr.open_datatree(finished_study.folder / "cube.zarr", engine="zarr")
    cube["collapse"]["nc1"].sel(split="train").mean("seed").plot(x="epoch", y="layer")
    assert [label.get_text() for label in plt.gca().get_yticklabels()] == cube["collapse"]["layer"].values.tolist()
    plt.close("all")
