"""In which layer collapse comes first: by a common level and by each layer's own fall, which may disagree."""

import numpy as np
import pytest
from support import simulated_cubes as sim

from elastic.analysis.falls import epochs_above
from elastic.analysis.onset import onset_epoch
from elastic.claims.checking import verdict_on

TIME = np.log1p(np.array(sim.EPOCHS))[:, None]
SEEDS = np.exp(0.1 * np.random.default_rng(0).standard_normal((1, 4, 1, 1)))


def study(courses, layers=sim.HIDDEN):
    """Return the cube of four seeds about the courses [epoch, layer]."""
    return sim.cube(nc1=sim.values(courses * SEEDS, "epoch", "layer", layer=layers)).isel(study=0)


def finding(cube, level=0.1, **options):
    (result,) = verdict_on(cube, "reaches_level_inward", {"level": level} | options).findings
    return result


def test_a_straight_fall_comes_to_the_level_where_the_onset_is():
    values = study(np.exp(-TIME * np.linspace(0.6, 1.5, 5)))["collapse"]["nc1"]
    onset = onset_epoch(values, threshold=0.1, interpolate=True)
    np.testing.assert_allclose(epochs_above(values, 0.1), 1 + onset)


def test_a_layer_that_never_comes_is_later_than_one_that_does():
    levels = np.array([1.0, 1.0, 1.0, 1.0, 0.0])  # the last layer alone falls
    courses = np.exp(-1.5 * TIME * (levels == 0))
    result = finding(study(courses))
    assert (result.verdict, result.seeds) == ("supported", 4)
    assert finding(study(courses[:, ::-1])).verdict == "refuted"


def test_layers_that_never_come_are_no_evidence_of_an_order():
    never = np.ones((len(sim.EPOCHS), 5))
    assert finding(study(never)).reason == "no seed has a finite value"
    assert finding(study(0.01 * never)).reason == "no seed has a finite value"


def test_layers_that_do_not_come_are_at_the_end_all_of_them():
    above = epochs_above(study(np.ones((len(sim.EPOCHS), 5)))["collapse"]["nc1"], 0.1)
    np.testing.assert_allclose(above, 1 + sim.EPOCHS[-1])


def test_two_layers_are_enough():
    result = finding(study(np.exp(-TIME * np.array([0.7, 1.4])), ["hidden_1", "penultimate"]))
    assert result.verdict == "supported"


def test_the_two_definitions_can_disagree():
    """Deeper layers start and end lower, and fall later: they pass the level first, and their own middle last."""
    middle, end = np.array([1.0, 1.3, 1.6, 1.9, 2.2]), np.array([3.0, 4.0, 5.0, 6.0, 8.0])
    courses = np.exp(-np.arange(5) * 1.0 - end / (1 + np.exp(-(TIME - middle) / 0.3)))
    cube = study(courses)
    assert finding(cube, level=0.05).verdict == "supported"
    assert verdict_on(cube, "propagates_inward", {}).verdict == "refuted"


@pytest.mark.parametrize("courses", [np.zeros((11, 2)), np.full((11, 2), 1e-300)])
def test_exact_collapse_is_below_every_level(courses):
    courses[0] = 1.0
    above = epochs_above(study(courses, ["hidden_1", "penultimate"])["collapse"]["nc1"], 0.5)
    assert (above < 1.01).all()


def test_a_missing_value_is_not_bridged():
    values = study(np.exp(-TIME * np.ones(5)))["collapse"]["nc1"]
    assert epochs_above(values.where(values["epoch"] != 5), 0.1).isnull().all()
