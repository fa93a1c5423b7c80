"""Elasticity under a user's own loss: models of one output, probabilities, several labels; the kernel of He and Su."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

from elastic import measure_elasticity
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.probes import verification

GENERATOR = np.random.default_rng(0)
X, XO = GENERATOR.normal(size=(6, 4)).astype("float32"), GENERATOR.normal(size=(9, 4)).astype("float32")
Y, YO = np.arange(6) % 2, np.arange(9) % 2
SOFT = GENERATOR.dirichlet(np.ones(3), size=15).astype("float32")
MULTI = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]] * 3, dtype="float32")


def network(outputs=1, *layers, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, outputs), *layers)


def measure(model, loss, y, yo, **options):
    return measure_elasticity(model, (X, y), (XO, yo), loss=loss, layers=["1"], pairs=True, **options)


def moved(model, loss, y, layer, lr=1e-6):
    """Return the movements [J, M, d] of a layer by real steps in float64, along the user's loss by plain autograd."""
    wide, (x, xo) = model.double(), (torch.tensor(part).double() for part in (X, XO))
    read = (lambda x: wide[:2](x)) if layer == "1" else (lambda x: wide(x).reshape(len(x), -1))
    rows = []
    for a in range(len(x)):
        gradients = torch.autograd.grad(loss(wide(x[a : a + 1]), y[a : a + 1]), list(wide.parameters()))
        ends = []
        for sign in (-1, 1):
            with torch.no_grad():
                for p, g in zip(wide.parameters(), gradients, strict=True):
                    p -= sign * lr * g
                ends.append(read(xo))
                for p, g in zip(wide.parameters(), gradients, strict=True):
                    p += sign * lr * g
        rows.append((ends[1] - ends[0]) / (2 * lr))
    model.float()
    return torch.stack(rows).numpy()


def tangent(model, x):
    """Return the gradient [P] of a scalar output by all parameters, in float64."""
    output = model(torch.tensor(x[None]).double()).sum()
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(output, list(model.parameters()))])


BCE_WEIGHTED = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))
W = torch.tensor([1.0, 2.0, 3.0])
KINDS = {
    "binary": (network(), nn.BCEWithLogitsLoss(), Y, YO, lambda z, y: nn.BCEWithLogitsLoss()(z[:, 0], y.double())),
    "binary, no dim": (network(1, nn.Flatten(0)), nn.BCEWithLogitsLoss(), Y, YO,
                       lambda z, y: nn.BCEWithLogitsLoss()(z, y.double())),
    "binary, weighted": (network(), BCE_WEIGHTED, Y, YO, lambda z, y: BCE_WEIGHTED.double()(z[:, 0], y.double())),
    "probabilities of one": (network(1, nn.Sigmoid()), nn.BCELoss(), Y[:, None], YO[:, None],
                             lambda z, y: nn.BCELoss()(z, y.double())),
    "squared": (network(), nn.MSELoss(), 2 * Y - 1, 2 * YO - 1, lambda z, y: (z[:, 0] - y).square().mean()),
    "squared, no dim": (network(1, nn.Flatten(0)), functional.mse_loss, 2.0 * Y - 1, 2.0 * YO - 1,
                        lambda z, y: (z - y).square().mean()),
    "smoothing": (network(3), nn.CrossEntropyLoss(label_smoothing=0.1), Y, YO,
                  nn.CrossEntropyLoss(label_smoothing=0.1)),
    "weights": (network(3), nn.CrossEntropyLoss(weight=W), Y, YO,
                lambda z, y: functional.cross_entropy(z, y, W.double(), reduction="sum")),
    "probabilities": (network(3), nn.CrossEntropyLoss(), SOFT[:6], SOFT[6:],
                      lambda z, y: nn.CrossEntropyLoss()(z, y.double())),
    "one-hot": (network(3), nn.MSELoss(), np.eye(3)[Y], np.eye(3)[YO], lambda z, y: nn.MSELoss()(z, y.double())),
    "several": (network(3), nn.BCEWithLogitsLoss(reduction="sum"), MULTI[:6], MULTI[6:],
                lambda z, y: nn.BCEWithLogitsLoss(reduction="sum")(z, y.double())),
    "a callable": (network(3), lambda z, y: (z.logsumexp(1) - 2 * z.gather(1, y[:, None])[:, 0]).mean(), Y, YO,
                   lambda z, y: (z.logsumexp(1) - 2 * z.gather(1, y[:, None])[:, 0]).mean()),
    "data-dependent": (network(3), lambda z, y: sum(z[i, int(y[i])] ** 2 for i in range(len(z))), Y, YO,
                       lambda z, y: sum(z[i, int(y[i])] ** 2 for i in range(len(z)))),
}  # fmt: skip


#: Of autodiff, which treats all losses alike; `pytest -m long` tries it with every other.
BY_AUTODIFF = ("squared, no dim", "several", "data-dependent")


@pytest.mark.parametrize(
    ("kind", "engine"),
    [
        *((kind, "structured") for kind in KINDS),
        *(pytest.param(kind, "autodiff", marks=() if kind in BY_AUTODIFF else pytest.mark.long) for kind in KINDS),
    ],
)
def test_movements_are_those_of_real_steps_along_the_user_s_loss(kind, engine):
    model, loss, y, yo, plain = KINDS[kind]
    measured = measure(model, loss, y, yo, engine=engine)
    for layer in ("1", measured["layer"].values[-1]):
        expected = np.linalg.norm(moved(model, plain, torch.as_tensor(y), layer), axis=2)
        np.testing.assert_allclose(measured["pair_response"].sel(layer=layer), expected, rtol=1e-4)
    assert measured.attrs["engine"].startswith(engine)


def test_kernel_similarity_of_a_scalar_output_is_he_and_su_s_kernel_ratio():
    model = network(seed=3)
    measured = measure(model, nn.MSELoss(), 2 * Y - 1, 2 * YO - 1)
    model.double()
    stepped, observed = (torch.stack([tangent(model, x) for x in part]) for part in (X, XO))
    ratios = ((stepped @ observed.T) / stepped.square().sum(1, keepdim=True)).numpy()  # K(x', x)/K(x, x)
    pairs = measured["pair_product"] / measured["own_response"] ** 2
    np.testing.assert_allclose(pairs.isel(layer=-1), ratios, rtol=1e-4, atol=1e-6)
    model.float()
    for target in (-1, 1):
        for other in (-1, 1):
            of_pair = measured["kernel_similarity"].isel(layer=-1).sel(stepped_class=target, observed_class=other)
            block = (stepped @ observed.T).numpy()[target == 2 * Y - 1][:, other == 2 * YO - 1]
            residual = (model(torch.tensor(X))[:, 0] - torch.tensor(2 * Y - 1)).detach().double().numpy()
            scale = residual[target == 2 * Y - 1] ** 2
            own = stepped.square().sum(1).numpy()[target == 2 * Y - 1]
            expected = (scale[:, None] * own[:, None] * block).mean() / (scale * own**2).mean()
            assert float(of_pair) == pytest.approx(expected, rel=1e-4)


def test_the_kernel_ratio_does_not_depend_on_the_loss_of_a_scalar_output():
    model = network(seed=3)
    losses = (nn.MSELoss(), nn.BCEWithLogitsLoss(), lambda z, y: torch.cosh(z[:, 0] - y).sum())
    collected = [measure(model, loss, Y, YO) for loss in losses]
    ratios = [(ds["pair_product"] / ds["own_response"] ** 2).isel(layer=-1) for ds in collected]
    for other in ratios[1:]:
        np.testing.assert_allclose(other, ratios[0], rtol=1e-5)


def test_classes_are_the_labels_that_occur():
    def names(loss, y, yo, outputs=1):
        return measure(network(outputs), loss, y, yo)["stepped_class"].values.tolist()

    assert names(nn.BCEWithLogitsLoss(), Y, YO) == [0, 1]
    assert names(nn.MSELoss(), 2 * Y - 1, 2 * YO - 1) == [-1, 1]
    assert names(nn.MSELoss(), Y / 4, YO / 4) == [0.0, 0.25]
    assert names(nn.CrossEntropyLoss(), SOFT[:6], SOFT[6:], 3) == sorted(set(SOFT.argmax(1).tolist()))
    assert names(nn.BCEWithLogitsLoss(), MULTI[:6], MULTI[6:], 3) == ["000", "011", "100"]


def test_shapes_and_types_of_the_labels_change_nothing():
    model = network()
    plain = measure(model, nn.BCEWithLogitsLoss(), Y, YO)
    for kind in (np.float32, np.bool_, np.int8, lambda y: torch.tensor(y)[:, None], lambda y: y[:, None].astype(float)):
        measured = measure(model, nn.BCEWithLogitsLoss(), kind(Y), kind(YO))
        np.testing.assert_array_equal(measured["response"], plain["response"])


def test_registered_losses_and_their_nn_twins_agree_and_names_are_told():
    model = network(3)
    named = measure(model, "cross_entropy", Y, YO)
    assert named.attrs["loss"] == "cross_entropy"
    for loss in (nn.CrossEntropyLoss(), functional.cross_entropy, nn.CrossEntropyLoss(reduction="sum")):
        measured = measure(model, loss, Y, YO)
        xr.testing.assert_allclose(measured, named, rtol=1e-6)
    smoothed = measure(model, partial(functional.cross_entropy, label_smoothing=0.1), Y, YO)
    assert smoothed.attrs["loss"] == "cross_entropy(label_smoothing=0.1)"
    assert not np.allclose(smoothed["response"], named["response"], rtol=1e-3)


def test_a_fitted_sample_still_moves_under_smooth_options_and_class_weights():
    model = network(2)
    with torch.no_grad():
        model[2].bias += torch.tensor([60.0, 0.0])  # 1 − p of class 0 is e⁻⁶⁰
    zeros = 0 * Y, 0 * YO
    plain = measure(model, "cross_entropy", *zeros)
    weighted = measure(model, nn.CrossEntropyLoss(weight=torch.tensor([4.0, 1.0])), *zeros)
    assert 0 < float(plain["response"].isel(layer=-1).max()) < 1e-20
    np.testing.assert_allclose(weighted["response"], 4 * plain["response"], rtol=1e-6)
    np.testing.assert_allclose(weighted["relative_similarity"], plain["relative_similarity"], rtol=1e-6)


def test_engines_are_compared_along_the_gradient_that_backpropagation_gives(monkeypatch):
    seeds = []
    original = verification.reference_movement
    monkeypatch.setattr(verification, "reference_movement", lambda model, pair, **near: (
        seeds.append(pair.seed), original(model, pair, **near))[1])  # fmt: skip
    calls = []

    def loss(z, y):
        calls.append(z.requires_grad)
        return functional.cross_entropy(z, y)

    measure(network(3), loss, Y, YO)
    assert seeds
    assert any(calls)
    monkeypatch.setattr(verification.Witness, "add", wrong_seeds(verification.Witness.add))
    with pytest.raises(ModelError, match="off by"):
        measure(network(3), loss, Y, YO)


def wrong_seeds(add):
    """Return a Witness.add that is handed another user's gradient."""

    def added(self, block):
        gradient = block.gradient
        object.__setattr__(gradient, "checked", gradient.checked.roll(1, dims=1))
        add(self, block)

    return added


MODELS = {
    "one output and positions": (network(), "cross_entropy", Y, "be of two classes or more"),
    "one output and cross-entropy": (network(), nn.CrossEntropyLoss(), Y, "be of two classes or more"),
    "positions beyond": (network(2), nn.CrossEntropyLoss(), Y + 1, "be positions of the 2 logits"),
    "fractions": (network(2), nn.CrossEntropyLoss(), Y + 0.5, "be positions of logits, as integers"),
    "probabilities of others": (network(2), nn.CrossEntropyLoss(), SOFT[:6], "fit the 2 outputs"),
    "targets of others": (network(2), nn.MSELoss(), SOFT[:6], "be targets of the outputs' shape"),
    "texts": (network(), nn.MSELoss(), ["a", "b"] * 3, "be numbers"),
    "NaN": (network(), nn.MSELoss(), np.where(Y == 0, np.nan, 1.0), "be known for every sample"),
    "NaN in rows": (network(3), nn.MSELoss(), np.where(SOFT[:6] > 0.9, np.nan, np.nan), "be finite"),
    "sequences": (nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(2, 3)), nn.MSELoss(), Y, r"be of shape \[n, K\]"),
    "a registered loss and rows": (network(2), "cross_entropy", np.eye(2)[Y], "be one label a sample"),
    "binary labels of a kind": (network(), nn.BCELoss(), Y, "run on the model's outputs"),
    "no positions": (network(2), lambda z, y: functional.cross_entropy(z, y), Y + 5, "run on the model's outputs"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_what_does_not_fit_is_refused(kind):
    model, loss, labels, match = MODELS[kind]
    with pytest.raises(ElasticError, match=match):
        measure_elasticity(model, (X, labels), (X, labels), loss=loss, layers=[])


def test_labels_of_two_shapes_are_refused():
    with pytest.raises(DegenerateInput, match="of one shape in all parts"):
        measure(network(3), nn.CrossEntropyLoss(), Y, SOFT[6:])


def test_a_penalty_on_the_model_s_parameters_is_no_loss_of_its_outputs():
    model = network(3)

    def penalised(z, y):
        return functional.cross_entropy(z, y) + 1e-4 * sum(p.square().sum() for p in model.parameters())

    with pytest.raises(ModelError, match="depend on the model through its outputs alone"):
        measure(model, penalised, Y, YO)


SLOPES = {
    "squared": (nn.MSELoss(), lambda z, y: 2 * (z - y)),
    "Huber": (nn.HuberLoss(), lambda z, y: z - y),
    "binary": (nn.BCEWithLogitsLoss(), lambda z, y: torch.where(y > 0, -torch.sigmoid(-z), torch.sigmoid(z))),
}


@pytest.mark.parametrize("kind", SLOPES)
def test_a_fitted_model_of_one_output_moves_by_its_kernel_times_the_slope_of_its_loss(kind):
    (loss, slope), model = SLOPES[kind], network()
    x, y = torch.tensor(np.concatenate([X, XO])), torch.tensor(np.concatenate([Y, YO])).float()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    for _ in range(500):
        optimizer.zero_grad()
        loss(model(x)[:, 0], y).backward()
        optimizer.step()
    measured = measure(model, loss, Y, YO)
    assert float(measured["probe_error"].max()) < 1e-4
    # The slope at the outputs as float32 gives them; all else in float64.
    slopes = slope(model(torch.tensor(X))[:, 0].detach().double(), torch.tensor(Y))
    model.double()
    stepped, observed = (torch.stack([tangent(model, row) for row in part]) for part in (X, XO))
    expected = (slopes[:, None] * (stepped @ observed.T)).abs().numpy()
    assert slopes.abs().max() < 1e-2
    np.testing.assert_allclose(
        measured["pair_response"].isel(layer=-1), expected, rtol=1e-3, atol=1e-4 * expected.max()
    )


def test_the_module_of_a_loss_is_left_as_it_was():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls, self.scale = 0, nn.Parameter(torch.ones(()))

        def forward(self, outputs, labels):
            self.calls += 1
            return functional.cross_entropy(outputs * self.scale, labels)

    loss = Counting()
    measured = measure(network(3), loss, Y, YO)
    assert (loss.calls, loss.scale.grad, measured.attrs["loss"]) == (0, None, "Counting")
