"""Losses: their gradients against autograd, and beyond where float32 autograd is right."""

from __future__ import annotations

import mpmath
import pytest
import torch

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
]


@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_the_gradient_is_autograd_s_where_that_is_exact(name, options):
    loss = build_loss(name, options)
    logits = torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(50) % 7
    (expected,) = torch.autograd.grad(loss.per_sample(logits, labels).sum(), logits)
    found = loss.gradient(logits.detach(), labels)
    torch.testing.assert_close(found.direction * found.norm[:, None], expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.direction.norm(dim=1), (found.norm > 0).double())


@pytest.mark.parametrize("margin", [5.0, 20.0, 100.0, 500.0])
def test_cross_entropy_s_gradient_keeps_its_digits_however_well_a_sample_is_fitted(margin):
    z = [margin, 1.0, -0.5]
    with mpmath.workdps(400):
        total = sum(mpmath.exp(v) for v in z)
        p = [mpmath.exp(v) / total for v in z]
        exact = [float(p[0] - 1), float(p[1]), float(p[2])]
    found = build_loss("cross_entropy").gradient(torch.tensor([z]), torch.tensor([0]))
    gradient = (found.direction * found.norm[:, None])[0]
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
    found = build_loss("focal", {"gamma": gamma}).gradient(*given)
    gradient = (found.direction * found.norm[:, None])[0]
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
    found = build_loss("mse").gradient(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert found.norm.tolist() == [0.0]
    assert found.direction.tolist() == [[0.0, 0.0]]


def test_unknown_losses_and_options_are_told():
    with pytest.raises(UnknownName, match="try 'cross_entropy'"):
        build_loss("crossentropy")
    with pytest.raises(OptionError, match="smoothing"):
        build_loss("mse", {"smoothing": 0.1})
