"""Whether classes separate: a seed whose rate is not positive counts against it, in a finding of its own."""

import numpy as np
import pytest
from support import claim_cases
from support import simulated_cubes as sim

from elastic.claims.checking import verdict_on

EPOCHS = [0, 1, 5, 10, 20, 50, 100]


def study(*courses):
    rates = np.array(courses)[None, :, :, None]
    values = sim.values(rates, "epoch", "layer", epoch=EPOCHS, layer=["logits"], bounds=["-inf", "inf"])
    return sim.cube(elasticity={"separation_rate": values}).isel(study=0)


def falling(power, height=1.0):
    return height * np.maximum(EPOCHS, 0.5) ** power


def verdicts(cube):
    verdict = verdict_on(cube, "classes_separate", {})
    return verdict.verdict, [finding.verdict for finding in verdict.findings]


def test_rates_that_stay_and_rates_that_vanish():
    slow, fast = (study(*(falling(p, h) for h in (1.0, 1.1, 1.2))) for p in (-0.5, -1.5))
    assert verdicts(slow) == ("supported", ["supported", "supported"])
    assert verdicts(fast) == ("refuted", ["supported", "refuted"])
    result = verdict_on(slow, "classes_separate", {}).findings
    assert result[0].per_seed == pytest.approx([0.1, 0.11, 0.12])
    assert result[1].per_seed == pytest.approx([0.5, 0.5, 0.5])


def test_one_seed_below_zero_counts_against_the_claim():
    good = [falling(-0.5, height) for height in (1.0, 1.1, 1.2)]
    bad = np.where(np.array(EPOCHS) < 60, good[0], -0.3)
    assert verdicts(study(*good, good[0])) == ("supported", ["supported", "supported"])
    verdict = verdict_on(study(*good, bad), "classes_separate", {})
    assert (verdict.verdict, [finding.seeds for finding in verdict.findings]) == ("inconclusive", [4, 3])
    assert verdict.findings[0].per_seed[3] == pytest.approx(-0.3)


def test_rates_below_zero_in_every_seed_refute_it_though_none_has_an_exponent():
    verdict = verdict_on(study(*(-falling(-0.5, h) for h in (1.0, 1.1, 1.2))), "classes_separate", {})
    assert verdict.verdict == "refuted"
    assert verdict.findings[1].reason == "no seed has a finite value"


def test_what_was_before_the_tail_does_not_count():
    early = np.where(np.array(EPOCHS) < 10, -5.0, falling(-0.5))
    cube = study(early, 1.1 * early, 1.2 * early)
    assert verdicts(cube)[0] == "supported"
    assert verdict_on(cube, "classes_separate", {"tail": 0.01}).verdict == "refuted"


def test_a_population_half_below_zero_seldom_passes_five_seeds():
    # With three it does in 1 of 8: half of the seeds, one sign each, and no interval can tell.
    cube = claim_cases.rates_falling(0.0, below=0.5)(np.random.default_rng(0), 1000, 5)
    (result,) = sim.rates(cube, "classes_separate", {})
    assert result.supported <= 0.05
