"""Claims of one study are judged together, and verdicts that rest on one seed say so."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scripts import error_rates
from support import simulated_cubes as sim

from elastic.claims.contract import Evidence
from elastic.claims.decision import judge, p_value
from elastic.claims.multiplicity import holm
from elastic.claims.verdicts import findings, fragile, left_out
from elastic.claims.weighing import Weighed, judged_together
from elastic.errors import OptionError
from elastic.registry import registry

POSITIVE = (0.0, math.inf)


def of(*seeds, region=POSITIVE):
    return Evidence(xr.DataArray(list(seeds), dims="seed", coords={"seed": list(range(len(seeds)))}), region, "")


def rejected_by_closed_testing(values):
    """Return which hypotheses every Bonferroni test of a set that holds them rejects: what Holm's procedure is."""
    sets = [s for n in range(1, len(values) + 1) for s in itertools.combinations(range(len(values)), n)]
    rejects = {s: min(values[i] for i in s) <= 0.05 / len(s) for s in sets}
    return [all(rejects[s] for s in sets if i in s) for i in range(len(values))]


@pytest.mark.parametrize("seed", range(20))
def test_levels_are_those_of_holm(seed):
    values = (np.random.default_rng(seed).random(5) ** 4 * 0.1).tolist()
    levels = holm(values)
    assert [value <= 1 - level for value, level in zip(values, levels, strict=True)] == rejected_by_closed_testing(
        values
    )


@pytest.mark.parametrize("region", [POSITIVE, (-math.inf, 0.5), (-0.5, 0.8)])
@pytest.mark.parametrize("draw", range(5))
def test_the_p_value_is_where_the_verdict_begins(region, draw):
    evidence = of(*np.random.default_rng(draw).normal(0.4, 0.3, 4), region=region)
    value = p_value(evidence)
    if value < 1:
        below, above = (judge(evidence, level=1 - value * factor)["verdict"].item() for factor in (0.999, 1.001))
        assert below == "inconclusive"
        assert above != "inconclusive"
    sample = evidence.effect.values
    if region == POSITIVE:
        assert value == pytest.approx(stats.ttest_1samp(sample, 0).pvalue)


def test_one_seed_has_no_p_value():
    assert p_value(of(1.0)) is None
    assert p_value(of(1.0, math.nan)) is None


def test_a_setting_of_one_seed_keeps_the_others_from_support_and_not_from_refutation():
    def p_value_of(*settings):
        return p_value(Evidence(xr.DataArray(list(settings), dims=("decay", "seed")), POSITIVE, ""))

    assert p_value_of([1.0, 1.0], [1.0, math.nan]) == 1
    assert p_value_of([-1.0, -1.0], [1.0, math.nan]) == 0
    assert p_value_of([1.0, 1.0], [1.0, 1.0]) == 0


def test_equal_seeds_are_certain():
    assert p_value(of(1.0, 1.0)) == 0
    assert p_value(of(-1.0, -1.0)) == 0


def test_the_level_of_a_study_decides_and_the_plain_interval_stays():
    evidence = of(1.0, 1.6, 2.2, 1.4)
    (alone,), (among) = findings(evidence), findings(evidence, level=1 - 0.05 / 50)[0]
    assert (alone.verdict, among.verdict) == ("supported", "inconclusive")
    assert (alone.lower, alone.upper) == (among.lower, among.upper) == alone.adjusted
    low, high = among.adjusted
    assert low < among.lower < among.upper < high
    assert "supported at 95%" in among.reason


def test_a_verdict_that_rests_on_one_seed_names_it():
    assert fragile(of(1.0, 1.1, 0.9, 1.0, 1.05), "supported") == ()
    assert fragile(of(1.0, 1.1, 0.9, 1.0, 9.0), "inconclusive") == (4,)
    assert findings(of(1.0, 1.1, 0.9, 1.0, 9.0))[0].fragile == (4,)


def test_without_a_seed_the_whole_study_is_judged_again():
    entry = registry("claims").get("collapse_deepens_with_depth")
    options, rng, others = entry.complete({}), np.random.default_rng(1), 0
    for _ in range(25):
        effects = rng.normal(1, 0.5, (3, 4))
        weighed = [Weighed(entry, options, of(*one)) for one in effects]
        results = judged_together(weighed)
        whole = rejected_by_closed_testing(stats.ttest_1samp(effects, 0, axis=1).pvalue.tolist())
        assert [one.verdict != "inconclusive" for one in results] == whole
        left = [
            rejected_by_closed_testing(stats.ttest_1samp(np.delete(effects, seed, axis=1), 0, axis=1).pvalue.tolist())
            for seed in range(4)
        ]
        expected = [tuple(s for s in range(4) if left[s][place] != whole[place]) for place in range(3)]
        assert [one.fragile for one in results] == expected
        others += sum(
            one.fragile != fragile(w.evidence, one.verdict, one.level) for one, w in zip(results, weighed, strict=True)
        )
    assert others > 3  # at the level of the whole study they would be told other seeds


def test_a_seed_without_a_value_is_not_left_out():
    assert set(left_out(of(1.0, math.nan, 2.0, 3.0))) == {0, 2, 3}
    assert left_out(of(1.0)) == {}


def test_seven_claims_together_are_wrong_as_seldom_as_one():
    plain, adjusted = error_rates.families(1500, 4, error_rates.DRAWS["normal"], 0.0)
    assert plain > 0.25
    assert adjusted <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1500)


@pytest.mark.parametrize("seeds", [3, 5])
def test_bounded_variables_are_judged_about_their_typical_seed(seeds):
    rng = np.random.default_rng(seeds)
    near = 4 / (1 + np.exp(3 - 1.5 * rng.normal(size=(1000, seeds))))
    cube = sim.cube(nc3_duality=sim.values(near, bounds=["0.0", "4.0"]))
    typical = 4 / (1 + np.exp(3))
    by = {scale: sim.rates(cube, "below", {"threshold": typical}, variable="nc3_duality", scale=scale)[0]
          for scale in ("auto", "linear")}  # fmt: skip
    assert max(by["auto"].supported, by["auto"].refuted) <= 0.05
    assert by["auto"].supported + by["auto"].refuted < 0.065
    effect = sim.evidence(cube, "below", variable="nc3_duality", threshold=typical)
    assert effect.shown(float(effect.effect.mean())) == pytest.approx(typical, rel=0.1)
    assert "typical seed" in effect.estimand


@pytest.mark.parametrize(
    ("name", "options"),
    [("below", {"threshold": 4.5}), ("above", {"threshold": -1}), ("converges_to", {"value": 5, "tolerance": 0.1})],
)
def test_a_level_beyond_the_bounds_is_refused(name, options):
    cube = sim.cube(nc3_duality=sim.values(np.array([[0.5, 0.6, 0.7]]), bounds=["0.0", "4.0"]))
    with pytest.raises(OptionError, match="be within the bounds of nc3_duality, 0 to 4"):
        sim.evidence(cube, name, variable="nc3_duality", **options)


@pytest.mark.parametrize("threshold", [0.0, 4.0])
def test_a_threshold_at_a_bound_is_judged_as_it_is(threshold):
    cube = sim.cube(nc3_duality=sim.values(np.array([[0.5, 0.6, 0.7]]), bounds=["0.0", "4.0"]))
    effect = sim.evidence(cube, "above", variable="nc3_duality", threshold=threshold)
    assert effect.region == (threshold, math.inf)
    assert effect.effect.values.ravel().tolist() == [0.5, 0.6, 0.7]
