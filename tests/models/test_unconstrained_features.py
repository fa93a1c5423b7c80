"""Models of free features: trained by elastic's own trainer, they reach the optima of the theory."""

import pytest
import torch

from elastic import theory
from elastic.data.contract import Samples
from elastic.data.indices import indices
from elastic.data.preparation import prepare
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.building import build_model
from elastic.models.contract import Task
from elastic.models.layer_peeled import LayerPeeled
from elastic.optimizers import build_optimizer
from elastic.training import Randomness, Trainer, build_objective, train

LBFGS = ("lbfgs", {"iterations": 100, "history": 30})


def trained(name, options, counts, *, loss=("mse", {}), penalties=None, optimizer=LBFGS, epochs=12, seed=0):
    """Return the last snapshot of a training on indices of so many samples a class, in float64."""
    drawn = indices(torch.Generator(), per_class_counts=list(counts))
    part = drawn.take(~drawn.is_test)
    samples = Samples(part.inputs.double(), part.labels, part.classes)
    randomness = Randomness(seed, torch.device("cpu"))
    with randomness.lent():
        model = build_model(name, options, Task((len(samples),), len(counts), labels=samples.labels)).double()
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


def spectrum(snapshot, counts):
    """Return the singular values of the logits of all samples."""
    with torch.no_grad():
        return torch.linalg.svdvals(snapshot.model(torch.eye(sum(counts), dtype=torch.float64)))


@pytest.mark.parametrize(
    ("counts", "width", "penalties"),
    [
        ((10, 10, 10), 5, (1e-2, 5e-3)),
        ((4, 4, 4, 4, 4), 7, (2e-3, 2e-2)),
        ((12, 6, 3), 4, (1e-2, 1e-2)),  # imbalanced: each class has its own value
        ((30, 3, 2), 4, (3e-2, 3e-2)),  # the small classes are given up
        ((4, 4, 4), 6, (0.5, 0.5)),  # all is zero
    ],
)
def test_unconstrained_features_reach_the_optimum_of_squared_error(counts, width, penalties):
    h, w = penalties
    last = trained("unconstrained_features", {"width": width}, counts, penalties={"penultimate": h, "logits": w})
    optimum = theory.mse_factor_model(counts, penalties)
    assert last.objective == pytest.approx(optimum.loss, rel=1e-6)
    expected = torch.zeros(len(counts), dtype=torch.float64)
    expected[: len(optimum.singular_values)] = torch.tensor(sorted(optimum.singular_values, reverse=True))
    torch.testing.assert_close(spectrum(last, counts)[: len(counts)], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "counts", "penalties"),
    [
        ("extended_unconstrained_features", {"widths": [6, 5]}, (8, 8, 8), (5e-3, 5e-3, 5e-3)),
        ("extended_unconstrained_features", {"widths": [6, 5]}, (12, 8, 4), (2e-3, 8e-3, 4e-3)),
        ("deep_unconstrained_features", {"width": 6, "depth": 3}, (10, 10), (3e-3, 3e-3, 3e-3, 3e-3)),
    ],
)
def test_deep_linear_models_reach_the_optimum_of_squared_error(name, options, counts, penalties):
    layers = build_model(name, options, Task((sum(counts),), len(counts))).layers
    found = [
        trained(name, options, counts, penalties=dict(zip(layers, penalties, strict=True)), epochs=25, seed=seed)
        for seed in range(3)
    ]
    # For three factors or more zero is a local optimum too: the best of a few starts is held to the theory.
    best = min(found, key=lambda snapshot: snapshot.objective)
    assert best.objective == pytest.approx(theory.mse_factor_model(counts, penalties).loss, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_unconstrained_features_reach_the_optimum_of_cross_entropy(smoothing):
    K, n, h, w = 4, 5, 2e-3, 8e-3
    loss = ("cross_entropy", {"smoothing": smoothing})
    penalties = {"penultimate": h, "logits": w}
    last = trained("unconstrained_features", {"width": 6}, [n] * K, loss=loss, penalties=penalties)
    optimum = theory.cross_entropy_ufm(K, n, w, h, smoothing)
    assert last.objective == pytest.approx(optimum.loss, rel=1e-6)
    with torch.no_grad():
        logits = last.model(torch.eye(K * n, dtype=torch.float64)).sort(dim=1).values
    gaps = logits[:, -1] - logits[:, -2]
    torch.testing.assert_close(gaps, torch.full_like(gaps, optimum.logit_gap), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("e_h", "e_w"), [(1.0, 1.0), (4.0, 0.5)])
def test_the_layer_peeled_model_reaches_its_optimum(e_h, e_w):
    last = trained(
        "layer_peeled", {"width": 8, "e_h": e_h, "e_w": e_w}, [5, 5, 5], loss=("cross_entropy", {}),
        optimizer=("sgd", {"lr": 2.0}), epochs=2500,
    )  # fmt: skip
    assert last.objective == pytest.approx(theory.layer_peeled(3, e_h, e_w).loss, rel=1e-6)


def test_projection_gives_the_nearest_point_of_the_ellipsoid():
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 0, 0, 1])
    features = torch.nn.Linear(5, 3, bias=False).double()
    start = features.weight.detach().clone() * 10
    features.weight.data.copy_(start)
    model = LayerPeeled(features, torch.nn.Linear(3, 2, bias=False).double(), labels, 0.5, 1.0)
    share = torch.tensor([1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2], dtype=torch.float64)  # 1/(K n_k)
    u = features.weight.detach()
    assert (share * u.square().sum(0)).sum() == pytest.approx(0.5, rel=1e-9)
    # At the nearest point the way there is normal to the surface: v − u = μ · share · u.
    multiplier = ((start - u) / (share * u)).flatten()
    torch.testing.assert_close(multiplier, multiplier.mean().expand_as(multiplier))
    model.project()
    torch.testing.assert_close(features.weight.detach(), u, rtol=1e-9, atol=0)


def test_indices_are_unit_vectors_whatever_the_normalisation():
    data = prepare("indices", {"per_class_counts": [3, 2]}, normalize="standardize")
    assert torch.equal(data.train.inputs, torch.eye(5))
    assert torch.equal(data.test.inputs, data.train.inputs)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]


def test_free_features_need_one_index_a_sample():
    labels = torch.arange(6) % 2
    with pytest.raises(ModelError, match="one-hot indices"):
        build_model("unconstrained_features", {"width": 3}, Task((1, 8, 8), 10))
    with pytest.raises(ModelError, match="one-hot indices"):
        build_model("unconstrained_features", {"width": 3}, Task((5,), 2, labels=labels))
    with pytest.raises(ModelError, match="train labels"):
        build_model("layer_peeled", {"width": 3}, Task((6,), 2))
