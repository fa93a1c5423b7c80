"""Every claim on simulated studies of known truth: seldom a wrong verdict at its edge, often the right one off it."""

import numpy as np
import pytest
from support import claim_cases
from support import simulated_cubes as sim
from support.sampling import alternating

from elastic.registry import registry

STUDIES = 1000

#: A rate of 5 % is seen as up to this in so many studies, 97 times in 100 (two standard errors).
MOST = 0.05 + 2 * np.sqrt(0.05 * 0.95 / STUDIES)

#: Numbers of seeds. Each claim is tried with one of them, and with both by `pytest -m long`.
FEW = (3, 5)
SEEDS = pytest.mark.parametrize("seeds", FEW)


def name_of(value):
    """Return the name of a case; None for pytest's own."""
    if isinstance(value, int):
        return None
    return f"{value.claim}, {value.draw.__name__}" if hasattr(value, "draw") else value.claim


TRUTHS = pytest.mark.parametrize(("truths", "seeds"), alternating(claim_cases.TRUTHS, FEW), ids=name_of)
ALL = pytest.mark.parametrize(("case", "seeds"), alternating(claim_cases.CASES, FEW), ids=name_of)


def edge_of(case):
    """Return the options at which the truth is on the claim's edge."""
    if isinstance(case.edge, dict):
        return case.edge
    many = case.draw(np.random.default_rng(99), 3 * STUDIES, 1)
    return {case.edge: sim.seen(many, case.claim, **case.options, **case.holds)}


def test_every_claim_has_a_simulated_truth():
    simulated = {case.claim for case in (*claim_cases.CASES, *claim_cases.TRUTHS)}
    assert simulated == set(registry("claims").names())


@ALL
def test_verdicts_on_a_known_truth(case, seeds):
    cube = case.draw(np.random.default_rng(seeds), STUDIES, seeds)
    edge, holds, fails = sim.rates(cube, case.claim, edge_of(case), case.holds, case.fails, **case.options)
    assert max(edge.supported, edge.refuted) <= MOST
    assert holds.supported >= 0.8
    assert holds.refuted <= MOST
    assert fails.refuted >= 0.8
    assert fails.supported <= MOST


@TRUTHS
def test_verdicts_on_truths_at_the_edge_and_off_it(truths, seeds):
    def rates_of(draws):
        cubes = [draw(np.random.default_rng(seeds), STUDIES, seeds) for draw in draws]
        return [rates for cube in cubes for rates in sim.rates(cube, truths.claim, {})]

    assert all(max(edge.supported, edge.refuted) <= MOST for edge in rates_of(truths.edges))
    assert all(result.supported >= 0.8 and result.refuted <= MOST for result in rates_of(truths.holds))
    assert all(result.refuted >= 0.8 and result.supported <= MOST for result in rates_of(truths.fails))


@SEEDS
@pytest.mark.parametrize(("share", "samples"), [(0.97, 20), (0.97, 50), (0.99, 100), (0.9, 10), (0.5, 1)])
def test_seeds_that_agree_on_a_coarse_share_are_not_taken_for_certain(share, samples, seeds):
    counts = np.random.default_rng(0).binomial(samples, share, (STUDIES, seeds))
    cube = sim.cube(ncc_accuracy=sim.values(counts / samples, bounds=sim.SHARE))
    (result,) = sim.rates(cube, "above", {"threshold": share}, variable="ncc_accuracy")
    assert max(result.supported, result.refuted) <= MOST


def test_a_share_of_many_samples_is_told():
    counts = np.random.default_rng(0).binomial(1000, 0.99, (STUDIES, 3))
    cube = sim.cube(ncc_accuracy=sim.values(counts / 1000, bounds=sim.SHARE))
    (result,) = sim.rates(cube, "above", {"threshold": 0.97}, variable="ncc_accuracy")
    assert result.supported > 0.8


@SEEDS
@pytest.mark.parametrize("shape", [2.0, 10.0])
def test_skewed_effects_seldom_mislead(shape, seeds):
    # The log of a gamma variable: skewness −0.8 and −0.3.
    log = np.log(np.random.default_rng(1).gamma(shape, 1, (STUDIES, seeds)))
    truth = float(np.exp(np.log(np.random.default_rng(2).gamma(shape, 1, 1_000_000)).mean()))
    (result,) = sim.rates(sim.cube(nc1=sim.values(np.exp(log))), "below", {"threshold": truth}, variable="nc1")
    assert max(result.supported, result.refuted) <= MOST
