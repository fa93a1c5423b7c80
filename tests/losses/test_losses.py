"""Losses: their gradients against autograd, and beyond where float32 autograd is right."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from support import oracles

from elastic.errors import OptionError, UnknownName
from elastic.losses import build_loss
from elastic.registry import registry

LOSSES = [
    *((name, {}) for name in registry("losses").names()),
    ("cross_entropy", {"smoothing": 0.1}),
    ("mse", {"target": 3.0, "weight": 5.0}),
    ("focal", {"gamma": 0.0}),
    ("focal", {"gamma": 0.5}),
    ("focal", {"gamma": 3.0}),
    ("multi_margin", {"margin": 2.0}),
    ("supervised_contrastive", {"temperature": 1.0}),
    ("supervised_contrastive", {"temperature": 0.02}),
]


#: Losses of one output, for two classes.
OF_ONE_OUTPUT = {"binary_cross_entropy", "scalar_mse"}


def batch_for(name):
    """Return a batch whose features may be the logits of a loss, and labels that it takes."""
    if name not in OF_ONE_OUTPUT:
        return batch()
    features, labels = batch(width=1)
    return features, torch.arange(len(labels)) % 2


def batch(samples=50, width=7, seed=0):
    """Return float64 features [n, d], which may be logits, and labels below d."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, width, dtype=torch.float64, generator=generator), torch.arange(samples) % width


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_the_gradient_is_autograd_s_of_the_batch_where_that_is_exact(name, options):
    loss, (features, labels) = build_loss(name, options), batch_for(name)
    (expected,) = torch.autograd.grad(loss.per_sample(features.requires_grad_(), labels).sum(), features)
    gradient = loss.gradient(features.detach(), labels)
    torch.testing.assert_close(gradient.direction * gradient.norm[:, None], expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(gradient.direction.norm(dim=1), (gradient.norm > 0).double())


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_a_loss_of_the_logits_is_each_sample_s_own_and_one_of_the_features_is_the_batch_s(name, options):
    loss, (features, labels) = build_loss(name, options), batch_for(name)
    whole, part = loss.gradient(features, labels), loss.gradient(features[:20], labels[:20])
    assert torch.equal(whole.norm[:20], part.norm) == (loss.layer == "logits")
    rows = whole.rows(slice(0, 20))
    assert torch.equal(rows.direction, whole.direction[:20])
    assert torch.equal(rows.norm, whole.norm[:20])


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("counts", [(3, 3, 3), (6, 2, 1)])
def test_supervised_contrastive_is_its_slow_twin(counts, temperature):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    features, _ = batch(len(labels), 4)
    loss = build_loss("supervised_contrastive", {"temperature": temperature})
    twin = (features.numpy(), labels.tolist(), temperature)
    expected = torch.tensor(oracles.supervised_contrastive(*twin))
    torch.testing.assert_close(loss.per_sample(features, labels), expected, rtol=1e-12, atol=1e-13)
    gradient = loss.gradient(features, labels)
    slopes = torch.tensor(oracles.supervised_contrastive_gradient(*twin))
    torch.testing.assert_close(gradient.direction * gradient.norm[:, None], slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("apart", [1e-1, 1e-3, 1e-5])
def test_supervised_contrastive_s_gradient_keeps_its_digits_when_its_classes_have_nearly_collapsed(apart):
    # Two classes of two directions each, a small angle apart, at opposite poles; far below τ nothing pushes
    angles = [apart, -2 * apart, math.pi + apart, math.pi - 3 * apart]
    features = torch.tensor([[math.cos(a), math.sin(a)] for a in angles], dtype=torch.float64)
    labels, tau = torch.tensor([0, 0, 1, 1]), 0.05
    with mpmath.workdps(100):
        h = [[mpmath.mpf(v) for v in row] for row in features.tolist()]

        def total(x, y):
            moved = [[x, y], *h[1:]]
            u = [[a / mpmath.hypot(a, b), b / mpmath.hypot(a, b)] for a, b in moved]
            s = [[(p[0] * q[0] + p[1] * q[1]) / tau for q in u] for p in u]
            partner = [1, 0, 3, 2]
            return sum(mpmath.log(sum(mpmath.exp(s[i][a]) for a in range(4) if a != i)) - s[i][partner[i]]
                       for i in range(4))  # fmt: skip

        exact = [float(mpmath.diff(total, tuple(h[0]), order)) for order in ((1, 0), (0, 1))]
    result = build_loss("supervised_contrastive", {"temperature": tau}).gradient(features, labels)
    gradient = (result.direction * result.norm[:, None])[0]
    assert 0 < result.norm[0] < 1e-14
    torch.testing.assert_close(
        gradient, torch.tensor(exact, dtype=torch.float64), rtol=1e-8, atol=1e-10 * result.norm[0]
    )


def test_supervised_contrastive_sees_directions_alone():
    loss, (features, labels) = build_loss("supervised_contrastive"), batch()
    longer = features * torch.linspace(0.1, 30, 50)[:, None]
    torch.testing.assert_close(loss.per_sample(longer, labels), loss.per_sample(features, labels))
    short, long = loss.gradient(features, labels), loss.gradient(longer, labels)
    torch.testing.assert_close(short.norm * features.norm(dim=1), long.norm * longer.norm(dim=1))
    assert ((short.direction * features).sum(1).abs() < 1e-12).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_feature_of_zero_has_no_direction_no_gradient_and_no_nan(dtype):
    features, labels = batch()
    features = features.to(dtype)
    features[3] = 0
    loss = build_loss("supervised_contrastive")
    (expected,) = torch.autograd.grad(loss.per_sample(features.requires_grad_(), labels).sum(), features)
    gradient = loss.gradient(features.detach(), labels)
    assert gradient.norm[3] == 0
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close((gradient.direction * gradient.norm[:, None]).to(dtype), expected, rtol=tolerance,
                               atol=tolerance)  # fmt: skip


@pytest.mark.parametrize("count", [1, 3])
def test_samples_without_a_partner_have_no_loss_and_a_finite_gradient(count):
    features, labels = batch(count)
    loss = build_loss("supervised_contrastive")
    assert loss.per_sample(features.requires_grad_(), labels).tolist() == [0.0] * count
    (slopes,) = torch.autograd.grad(loss.per_sample(features, labels).sum(), features)
    assert (slopes == 0).all()
    assert (loss.gradient(features.detach(), labels).norm == 0).all()


@pytest.mark.parametrize("margin", [5.0, 20.0, 100.0, 500.0])
def test_cross_entropy_s_gradient_keeps_its_digits_however_well_a_sample_is_fitted(margin):
    z = [margin, 1.0, -0.5]
    with mpmath.workdps(400):
        total = sum(mpmath.exp(v) for v in z)
        p = [mpmath.exp(v) / total for v in z]
        exact = [float(p[0] - 1), float(p[1]), float(p[2])]
    result = build_loss("cross_entropy").gradient(torch.tensor([z]), torch.tensor([0]))
    gradient = (result.direction * result.norm[:, None])[0]
    torch.testing.assert_close(gradient, torch.tensor(exact, dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("margin", [5.0, 20.0, 100.0])
def test_focal_s_gradient_keeps_its_digits_however_well_a_sample_is_fitted(gamma, margin):
    z = [margin, 1.0, -0.5]
    with mpmath.workdps(400):
        total = sum(mpmath.exp(v) for v in z)
        p = [mpmath.exp(v) / total for v in z]
        q = p[1] + p[2]
        factor = q ** (gamma - 1) * (q - gamma * p[0] * mpmath.log(p[0]))
        exact = [float(factor * v) for v in (-q, p[1], p[2])]
        loss = float(-(q**gamma) * mpmath.log(p[0]))
    given = torch.tensor([z], dtype=torch.float64), torch.tensor([0])
    result = build_loss("focal", {"gamma": gamma}).gradient(*given)
    gradient = (result.direction * result.norm[:, None])[0]
    torch.testing.assert_close(gradient, torch.tensor(exact, dtype=torch.float64), rtol=1e-12, atol=0)
    assert build_loss("focal", {"gamma": gamma}).per_sample(*given).item() == pytest.approx(loss, rel=1e-9)


def test_losses_are_torch_s_own_where_it_has_them():
    generator = torch.Generator().manual_seed(0)
    z, y = torch.randn(20, 5, generator=generator), torch.arange(20) % 5
    smooth = torch.nn.functional.cross_entropy(z, y, reduction="none", label_smoothing=0.2)
    torch.testing.assert_close(build_loss("cross_entropy", {"smoothing": 0.2}).per_sample(z, y), smooth)
    hinge = torch.nn.functional.multi_margin_loss(z, y, reduction="none", margin=0.7) * 5
    torch.testing.assert_close(build_loss("multi_margin", {"margin": 0.7}).per_sample(z, y), hinge)
    torch.testing.assert_close(build_loss("focal", {"gamma": 0.0}).per_sample(z, y),
                               build_loss("cross_entropy").per_sample(z, y))  # fmt: skip


def test_a_focal_loss_can_be_trained_from_logits_of_any_size():
    z = torch.tensor([[200.0, 0.0], [-200.0, 0.0], [0.0, 0.0]], requires_grad=True)
    build_loss("focal").per_sample(z, torch.tensor([0, 0, 0])).sum().backward()
    assert z.grad.isfinite().all()


def test_only_plain_squared_error_has_the_least_squares_decomposition():
    assert build_loss("mse").squared
    assert not build_loss("mse", {"target": 2.0}).squared


def test_a_sample_without_gradient_has_no_direction_and_no_nan():
    gradient = build_loss("mse").gradient(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert gradient.norm.tolist() == [0.0]
    assert gradient.direction.tolist() == [[0.0, 0.0]]


def test_unknown_losses_and_options_are_told():
    with pytest.raises(UnknownName, match="try 'cross_entropy'"):
        build_loss("crossentropy")
    with pytest.raises(OptionError, match="smoothing"):
        build_loss("mse", {"smoothing": 0.1})
    for temperature in (0.0, -1.0, "cold", float("nan")):
        with pytest.raises(OptionError, match="temperature"):
            build_loss("supervised_contrastive", {"temperature": temperature})
