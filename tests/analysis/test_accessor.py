"""`.elastic` finds variables by their names and gives what the functions give."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import xarray as xr
from support import processes

import elastic
from elastic.analysis import comparison, course, depth, intervals, locality, onset
from elastic.errors import NotMeasured, OptionError

LAYERS, EPOCHS = ["input", "hidden_1", "hidden_2", "penultimate", "logits"], [0, 1, 3, 9, 27, 81]


@pytest.fixture(scope="module")
def cube() -> xr.DataTree:
    """Return a cube of three seeds and two weight decays, in which collapse falls with depth and training."""
    import elastic.study  # noqa: F401  (registers the accessor)

    generator = np.random.default_rng(0)
    dims = ("weight_decay", "seed", "epoch", "split", "layer")
    coords = {
        "weight_decay": [0.0, 0.5],
        "seed": [0, 1, 2],
        "epoch": EPOCHS,
        "split": ["train", "test"],
        "layer": LAYERS,
        "depth": ("layer", np.arange(5.0)),
    }
    shape = tuple(len(coords[dim]) for dim in dims)
    fall = -0.5 * np.arange(5) * np.log1p(EPOCHS)[:, None, None] / 4
    nc1 = xr.DataArray(np.exp(fall + 0.1 * generator.normal(size=shape)), dims=dims, coords=coords)
    collapse = xr.Dataset({"nc1": nc1, "fuzziness": 10 * nc1, "ncc_accuracy": 1 / (1 + nc1)})
    local = xr.Dataset({"locality": 1 + 1 / nc1.sel(split="train", layer=LAYERS[1:]).drop_vars("split")})
    return xr.DataTree.from_dict({"/collapse": collapse, "/elasticity": local})


def train(cube, variable="nc1"):
    return cube["collapse"].dataset[variable].sel(split="train")


def test_every_method_is_its_function_at_the_named_variables(cube):
    nc1, local = train(cube), cube["elasticity"].dataset["locality"]
    hidden = LAYERS[1:4]
    result = cube.elastic
    for ours, theirs in [
        (result.read("nc1"), nc1),
        (result.interval("nc1", level=0.9), intervals.interval(nc1, level=0.9)),
        (result.interval("locality", method="t"), intervals.interval(local)),
        (result.separation_law(), depth.separation_law(train(cube, "fuzziness").sel(layer=hidden))),
        (result.separation_law("nc1", layers=LAYERS), depth.separation_law(nc1)),
        (result.effective_depth(tolerance=0.1), depth.effective_depth(1 - train(cube, "ncc_accuracy"), tolerance=0.1)),
        (result.onset(threshold=0.5), onset.onset_epoch(nc1, threshold=0.5)),
        (result.onset(interpolate=True), onset.onset_epoch(nc1, fraction=0.5, interpolate=True)),
        (
            result.onset_order(threshold=0.5, where={"seed": 1}),
            onset.onset_order(onset.onset_epoch(nc1.sel(seed=1, layer=hidden), threshold=0.5)),
        ),
        (result.plateau(factor=2), course.plateau(nc1, factor=2)),
        (result.rate("locality"), course.rate(local)),
        (result.tracking(), locality.tracking(local, nc1)),
        (result.tracking("fuzziness", over="epoch"), locality.tracking(local, train(cube, "fuzziness"), over="epoch")),
        (result.lead(reach=1), locality.lead(local, nc1, reach=1)),
        (
            result.difference("nc1", weight_decay=(0.5, 0.0), level=0.9),
            comparison.difference(nc1.sel(weight_decay=0.5), nc1.sel(weight_decay=0.0), level=0.9),
        ),
    ]:
        xr.testing.assert_equal(ours, theirs)


def test_split_and_setting_are_chosen(cube):
    expected = cube["collapse"].dataset["nc1"].sel(split="test", weight_decay=0.5, epoch=81).mean("seed")
    result = cube.elastic.interval("nc1", split="test", where={"weight_decay": 0.5, "epoch": -1})
    np.testing.assert_allclose(result["estimate"], expected)
    assert "split" in cube.elastic.rate("nc1", split=None).dims


def test_a_dataset_and_a_group_answer_as_the_cube_does(cube):
    expected = cube.elastic.separation_law("nc1")
    assert cube["collapse"].to_dataset().elastic.separation_law("nc1").identical(expected)
    assert cube["collapse"].elastic.separation_law("nc1").identical(expected)


def test_layers_are_those_that_are_named(cube):
    assert int(cube.elastic.separation_law()["layers"].max()) == 3
    assert float(cube.elastic.effective_depth(layers=["hidden_1", "hidden_2"], tolerance=1).max()) == 1
    with pytest.raises(NotMeasured, match="`layer` should be one that the cube has for fuzziness; found 'hiden_1'"):
        cube.elastic.separation_law(layers=["hiden_1"])


def test_a_log_difference_is_a_log_ratio(cube):
    other = cube.map_over_datasets(lambda dataset: dataset * 3)
    result = other.elastic.difference("nc1", cube, log=True)
    np.testing.assert_allclose(result["difference"], np.log(3))


def test_it_is_there_for_whoever_opens_a_study(finished_study):
    result = elastic.open_study(finished_study.folder).cube.elastic
    assert result.tracking(over="epoch").dims == ("seed", "layer")
    assert int(result.interval("nc1")["count"].max()) == 2
    assert "separation_law" in repr(result)


def test_scipy_is_loaded_at_the_first_analysis_only():
    code = "import sys, elastic.study; sys.exit('scipy.stats' in sys.modules or 'torch' in sys.modules)"
    assert processes.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("ask", "error", "sentence"),
    [
        (lambda a: a.interval("nc_1"), NotMeasured, "`nc_1` should be a variable of the cube; found 'nc_1'; try 'nc1'"),
        (lambda a: a.rate(split="validation"), NotMeasured, "`split` should be one that the cube has"),
        (lambda a: a.rate(where={"decay": 1}), OptionError, r"`where\.decay` should be a dim of nc1"),
        (lambda a: a.onset(where={"epoch": 81}), OptionError, "`nc1` should lie along epoch"),
        (
            lambda a: a.difference("nc1"),
            OptionError,
            "`difference` should take one axis or another cube; found neither",
        ),
        (lambda a: a.difference("nc1", decay=(0, 1)), OptionError, "`difference` should be along a dim of nc1; found"),
        (
            lambda a: a.difference("nc1", weight_decay=0.5),
            OptionError,
            "`weight_decay` should be two labels; found 0.5",
        ),
        (lambda a: a.difference("nc1", weight_decay=(0.5, 7)), NotMeasured, "`weight_decay` should be one that"),
        (lambda a: a.difference("nc1", a._cube, seed=(0, 1)), OptionError, "found both"),
    ],
)
def test_a_wrong_question_is_answered_in_a_sentence(cube, ask, error, sentence):
    with pytest.raises(error, match=sentence):
        ask(cube.elastic)
