"""A metric is added with one function: it is in the next run's cube, the library's datasets and the listings."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from support import oracles, studies
from support.elasticity_cases import CASES

import elastic
from elastic import listing
from elastic.errors import OptionError, RunFailed
from elastic.registry import registry

COLLAPSE = '''
from elastic.metrics.contract import metric


@metric(source="he2023law", formula="max_k v_k", units="squared feature unit", bounds=(0.0, None))
def largest_variance(statistics):
    """Within-class variance of the widest class, max_k v_k.

    Convention: v_k is the population's variance.
    """
    return statistics.within_variance.max()
'''

NETWORK = '''
from elastic.metrics.contract import metric


@metric(source="he2023law", formula="L_LS / L", layerless=True)
def share_of_optimum(least_squares):
    """Share of the squared loss that no classifier could take away."""
    return least_squares.optimum / (least_squares.optimum + least_squares.perpendicular)
'''

ELASTICITY = '''
from elastic.metrics.contract import metric


@metric(group="elasticity", source="he2020local", formula="max |D(m;a)|", bounds=(0.0, None), dims=("stepped_class",))
def furthest(update):
    """Furthest movement of any observed sample under a step on each class."""
    rows = update.members(update.stepped).bool()
    return torch.stack([update.norms[rows[:, k]].max() for k in range(update.classes)])
'''

WRONG = '''
from elastic.metrics.contract import metric


@metric(source="he2023law", formula="?", dims=("class",))
def of_no_class(statistics):
    """A number where its registration says one a class."""
    return statistics.within_variance.max()
'''


@pytest.fixture
def add(tmp_path, monkeypatch):
    """Return ``(code) -> module``: its metrics are registered as long as the test lasts."""
    registry("metrics").names()  # the built-in ones are there before
    entries = registry("metrics")._entries
    before = dict(entries)

    def imported(code):
        (tmp_path / "my_metrics.py").write_text("import torch\n" + code)
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()
        return importlib.import_module("my_metrics")

    yield imported
    entries.clear()
    entries.update(before)
    sys.modules.pop("my_metrics", None)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("elastic.study.Study.seal", lambda self: None)
    return lambda *settings: studies.run(tmp_path, "axes.seed=[0]", "training.epochs=1", *settings).cube


def test_a_metric_of_collapse_is_in_the_cube_with_its_facts(add, run):
    add(COLLAPSE)
    group = run("probes.elasticity=null")["collapse"].dataset
    result = group["largest_variance"]
    assert result.dims == ("seed", "epoch", "split", "layer")
    np.testing.assert_array_equal(result, group["within_variance"].max("class"))
    assert result.attrs == {
        "long_name": "Within-class variance of the widest class, max_k v_k",
        "units": "squared feature unit",
        "source": "he2023law",
        "formula": "max_k v_k",
        "value_bounds": ["0.0", "inf"],
        "convention": "v_k is the population's variance.",
    }


def test_a_metric_of_the_network_needs_the_squared_loss(add, run):
    add(NETWORK)
    group = run("probes.elasticity=null", "loss=mse")["collapse"].dataset
    result = group["share_of_optimum"]
    assert result.dims == ("seed", "epoch", "split")
    parts = group["mse_least_squares"] + group["mse_perpendicular"]
    np.testing.assert_allclose(result, group["mse_least_squares"] / parts)


def test_without_its_readings_a_metric_is_no_variable(add, run):
    add(NETWORK)
    assert "share_of_optimum" not in run("probes.elasticity=null")["collapse"].dataset


def test_a_metric_of_elasticity_is_in_the_cube(add, run):
    module = add(ELASTICITY)
    result = run("probes.collapse=null")["elasticity"].dataset["furthest"]
    assert result.dims == ("seed", "epoch", "layer", "stepped_class")
    assert result.notnull().all()
    case = CASES["hidden"]
    moved, _ = case.moved(case.layer)
    expected = [
        max(np.linalg.norm(moved[a], axis=1).max() for a in oracles.steps_on(k, case.stepped_labels.tolist()))
        for k in range(case.classes)
    ]
    np.testing.assert_allclose(module.furthest(case.readings()["update"]), expected, rtol=1e-9)


def test_the_library_and_the_listings_know_it_too(add):
    add(COLLAPSE)
    h = torch.tensor([[0.0], [2.0], [5.0], [6.0]])
    assert elastic.measure_collapse(h, [0, 0, 1, 1])["largest_variance"].item() == 1.0
    assert "widest class" in listing.names(["metrics"])["metrics"]["largest_variance"]


def test_once_removed_it_is_nowhere():
    assert "largest_variance" not in registry("metrics").names()


def test_a_metric_that_breaks_its_own_registration_is_told_by_name(add, tmp_path):
    add(WRONG)
    with pytest.raises(RunFailed, match=r"`collapse/of_no_class` should be of shape \(2, 4, 3\)"):
        studies.run(tmp_path, "axes.seed=[0]", "training.epochs=1", "probes.elasticity=null")


def test_two_metrics_of_one_name_are_refused(add):
    text = r"`nc1` should name one of the metrics; found two, in elastic\.metrics\.\w+ and my_metrics"
    with pytest.raises(OptionError, match=text):
        add(COLLAPSE.replace("largest_variance", "nc1"))


def test_a_reading_that_its_group_does_not_have_is_refused(add):
    with pytest.raises(OptionError, match=r"should have readings .* found 'statistic'; try 'statistics'"):
        add(COLLAPSE.replace("statistics", "statistic"))
    assert "largest_variance" not in registry("metrics").names()
