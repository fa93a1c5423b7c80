"""What the engines find is true, at the end of training too, where a step moves a feature by less than it is rounded.

The truth of finite steps is a small network of its own, in two hundred decimal digits: copy, step, subtract.
"""

from __future__ import annotations

import copy
import decimal
from decimal import Decimal
from functools import lru_cache

import numpy as np
import pytest
import torch
from support.engine_cases import CHOICES, LOSS, J, float32, probe, problem, worst
from support.sampling import pairwise
from torch import nn

ENGINES = ("structured", "autodiff")
FACTORS = (1.0, 40.0, 400.0)

exact = np.vectorize(lambda number: Decimal(float(number)), otypes=[object])


#: The engines that were chosen for a network, whatever its weights and their type: a trial of each takes long.
CHOSEN = {}


@lru_cache
def fitted(name, factor):
    """Return a float32 problem in which every sample is classified rightly, with the last layer's weights scaled."""
    model, stepped, observed = problem(name)
    with torch.no_grad():
        head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
        head.weight *= factor
        given = float32(model, (stepped[0], model(stepped[0]).argmax(dim=1)), observed)
    CHOICES[given[0]] = CHOSEN.setdefault(name, {})
    return given


def double(model, stepped, observed):
    return copy.deepcopy(model).double(), (stepped[0].double(), stepped[1]), observed.double()


@lru_cache
def in_double(name, factor):
    """Return a fitted problem in float64."""
    given = double(*fitted(name, factor))
    CHOICES[given[0]] = CHOSEN[name]
    return given


class Digits:
    """A ReLU network in decimal numbers."""

    def __init__(self, model):
        linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
        self.layers = list(model.layers)
        self.parameters = [[exact(m.weight.detach().numpy()), exact(m.bias.detach().numpy())] for m in linears]

    def features(self, x, parameters=None):
        taps = [x]
        for W, b in parameters or self.parameters:
            # A hidden layer's features are those after its ReLU, the logits have none.
            taps.append(W @ taps[-1] + b)
            taps[-1] = taps[-1] if len(taps) > len(self.parameters) else np.maximum(taps[-1], 0)
        return taps

    def gradient(self, x, label):
        taps = self.features(x)
        delta = np.array([z.exp() for z in taps[-1]], dtype=object)
        delta = delta / sum(delta)
        delta[label] -= 1
        steps = []
        for (W, _), h in zip(self.parameters[::-1], taps[-2::-1], strict=True):
            steps.append((np.outer(delta, h), delta))
            delta = (W.T @ delta) * (h > 0)
        return steps[::-1]

    def moved(self, x, label, others, lr):
        """Return the others' movements by layer under one step on x, and the norm of its logit gradient."""
        steps = self.gradient(x, label)
        norm = sum(g * g for g in steps[-1][1]).sqrt()
        lr = Decimal(lr)
        parameters = [(W - lr * g, b - lr * d) for (W, b), (g, d) in zip(self.parameters, steps, strict=True)]
        pairs = [(self.features(o, parameters), self.features(o)) for o in others]
        return {
            layer: np.array([(a[i + 1] - b[i + 1]) / lr for a, b in pairs]).astype(float)
            for i, layer in enumerate(self.layers)
        }, float(norm)


@pytest.fixture(scope="module", params=FACTORS)
def steps_in_digits(request):
    """Give (float32 problem, {lr: movements [J, M, d] by layer}, norms [J])."""
    model, stepped, observed = fitted("mlp_relu", request.param)
    with decimal.localcontext(prec=200):
        digits, collected = Digits(model), {}
        for lr in (1e-1, 1e-4, 1e-8):
            each = [digits.moved(exact(x), int(y), exact(observed), lr) for x, y in zip(*stepped, strict=True)]
            collected[lr] = {layer: torch.tensor(np.array([m[layer] for m, _ in each])) for layer in model.layers}
    return (model, stepped, observed), collected, torch.tensor([norm for _, norm in each], dtype=torch.float64)


@pytest.mark.parametrize("engine", ENGINES)
def test_finite_steps_are_those_of_two_hundred_digits(steps_in_digits, engine):
    given, expected, _ = steps_in_digits
    wide = double(*given)
    for lr, truth in expected.items():
        for numbers, bound in ((given, 1e-3), (wide, 1e-9 if engine == "structured" else 1e-4)):
            moved, _ = probe(engine, *numbers, lr)
            assert worst([moved], [truth]) < bound, lr


def test_the_gradients_of_these_samples_vanish(steps_in_digits, request):
    _, _, norms = steps_in_digits
    assert norms.min() > 0
    largest = {1.0: 1.0, 40.0: 1e-6, 400.0: 1e-30}
    factor = request.node.callspec.params["steps_in_digits"]
    assert norms.min() < largest[factor]


#: All factors with the quick networks, the ends of training with the others.
FITTED = [
    pytest.param(name, factor, marks=[pytest.mark.long] * (name in ("residual", "attention") and factor == 40.0))
    for name in ("mlp_relu", "cnn", "residual", "attention")
    for factor in FACTORS
]


@pytest.mark.parametrize(("name", "factor"), FITTED)
def test_float32_holds_a_thousandth_of_float64_autodiff(name, factor):
    limit = probe("autodiff", *in_double(name, factor))
    for engine in ENGINES:
        assert worst(probe(engine, *fitted(name, factor)), limit) < 1e-3, engine
    assert worst(probe("structured", *in_double(name, factor)), limit) < 1e-9


@pytest.mark.parametrize(
    ("name", "factor", "lr"), pairwise(["cnn", "residual", "attention"], FACTORS, [1e-1, 1e-4, 1e-8])
)
def test_finite_steps_in_float32_hold_a_thousandth_of_float64(name, factor, lr):
    moved = probe("autodiff", *in_double(name, factor), lr)
    assert worst(probe("structured", *in_double(name, factor), lr), moved) < 1e-4
    assert worst(probe("structured", *fitted(name, factor), lr), moved) < 1e-3


def test_a_float32_copy_step_subtract_loop_measures_rounding_where_the_engines_do_not(steps_in_digits):
    (net, (x, y), o), expected, _ = steps_in_digits
    lr = 1e-8
    truth = expected[lr]["penultimate"]
    errors = []
    for a in range(J):
        copied = copy.deepcopy(net)
        LOSS.per_sample(copied(x[a : a + 1]), y[a : a + 1]).sum().backward()
        torch.optim.SGD(copied.parameters(), lr=lr).step()
        with torch.no_grad():
            naive = (copied.taps(o)["penultimate"] - net.taps(o)["penultimate"]).double() / lr
        errors.append(torch.linalg.vector_norm(naive - truth[a]) / torch.linalg.vector_norm(truth[a]))
    assert min(errors) > 0.5
