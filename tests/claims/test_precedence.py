"""Which of two changes comes first: three definitions of onset on curves whose times are known."""

import numpy as np
import pytest
from support import simulated_cubes as sim

from elastic.claims.checking import verdict_on
from elastic.errors import NotMeasured, OptionError

EPOCHS = np.array(sim.EPOCHS)
TIME = np.log1p(EPOCHS)[:, None]
SEEDS = np.exp(0.01 * np.random.default_rng(0).standard_normal((1, 4, 1, 1)))


def study(first, second, bounds=sim.RATIO):
    """Return the cube of four seeds about two courses [epoch] of one layer: nc1 and fuzziness."""
    courses = {"nc1": first, "fuzziness": second}
    held = {
        name: sim.values(np.reshape(course, (-1, 1)) * SEEDS, "epoch", "layer", layer=["penultimate"], bounds=bounds)
        for name, course in courses.items()
    }
    return sim.cube(**held).isel(study=0)


def step_at(place, height=0.01):
    return np.where(np.arange(len(EPOCHS)) < place, 1.0, height)


def finding(cube, **options):
    (result,) = verdict_on(cube, "precedes", {"variable": "nc1", "other": "fuzziness"} | options).findings
    return result


def test_steps_come_in_their_order_by_every_definition():
    cube = study(step_at(3), step_at(8))
    for options in ({}, {"onset": "fraction", "fraction": 0.2}, {"onset": "level", "level": 0.1, "other_level": 0.1}):
        result = finding(cube, **options)
        assert result.verdict == "supported", options
        halfway = [np.sqrt((1 + EPOCHS[place]) * (1 + EPOCHS[place - 1])) for place in (3, 8)]
        if options.get("onset") != "fraction":
            assert result.effect == pytest.approx(halfway[1] / halfway[0], rel=0.02)
        assert finding(study(step_at(8), step_at(3)), **options).verdict == "refuted"


def test_two_steps_between_the_same_probes_have_no_order():
    assert finding(study(step_at(5), step_at(5, 0.1))).verdict == "inconclusive"


def test_a_rise_and_a_fall_are_compared_and_the_wrong_way_is_left_out():
    cube = study(1 / step_at(3), step_at(8))
    assert finding(cube, way="rises", other_way="falls").verdict == "supported"
    assert finding(cube, way="falls").reason == "no seed has a finite value"


def test_a_curve_that_hardly_changes_has_no_middle_but_may_pass_a_level():
    cube = study(step_at(3), step_at(8, 0.8))
    assert finding(cube).reason == "no seed has a finite value"
    assert finding(cube, min_change=0.1).verdict == "supported"
    levels = {"onset": "level", "level": 0.1, "other_level": 0.1}
    assert finding(cube, **levels).verdict == "supported", "one that never passes comes at the end"


def test_a_curve_that_turns_is_taken_from_its_turn_on():
    turning = np.where(EPOCHS < 3, 1.0, np.where(EPOCHS < 36, 0.1, 1.0))
    cube = study(step_at(6), turning)
    assert finding(cube, other_way="rises").seeds == 0
    assert finding(cube, other_way="rises", since=3).verdict == "supported"


def test_accuracies_are_compared_as_they_are():
    cube = study(0.1 + 0.9 * (EPOCHS >= 3), 0.1 + 0.9 * (EPOCHS >= 22), bounds=sim.SHARE)
    assert finding(cube).verdict == "supported"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"onset": "level", "level": 0.1}, "`other_level`"),
        ({"onset": "level", "level": -1.0, "other_level": 0.1}, "`level`"),
    ],
)
def test_levels_are_needed_and_on_the_variables_scale(options, field):
    with pytest.raises(OptionError) as caught:
        sim.evidence(study(step_at(3), step_at(8)), "precedes", variable="nc1", other="fuzziness", **options)
    assert caught.value.field == field


def test_two_probes_have_no_order():
    with pytest.raises(NotMeasured, match="at least 3 epochs"):
        sim.evidence(study(step_at(3), step_at(8)).isel(epoch=[0, -1]), "precedes", variable="nc1", other="fuzziness")


def test_splits_that_are_one_and_variables_without_splits_are_told():
    cube = study(step_at(3), step_at(8))
    with pytest.raises(OptionError, match="`variable` should be measured on splits"):
        sim.evidence(cube, "ratio_between_splits", variable="nc1", least=1.0)
    with pytest.raises(OptionError, match="`other_split` should be another split"):
        sim.evidence(cube, "ratio_between_splits", variable="nc1", least=1.0, split="train")
    with pytest.raises(OptionError, match="`least` should be given"):
        sim.evidence(cube, "ratio_between_splits", variable="nc1")
