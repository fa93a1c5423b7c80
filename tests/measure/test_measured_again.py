"""A module that is measured again: its engine is known, its numbers are compared. Arrays are never copied whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from elastic import measure_collapse, measure_elasticity

GENERATOR = torch.Generator().manual_seed(0)
STEPPED = torch.randn(6, 4, generator=GENERATOR), torch.arange(6) % 3
OBSERVED = torch.randn(9, 4, generator=GENERATOR), torch.arange(9) % 3


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))


def pairs(net, **options):
    check = measure_elasticity(net, STEPPED, OBSERVED, layers=["1", "2"], **options).attrs["engine_check"]
    return int(check.partition(" pair")[0].rpartition(" ")[2])


def trained(net):
    with torch.no_grad():
        net[0].weight.add_(0.01)


def test_one_pair_is_compared_when_a_module_is_measured_after_further_training():
    net = network()
    assert pairs(net) == 8
    trained(net)
    assert pairs(net) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda net: net.__setitem__(1, nn.Tanh()),
        lambda net: net[0].register_forward_hook(lambda *given: None),
        lambda net: setattr(net[1], "slope", 0.5),
        lambda net: net[2].bias.requires_grad_(False),
        lambda net: net.double(),
    ],
)
def test_a_module_of_other_parts_is_a_new_one(change):
    net = network()
    pairs(net)
    change(net)
    with torch.no_grad():
        dtype = net[0].weight.dtype
    given = tuple((x.to(dtype), y) for x, y in (STEPPED, OBSERVED))
    check = measure_elasticity(net, *given, layers=["1", "2"]).attrs["engine_check"]
    assert "8 pairs" in check


def test_an_attribute_with_a_list_in_it_says_nothing_of_a_module():
    net = network()
    assert pairs(net) == 8
    net[1].sizes = (1, [2])
    trained(net)
    assert pairs(net) == 1


def test_equal_calls_give_equal_datasets_and_other_options_are_checked_in_full():
    net = network()
    first, second = (measure_elasticity(net, STEPPED, OBSERVED, layers=["1", "2"]) for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert pairs(net, engine="autodiff") == 8


def test_the_same_numbers_in_another_order_are_compared_again():
    net, (x, y) = network(), STEPPED
    assert pairs(net) == 8
    turned = measure_elasticity(net, (x.flip(0), y.flip(0)), OBSERVED, layers=["1", "2"])
    assert "1 pair" in turned.attrs["engine_check"]  # eight, if the comparison before had been taken for this one


def test_what_is_measured_again_is_what_a_copy_of_the_module_gives():
    net = network()
    pairs(net)
    trained(net)
    other = network()
    other.load_state_dict(net.state_dict())
    result, expected = (measure_elasticity(one, STEPPED, OBSERVED, layers=["1", "2"]) for one in (net, other))
    checked = ["probe_error"]
    xr.testing.assert_equal(result.drop_vars(checked), expected.drop_vars(checked))


def test_arrays_take_less_than_half_of_their_memory_beside_them():
    torch.manual_seed(0)
    features, labels = torch.randn(600, 32_768), np.arange(600) % 3
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        measure_collapse(features, labels)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = torch.tensor([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).cumsum(0)
    assert int(live.max()) < 0.5 * features.nbytes


def test_blocks_of_samples_change_nothing_but_rounding(monkeypatch):
    from elastic.measure import collapse

    torch.manual_seed(0)
    features, labels, weights = torch.randn(40, 12) + 5, np.arange(40) % 4, torch.randn(4, 12)
    whole = measure_collapse(features, labels, classifier=weights)
    monkeypatch.setattr(collapse, "BLOCK", 30)
    xr.testing.assert_allclose(measure_collapse(features, labels, classifier=weights), whole, rtol=1e-9)
