"""A network of two layers on forty samples of three classes, and a trainer of it."""

from __future__ import annotations

import torch
from torch import nn

from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.models.contract import Stages
from elastic.optimizers import build_optimizer
from elastic.training import Randomness, Trainer, build_objective

X = torch.randn(40, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y = torch.arange(40) % 3
SAMPLES = Samples(X + torch.nn.functional.one_hot(Y, 5), Y, (0, 1, 2))


def network(hidden=4):
    torch.manual_seed(0)
    stages = {"penultimate": nn.Sequential(nn.Linear(5, hidden), nn.Tanh()), "logits": nn.Linear(hidden, 3)}
    return Stages(stages).double()


def trainer(model, optimizer, options, *, penalties=None, decay=0.0, epochs=1, loss="cross_entropy"):
    return Trainer(
        objective=build_objective(model, build_loss(loss), penalties, decay),
        optimizer=build_optimizer(optimizer, options, model.parameters()),
        schedule=lambda epoch: 1.0,
        splits={"train": SAMPLES},
        epochs=epochs,
        batch_size=None,
        randomness=Randomness(0, torch.device("cpu")),
    )
