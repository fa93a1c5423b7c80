"""A claim says the same of a cube whose layers have a user's names: they are found by their role."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from support import claim_cases
from support import simulated_cubes as sim

CASES = [(case.claim, case.draw, {**case.options, **case.holds}) for case in claim_cases.CASES]
CASES += [(truths.claim, truths.holds[0], {}) for truths in claim_cases.TRUTHS]


@pytest.mark.parametrize(("claim", "draw", "options"), CASES, ids=lambda part: part if isinstance(part, str) else "")
def test_evidence_is_that_of_built_in_names(claim, draw, options):
    cube = draw(np.random.default_rng(3), 4, 3)
    plain, named = (sim.evidence(of, claim, **options) for of in (cube, sim.named_by_user(cube)))
    assert plain.effect.notnull().any()
    assert named.effect.dims == plain.effect.dims
    np.testing.assert_array_equal(named.effect, plain.effect)
    assert named.region == plain.region
    assert "role" not in xr.Dataset({"effect": named.effect}).data_vars


@pytest.mark.parametrize(
    "layers", [["hidden_1", "hidden_3", "penultimate"], ["input", "hidden_1", "logits", "penultimate"]]
)
def test_layers_that_are_named_are_the_user_s_or_stand_for_them(layers):
    numbers = np.exp(np.random.default_rng(0).normal(size=(1, 3, len(sim.EPOCHS), len(sim.LAYERS))))
    cube = sim.cube(nc1=sim.values(numbers, "epoch", "layer", layer=sim.LAYERS))
    given = [sim.OF_USERS[name] if name.startswith("hidden") else name for name in layers]
    plain = sim.evidence(cube, "collapse_deepens_with_depth", layers=layers)
    named = sim.evidence(sim.named_by_user(cube), "collapse_deepens_with_depth", layers=given)
    np.testing.assert_array_equal(named.effect, plain.effect)
