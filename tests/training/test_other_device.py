"""No part of training and evaluation mixes devices: seen on any machine, with tensors that say they are elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.model_cases import MODELS, build, samples_of
from support.pretended_device import Pretended, PretendedDevice, pretend

from elastic.losses import build_loss
from elastic.registry import registry
from elastic.training import Randomness, Trainer, build_objective, evaluate

LOSSES = registry("losses").names()


@pytest.fixture(autouse=True)
def _device():
    with PretendedDevice():
        yield


def elsewhere(samples):
    """Return samples with all tensors on the device."""
    return replace(samples, inputs=pretend(samples.inputs), labels=pretend(samples.labels))


def trained(model, loss, samples):
    """Train a model for an epoch; return its loss, accuracy and objective."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    objective = build_objective(model, build_loss(loss), {"weights": 1e-3, "features": 1e-3})
    splits = {"train": samples, "test": samples}
    trainer = Trainer(objective, optimizer, lambda _: 1.0, splits, 2, 5, Randomness(0, torch.device("cpu")))
    trainer.train_epoch()
    values = evaluate(model, trainer.loss, samples)
    return [*values, objective.total(values[0], samples.inputs, samples.labels)]


@pytest.mark.parametrize(("name", "loss"), [(m, "cross_entropy") for m in MODELS] + [("mlp", loss) for loss in LOSSES])
def test_a_model_is_trained_and_evaluated_on_one_device(name, loss):
    expected = trained(build(name), loss, samples_of(name))
    model = pretend(build(name))
    assert trained(model, loss, elsewhere(samples_of(name))) == pytest.approx(expected, rel=1e-12)
    assert all(isinstance(p.detach(), Pretended) for p in model.parameters())
