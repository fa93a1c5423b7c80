"""Training of the models of free features by elastic's own trainer, in float64."""

from __future__ import annotations

import itertools

import torch

from elastic.data.contract import Samples
from elastic.data.indices import indices
from elastic.losses import build_loss
from elastic.models.building import build_model
from elastic.models.contract import Task
from elastic.optimizers import build_optimizer
from elastic.training import Randomness, Trainer, build_objective, train

#: Ends where the gradient is that of an optimum: without a tolerance it searches on for changes of the last bit.
LBFGS = ("lbfgs", {"iterations": 100, "history": 30, "tolerance": 1e-8})


def trained(name, options, counts, *, loss=("mse", {}), penalties=None, optimizer=LBFGS, epochs=5, seed=0):
    """Return the last snapshot of a training on indices of so many samples a class.

    penalties: {layer: λ}, or one λ a layer in depth order.
    """
    drawn = indices(torch.Generator(), per_class_counts=list(counts))
    part = drawn.take(~drawn.is_test)
    samples = Samples(part.inputs.double(), part.labels, part.classes)
    randomness = Randomness(seed, torch.device("cpu"))
    with randomness.isolated_rng():
        model = build_model(name, options, Task((len(samples),), len(counts), labels=samples.labels)).double()
    if penalties is not None and not isinstance(penalties, dict):
        penalties = dict(zip(model.layers, penalties, strict=True))
    trainer = Trainer(
        objective=build_objective(model, build_loss(*loss), penalties),
        optimizer=build_optimizer(*optimizer, model.parameters()),
        schedule=lambda epoch: 1.0,
        splits={"train": samples},
        epochs=epochs,
        batch_size=None,
        randomness=randomness,
    )
    *_, last = train(trainer)
    return last


def best_trained(name, options, counts, *, optimum, seeds=3, scales=(1.0,), **settings):
    """Return the last snapshot of least objective over initial scales and seeds: for where local minima are known.

    The first start that ends at the optimum, or below it, is the last.
    """
    collected = []
    for scale, seed in itertools.product(scales, range(seeds)):
        collected.append(trained(name, options | {"scale": scale}, counts, seed=seed, **settings))
        if collected[-1].objective < optimum * (1 + 1e-9):
            break
    return min(collected, key=lambda snapshot: snapshot.objective)


def layers_of(snapshot, counts):
    """Return {layer: features [N, d]} of all samples."""
    with torch.no_grad():
        return snapshot.model.taps(torch.eye(sum(counts), dtype=torch.float64))


def spectrum(snapshot, counts):
    """Return the singular values of the logits of all samples."""
    return torch.linalg.svdvals(layers_of(snapshot, counts)["logits"])
