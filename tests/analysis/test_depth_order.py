"""The order of layers at every epoch, and the epoch at which it crosses, against plain NumPy and by hand."""

import math

import numpy as np
import pytest
import xarray as xr
from support import simulated_cubes as sim

from elastic.analysis.depth_order import depth_slope, order_crossover
from elastic.analysis.falls import time_positive
from elastic.claims.checking import verdict_on

RANDOM = np.random.default_rng(0)


def slopes(values, epochs=(0, 1, 3, 7, 15)):
    return xr.DataArray(values, dims="epoch", coords={"epoch": list(epochs)})


def test_the_slope_is_that_of_numpy_in_the_layers_that_are_there():
    values = xr.DataArray(np.exp(RANDOM.normal(size=(4, 6))), dims=("epoch", "layer"))
    values = values.assign_coords(depth=("layer", [1.0, 2.0, 3.0, 4.0, 6.0, 9.0]))
    values[1, 2] = np.nan
    for epoch, result in enumerate(depth_slope(values).values):
        row = values.values[epoch]
        there = np.isfinite(row)
        expected = np.polyfit(values["depth"].values[there], np.log(row[there]), 1)[0]
        assert result == pytest.approx(expected, rel=1e-12)


def test_one_layer_and_exact_collapse_have_no_slope():
    assert np.isnan(depth_slope(xr.DataArray([2.0], dims="layer")))
    assert np.isnan(depth_slope(xr.DataArray([2.0, 0.0], dims="layer")))
    assert float(depth_slope(xr.DataArray([4.0, 0.0, 1.0], dims="layer"))) == pytest.approx(-math.log(2))


@pytest.mark.parametrize(
    ("course", "crossover", "share"),
    [
        ([2, 2, 1, -1, -1], math.sqrt(4 * 8) - 1, 1.0),  # half of the way from log 4 to log 8
        ([2, 2, 1, 0, -1], 7, 1.0),
        ([-1, -1, -1, -1, -1], 0, None),
        ([1, 1, 1, 1, 1], None, 1.0),
        ([-1, 1, 1, -1, 1], None, (0.5 + 1 + 0.5 + 0.5) / 4),
        ([-1, 1, 1, -1, -1], math.sqrt(4 * 8) - 1, (0.5 + 1 + 0.5) / 2.5),
        ([1, -1, 1, -1, -1], math.sqrt(4 * 8) - 1, (0.5 + 0.5 + 0.5) / 2.5),
    ],
)
def test_the_crossover_is_the_last_one_and_the_share_is_of_the_time_before(course, crossover, share):
    estimates = order_crossover(slopes([float(s) for s in course]))
    at = float(estimates["crossover"])
    assert math.isnan(at) if crossover is None else at == pytest.approx(crossover)
    part = float(estimates["reversed_share"])
    assert math.isnan(part) if share is None else part == pytest.approx(share)


def test_an_epoch_that_is_missing_is_left_out_of_the_crossover():
    course = slopes([2.0, np.nan, 1.0, -1.0, -1.0])
    estimates = order_crossover(course)
    assert float(estimates["crossover"]) == pytest.approx(math.sqrt(4 * 8) - 1)
    assert np.isnan(estimates["reversed_share"])
    assert np.isnan(order_crossover(course * np.nan)["crossover"])


def test_the_time_is_that_of_a_fine_grid():
    course = slopes(RANDOM.normal(size=5))
    time, fine = np.log1p(course["epoch"].values), np.linspace(0, np.log(16), 400_001)
    expected = np.mean(np.interp(fine, time, course.values) > 0) * np.log(16)
    assert float(time_positive(course).sum()) == pytest.approx(expected, abs=1e-4)


def crossing_at(epochs, seeds=4):
    """Return the cube of seeds whose nc1 rises with depth before these epochs, and falls from them on."""
    time = np.log1p(np.array(sim.EPOCHS, dtype=float))[:, None]
    at = np.log1p(np.array(epochs, dtype=float))[:, None, None]
    courses = np.exp((at - time) * sim.DEPTHS)
    return sim.cube(nc1=sim.values(courses[None], "epoch", "layer")).isel(study=0)


def test_the_claim_shows_the_epoch_of_each_seed():
    (result,) = verdict_on(crossing_at([9.0, 10.0, 11.0]), "depth_order_crosses", {"least": 5.0, "most": 20.0}).findings
    assert result.verdict == "supported"
    assert result.per_seed == pytest.approx([9.0, 10.0, 11.0])
    assert result.region == pytest.approx((5.0, 20.0))


def test_an_order_that_is_never_reversed_or_never_crosses_refutes_the_claim():
    never = crossing_at([-0.9, -0.9, -0.9])
    (result,) = verdict_on(never, "depth_order_crosses", {}).findings
    assert (result.verdict, result.per_seed) == ("refuted", pytest.approx([0.0, 0.0, 0.0]))
    (result,) = verdict_on(crossing_at([1e4, 1e4, 1e4]), "depth_order_crosses", {}).findings
    assert (result.verdict, result.per_seed) == ("refuted", pytest.approx([100.0, 100.0, 100.0]))


def test_the_slope_of_nc1_is_a_variable_of_the_hidden_layers():
    cube = crossing_at([9.0, 10.0])
    slope = cube.elastic.read("nc1_depth_slope")
    xr.testing.assert_allclose(slope, cube.elastic.depth_slope("nc1").rename("nc1_depth_slope"))
    assert slope.attrs["units"] == "per layer"
    (result,) = verdict_on(cube, "below", {"variable": "nc1_depth_slope", "threshold": 0.0}).findings
    assert result.seeds == 2
    assert cube.elastic.order_crossover().crossover.values == pytest.approx([9.0, 10.0])
