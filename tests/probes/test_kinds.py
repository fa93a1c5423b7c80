"""Movements of networks as users write them are those of real steps, or are refused."""

from __future__ import annotations

import copy

import pytest
import torch
from engine_cases import LOSS
from model_kinds import ALONE, KINDS, moved, network

from elastic.errors import ModelError
from elastic.models.tapped import Tapped
from elastic.probes.engines import choose_engine
from elastic.probes.movements import movements
from elastic.probes.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore")


def found(name, engine, lr):
    """Return (name of the engine, movements [J, M, K]) of a kind; each observed sample is read alone."""
    net, x, y, observed = network(name)
    model = Tapped(copy.deepcopy(net), [])
    chosen = choose_engine(model, observed[:1], engine=engine, finite=lr is not None)
    steps = [slice(j, j + 1) for j in range(len(x))] if name in ALONE else [slice(None)]
    rows = [torch.cat([pairs(model, chosen, x[j], y[j], sample, lr) for j in steps]) for sample in observed]
    return chosen.name, torch.stack(rows, 1)


def pairs(model, chosen, x, y, sample, lr):
    """Return the movements [J, K] of one sample."""
    stepping, plan = chosen.at_work(model, sample[None], lr), Plan.of(chosen.cost, len(x), 1, 2**30)
    (block,) = movements(stepping, LOSS, (x, y), sample[None].clone(), plan)
    return block.moved["logits"][:, 0].double() * block.scale[:, None]
