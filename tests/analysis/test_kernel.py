"""How far the tangent kernel turns: nothing in a lazy network, the same whatever its size, and as a variable of all."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support import simulated_cubes as sim
from support import studies

import elastic
from elastic.analysis.derived import DERIVED
from elastic.analysis.kernel import kernel_change
from elastic.analysis.reading import read
from elastic.claims.checking import verdict_on
from elastic.cube import Status
from elastic.errors import NotMeasured, OptionError
from elastic.protocol.claims import OF_ANALYSIS
from elastic.registry import registry

DIMS = ("epoch", "stepped_class", "observed_class")


def effects(seed=0, epochs=4, classes=3):
    return np.random.default_rng(seed).normal(size=(epochs, classes, classes))


def labelled(array):
    return xr.DataArray(array, dims=DIMS, coords={"epoch": np.arange(len(array))})


def test_it_is_one_minus_the_cosine_of_the_matrices():
    E = effects()
    first = E[0].ravel() / np.linalg.norm(E[0])
    expected = [1 - e.ravel() @ first / np.linalg.norm(e) for e in E]
    np.testing.assert_allclose(kernel_change(labelled(E)), expected, atol=1e-15)


def test_a_kernel_that_only_grows_has_not_changed_and_one_turned_over_has_changed_by_two():
    E = effects()[0]
    estimates = kernel_change(labelled(np.stack([E, 7 * E, -E])))
    np.testing.assert_allclose(estimates, [0, 0, 2], atol=1e-15)


def test_a_small_turn_is_no_rounding():
    E = np.eye(2)
    turned = E + 1e-9 * np.array([[0.0, 1.0], [1.0, 0.0]])
    assert float(kernel_change(labelled(np.stack([E, turned])))[1]) == pytest.approx(0.5e-18, rel=1e-6)


def test_pairs_of_classes_that_are_fitted_exactly_are_left_out_of_both_matrices():
    E = effects()
    E[2, 1] = np.nan
    rest = E[[0, 2]][:, [0, 2]]
    a, b = rest.reshape(2, -1)
    expected = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    estimates = kernel_change(labelled(E))
    assert float(estimates[2]) == pytest.approx(expected)
    assert estimates.notnull().all()
    E[3] = np.nan
    assert np.isnan(kernel_change(labelled(E))[3])


def test_matrices_of_zeros_have_no_direction():
    assert np.isnan(kernel_change(labelled(np.zeros((2, 3, 3))))).all()


def test_the_course_and_the_classes_are_needed():
    with pytest.raises(OptionError, match="epoch"):
        kernel_change(labelled(effects()).isel(epoch=0))
    with pytest.raises(OptionError, match="stepped_class"):
        kernel_change(labelled(effects()).isel(stepped_class=0))


def test_the_names_that_a_protocol_knows_are_those_that_are_computed():
    assert set(OF_ANALYSIS) == set(DERIVED)
    assert not set(DERIVED) & set(registry("metrics").names())


def test_it_is_read_as_a_variable_of_a_study(finished_study):
    cube = finished_study.cube
    result = cube.elastic.kernel_change(where={"layer": "logits"})
    effect = cube["elasticity"]["class_effect"].sel(layer="logits")
    np.testing.assert_allclose(result, kernel_change(effect))
    assert (result.sel(epoch=0) == 0).all()
    assert cube.elastic.interval("kernel_change", where={"layer": "logits", "epoch": -1})["count"] == 2
    assert finished_study.plot.training_course(metric="kernel_change", layers=["logits"]).axes
    with pytest.raises(NotMeasured, match="class_effect"):
        read(xr.DataTree.from_dict({"/collapse": xr.Dataset({"nc1": xr.DataArray(1.0)})}), "kernel_change")


def swept(small, large, status=None):
    """Return the cube of three seeds whose class effects turn by angles at two scales."""
    E, other = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 0.0]])
    angles = np.stack([np.array(small), np.array(large)], axis=1)[None, :, :, None] * np.array([0.0, 1.0])
    turned = np.cos(angles)[..., None, None, None] * E + np.sin(angles)[..., None, None, None] * other
    effect = sim.values(
        turned, "scale", "epoch", "layer", "stepped_class", "observed_class",
        bounds=["-inf", "inf"], scale=[1.0, 10.0], epoch=[0, 100], layer=["logits"],
    )  # fmt: skip
    held = {"class_effect": effect} | ({} if status is None else {"status": status})
    return sim.cube(elasticity=held).isel(study=0)


CLAIM = {"variable": "kernel_change", "axis": "scale", "first": 1.0, "second": 10.0, "least": 1.0, "layer": "logits"}


def test_claims_compare_it_as_any_variable():
    cube = swept([1.0, 1.1, 0.9], [0.1, 0.12, 0.11])
    (result,) = verdict_on(cube, "differs_between", CLAIM).findings
    expected = (1 - np.cos([1.0, 1.1, 0.9])) / (1 - np.cos([0.1, 0.12, 0.11]))
    assert result.verdict == "supported"
    assert result.per_seed == pytest.approx(expected)
    assert verdict_on(cube, "differs_between", CLAIM | {"first": 10.0, "second": 1.0}).verdict == "refuted"
    assert verdict_on(cube, "below", {"variable": "kernel_change", "threshold": 1.5, "layer": "logits"}).findings


def test_a_diverged_run_has_no_change_that_counts():
    status = xr.DataArray(np.full((3, 2, 2), int(Status.DONE)), dims=("seed", "scale", "epoch"))
    status[{"seed": 1, "scale": 0, "epoch": 1}] = Status.DIVERGED
    (result,) = verdict_on(swept([1.0, 1.1, 0.9], [0.1, 0.12, 0.11], status), "differs_between", CLAIM).findings
    assert result.seeds == 2


def test_a_protocol_may_claim_it(tmp_path):
    claim = "claims: [{name: below, variable: kernel_change, threshold: 0.1, layer: logits}]\n"
    assert elastic.load_protocol(studies.write(tmp_path, studies.SMALL + claim)).claims
