"""Losses: their gradients against autograd, and beyond where float32 autograd is right."""

from __future__ import annotations

import mpmath
import pytest
import torch

from elastic.errors import OptionError, UnknownName
from elastic.losses import build_loss
from elastic.registry import registry

NAMES = registry("losses").names()


@pytest.mark.parametrize("name", NAMES)
def test_the_logit_gradient_is_autograd_s_where_that_is_exact(name):
    loss = build_loss(name)
    logits = torch.randn(50, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.arange(50) % 7
    (expected,) = torch.autograd.grad(loss.per_sample(logits, labels).sum(), logits)
    found = loss.logit_gradient(logits.detach(), labels)
    torch.testing.assert_close(found.direction * found.norm[:, None], expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.direction.norm(dim=1), torch.ones(50, dtype=torch.float64))


@pytest.mark.parametrize("margin", [5.0, 20.0, 100.0, 500.0])
def test_cross_entropy_s_gradient_keeps_its_digits_however_well_a_sample_is_fitted(margin):
    z = [margin, 1.0, -0.5]
    with mpmath.workdps(400):
        total = sum(mpmath.exp(v) for v in z)
        p = [mpmath.exp(v) / total for v in z]
        exact = [float(p[0] - 1), float(p[1]), float(p[2])]
    found = build_loss("cross_entropy").logit_gradient(torch.tensor([z]), torch.tensor([0]))
    gradient = (found.direction * found.norm[:, None])[0]
    torch.testing.assert_close(gradient, torch.tensor(exact, dtype=torch.float64), rtol=1e-12, atol=0)


def test_a_sample_without_gradient_has_no_direction_and_no_nan():
    found = build_loss("mse").logit_gradient(torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    assert found.norm.tolist() == [0.0]
    assert found.direction.tolist() == [[0.0, 0.0]]


def test_unknown_losses_and_options_are_told():
    with pytest.raises(UnknownName, match="try 'cross_entropy'"):
        build_loss("crossentropy")
    with pytest.raises(OptionError, match="smoothing"):
        build_loss("mse", {"smoothing": 0.1})
