"""Nested blocks of evaluation mode share a saved state, and leave the module as it was."""

from __future__ import annotations

import torch
from torch import nn

from elastic.models.dry_run import trial
from elastic.models.evaluation_mode import evaluated
from elastic.models.state import ModuleState


def network():
    return nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())


def test_the_end_of_an_inner_block_restores_buffers_attributes_and_generators():
    net = network()
    with evaluated(net):
        before = torch.get_rng_state()
        with evaluated(net):
            net[1].running_mean.add_(1)
            net.calls, net[2].p = 1, 0.25
            torch.randn(3)
        assert net[1].running_mean.tolist() == [0, 0]
        assert not hasattr(net, "calls")
        assert net[2].p == 0.5
        assert torch.equal(torch.get_rng_state(), before)
        assert not net.training
    assert net.training
    assert net[2].training


def test_an_inner_block_saves_nothing_unless_values_of_parameters_are_asked_for_first(monkeypatch):
    net, saved, init = network(), [], ModuleState.__init__

    def count(self, module, **options):
        saved.append(options.get("parameters", True))
        init(self, module, **options)

    monkeypatch.setattr(ModuleState, "__init__", count)
    with evaluated(net, parameters=True):
        assert saved == [True, False]
        with evaluated(net), trial(net), evaluated(net[0]):
            assert saved == [True, False, False, False]  # of the other module alone
    saved.clear()
    with evaluated(net), trial(net):
        assert saved == [False, False, True, False]


def test_an_inner_block_begins_in_evaluation_mode_whatever_the_outer_one_did():
    net = network()
    with evaluated(net):
        net.train()
        with evaluated(net):
            assert not net[2].training
    assert net[2].training


def test_values_of_parameters_are_back_when_the_block_ends_that_restores_them():
    net = network()
    weight = net[0].weight.detach().clone()
    with torch.no_grad(), evaluated(net, parameters=True), trial(net):
        net[0].weight.add_(1)
    assert torch.equal(net[0].weight, weight)


def test_a_block_of_a_generator_that_is_dropped_leaves_no_state_to_later_ones():
    net = network()

    def passes():
        with evaluated(net):
            yield
            yield

    generator = passes()
    next(generator)
    with evaluated(nn.Linear(1, 1)):
        generator.close()  # not in the order in which the blocks began
        net[1].running_mean.add_(1)
    with evaluated(net):
        pass
    assert net[1].running_mean.tolist() == [1, 1]
    assert net.training
