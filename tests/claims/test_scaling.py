"""Powers along an axis of numbers: the exponent of a seed, and what is no axis of numbers."""

import numpy as np
import pytest
from support import simulated_cubes as sim
from support import studies

import elastic
from elastic.claims.checking import verdict_on
from elastic.errors import ElasticError, OptionError

OPTIONS = {"variable": "nc1", "axis": "scale", "least": 1.9, "most": 2.1}


def study(scales, power=2.0, seeds=3):
    """Return the cube of an nc1 proportional to a power of a scale, each seed at a level of its own."""
    factors = [scale**power if isinstance(scale, float) and scale > 0 else 1.0 for scale in scales]
    nc1 = np.exp(np.arange(seeds))[:, None] * np.array(factors)
    return sim.cube(nc1=sim.values(nc1[None], "scale", scale=scales)).isel(study=0)


def test_the_exponent_is_that_of_each_seed_whatever_its_level():
    (result,) = verdict_on(study([0.1, 0.5, 1.0, 4.0]), "follows_power_law", OPTIONS).findings
    assert (result.verdict, result.region) == ("supported", (1.9, 2.1))
    assert result.per_seed == pytest.approx([2.0, 2.0, 2.0])


def test_zero_is_no_place_on_a_logarithmic_axis():
    (result,) = verdict_on(study([0.0, 0.1, 0.5, 1.0]), "follows_power_law", OPTIONS).findings
    assert result.per_seed == pytest.approx([2.0, 2.0, 2.0])


def test_a_seed_with_a_missing_label_is_left_out():
    cube = study([0.1, 0.5, 1.0, 4.0])
    nc1 = cube["collapse"]["nc1"].copy()
    nc1[{"seed": 1, "scale": 3}] = np.nan
    cube["collapse"] = cube["collapse"].dataset.assign(nc1=nc1)
    (result,) = verdict_on(cube, "follows_power_law", OPTIONS).findings
    assert result.seeds == 2


@pytest.mark.parametrize("scales", [["small", "medium", "large"], [0.1, 1.0], [0.0, 0.1, 1.0], [-1.0, 0.1, 1.0]])
def test_an_axis_without_three_positive_numbers_is_an_error(scales):
    with pytest.raises(OptionError, match="3 positive numbers"):
        verdict_on(study(scales), "follows_power_law", OPTIONS)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"most": None}, "above 1.9"), ({"least": None}, "below 2.1"), ({}, "between 1.9 and 2.1")],
)
def test_the_sentence_says_the_bounds(options, words):
    assert f"an exponent {words}" in verdict_on(study([0.1, 0.5, 1.0]), "follows_power_law", OPTIONS | options).sentence


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("{path: training.init_scale, values: [0.1, 1.0, 10.0]}", None),
        ("{path: training.init_scale, values: [0.1, 1.0]}", "3 positive numbers"),
        ("{path: training.init_scale, values: [0.1, 1.0, 10.0], labels: [small, middle, large]}", "small, middle"),
        ("{path: model.bias, values: [true, false]}", "true, false"),
    ],
)
def test_a_protocol_is_held_against_its_axis_before_training(tmp_path, axis, words):
    claim = "{name: follows_power_law, variable: nc1, axis: scale, least: 1.8}"
    path = studies.write(tmp_path, studies.SMALL.replace("axes:", f"axes:\n  scale: {axis}") + f"claims: [{claim}]\n")
    if words is None:
        assert elastic.load_protocol(path).claims[0].options["axis"] == "scale"
    else:
        with pytest.raises(ElasticError, match=words) as caught:
            elastic.load_protocol(path)
        assert "claims" in str(caught.value)
