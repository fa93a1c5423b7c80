"""Losses that a user hands over: gradients against exact arithmetic, reductions against torch, and what is refused."""

from __future__ import annotations

from functools import partial

import mpmath
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.losses import build_loss, checked_gradient, fit_loss, fitting

K, N = 4, 20
WEIGHT = torch.tensor([1.0, 2.0, 3.0, 0.5])


def numbers(*shape, seed=0, scale=2.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Z, Z1, POSITIONS = numbers(N, K), numbers(N, 1, seed=1), torch.arange(N) % K
SOFT, REAL, BINARY = numbers(N, K, seed=2).softmax(1), numbers(N, seed=3), torch.arange(N) % 2
MULTI = (numbers(N, K, seed=4) > 0).float()

TAKEN = {
    "cross-entropy": (nn.CrossEntropyLoss(), Z, POSITIONS),
    "cross-entropy, weights": (nn.CrossEntropyLoss(weight=WEIGHT), Z, POSITIONS),
    "cross-entropy, sum": (nn.CrossEntropyLoss(weight=WEIGHT, reduction="sum"), Z, POSITIONS),
    "cross-entropy, none": (nn.CrossEntropyLoss(weight=WEIGHT, reduction="none"), Z, POSITIONS),
    "cross-entropy, smoothing": (nn.CrossEntropyLoss(label_smoothing=0.1), Z, POSITIONS),
    "cross-entropy, both": (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.3), Z, POSITIONS),
    "cross-entropy, ignored": (nn.CrossEntropyLoss(weight=WEIGHT, ignore_index=1, label_smoothing=0.3), Z, POSITIONS),
    "cross-entropy, probabilities": (nn.CrossEntropyLoss(), Z, SOFT),
    "cross-entropy, all": (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2), Z, SOFT),
    "function": (functional.cross_entropy, Z, POSITIONS),
    "partial": (partial(functional.cross_entropy, weight=WEIGHT, label_smoothing=0.1), Z, POSITIONS),
    "nll": (nn.NLLLoss(weight=WEIGHT), Z.log_softmax(1), POSITIONS),
    "squared": (nn.MSELoss(), Z, SOFT),
    "squared, sum": (nn.MSELoss(reduction="sum"), Z, SOFT),
    "squared, scalars": (nn.MSELoss(), Z1, REAL[:, None]),
    "squared, no dim": (nn.MSELoss(reduction="none"), Z1[:, 0], REAL),
    "absolute": (nn.L1Loss(), Z, SOFT),
    "Huber": (nn.HuberLoss(delta=0.5), Z1, REAL[:, None]),
    "smooth absolute": (functional.smooth_l1_loss, Z, SOFT),
    "binary": (nn.BCEWithLogitsLoss(), Z1, BINARY[:, None].float()),
    "binary, positive": (nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0])), Z1[:, 0], BINARY.float()),
    "binary, several": (nn.BCEWithLogitsLoss(weight=WEIGHT, pos_weight=WEIGHT.flip(0)), Z, MULTI),
    "probabilities": (nn.BCELoss(), Z1.sigmoid(), BINARY[:, None].float()),
    "hinge": (nn.MultiMarginLoss(weight=WEIGHT, margin=0.7), Z, POSITIONS),
    "soft margin": (nn.SoftMarginLoss(), Z1, 2.0 * BINARY[:, None] - 1),
    "divergence": (nn.KLDivLoss(reduction="batchmean"), Z.log_softmax(1), SOFT),
    "a function of one's own": (lambda z, y: functional.cross_entropy(3 * z, y), Z, POSITIONS),
    "closed-over weights": (lambda z, y: functional.cross_entropy(z, y, WEIGHT, reduction="sum"), Z, POSITIONS),
    "one a sample": (lambda z, y: (z[:, 0] - y).square(), Z, REAL),
    "data-dependent": (lambda z, y: sum(z[i, int(y[i])] ** 2 for i in range(len(z))), Z, POSITIONS),
    "two heads": (lambda z, y: functional.gaussian_nll_loss(z[:, 0], y, z[:, 1].exp()), Z, REAL),
    "a constant": (lambda z, y: functional.cross_entropy(z, y, reduction="sum") / 128, Z, POSITIONS),
    "in place": (lambda z, y: functional.cross_entropy(z.mul_(2), y), Z, POSITIONS),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAKEN)
def test_the_loss_of_all_samples_is_the_user_s_and_gradients_are_those_that_training_takes(kind):
    loss, outputs, labels = TAKEN[kind]
    fitted, rows = fit_loss(loss, outputs, labels), outputs.reshape(N, -1)
    values = fitted.per_sample(rows, labels).double()
    counts = torch.ones(N) if fitted.counts is None else fitted.counts(labels).double()
    at = outputs.clone().requires_grad_()
    whole = loss(1 * at, labels)
    (expected,) = torch.autograd.grad(whole.mean(), at)
    assert fitted.reduced(values.sum().item(), counts.sum().item()) == pytest.approx(whole.mean().item(), rel=1e-6)
    result = checked_gradient(fitted, rows, labels)
    share = 1.0 if fitted.reduction == "sum" else 1 / counts.sum()
    gradient = (result.direction * result.norm[:, None] * share).reshape(outputs.shape)
    torch.testing.assert_close(gradient.float(), expected, rtol=1e-5, atol=1e-7)
    reliable = result.norm > 0
    torch.testing.assert_close(result.checked[reliable], result.direction[reliable], rtol=1e-6, atol=1e-8)


def test_a_loss_is_vectorised_only_if_it_may_be_on_all_batches(monkeypatch):
    answers, calls = [True, True, False], []
    monkeypatch.setattr(fitting, "can_be_vectorised", lambda *_: answers.pop(0) if answers else True)

    def loss(outputs, labels):
        calls.append(len(outputs))
        return functional.cross_entropy(outputs, labels)

    fitted = fit_loss(loss, Z, POSITIONS)
    calls.clear()
    fitted.per_sample(Z, POSITIONS)
    assert calls == [1] * N


def test_a_class_weight_multiplies_each_sample_s_loss_although_torch_divides_a_batch_of_one_by_it():
    fitted = fit_loss(nn.CrossEntropyLoss(weight=WEIGHT), Z, POSITIONS)
    plain = functional.cross_entropy(Z, POSITIONS, reduction="none")
    torch.testing.assert_close(fitted.per_sample(Z, POSITIONS), WEIGHT[POSITIONS] * plain)
    torch.testing.assert_close(fitted.counts(POSITIONS), WEIGHT[POSITIONS].double())
    norms = fitted.gradient(Z, POSITIONS).norm
    torch.testing.assert_close(norms, WEIGHT[POSITIONS] * build_loss("cross_entropy").gradient(Z, POSITIONS).norm)


def test_an_ignored_label_has_no_loss_no_count_and_no_gradient():
    fitted, ignored = fit_loss(nn.CrossEntropyLoss(ignore_index=1), Z, POSITIONS), POSITIONS == 1
    assert (fitted.per_sample(Z, POSITIONS)[ignored] == 0).all()
    assert fitted.counts(POSITIONS).tolist() == (~ignored).double().tolist()
    assert ((fitted.gradient(Z, POSITIONS).norm == 0) == ignored).all()


def test_an_ignored_label_need_not_be_a_position():
    labels = torch.tensor([0, -100, 2])
    outputs = torch.tensor([[0.5, -1.0, 0.25], [0.0, 1.0, 2.0], [1.5, 0.0, -0.5]]).double().log_softmax(dim=1)
    gradient = fit_loss(nn.NLLLoss(), outputs, labels).gradient(outputs, labels)
    assert (gradient.direction * gradient.norm[:, None]).tolist() == [
        [-1.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, -1.0],
    ]


def test_options_are_read_as_they_stand():
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    fitted = fit_loss(loss, Z, POSITIONS)
    loss.label_smoothing, loss.weight = 0.4, WEIGHT
    expected = functional.cross_entropy(Z, POSITIONS, WEIGHT, reduction="none", label_smoothing=0.4)
    torch.testing.assert_close(fitted.per_sample(Z, POSITIONS), expected)
    checked_gradient(fitted, Z, POSITIONS)


def exact_cross_entropy(z, c):
    """Return C p − c to 600 digits, rounded to float64."""
    with mpmath.workdps(600):
        terms = [mpmath.exp(mpmath.mpf(v)) for v in z]
        total, C = sum(terms), sum(map(mpmath.mpf, c))
        return [float(C * e / total - mpmath.mpf(k)) for e, k in zip(terms, c, strict=True)]


@pytest.mark.parametrize("margin", [5.0, 20.0, 100.0, 500.0])
@pytest.mark.parametrize(
    ("options", "labels", "coefficients"),
    [
        ({}, torch.tensor([0, 1, 2]), [1.0, 0.0, 0.0]),
        ({"weight": torch.tensor([3.0, 2.0, 1.0])}, torch.tensor([0, 1, 2]), [3.0, 0.0, 0.0]),
        ({}, torch.eye(3), [1.0, 0.0, 0.0]),
        ({"weight": torch.tensor([3.0, 2.0, 1.0])}, torch.eye(3).double() * 2, [6.0, 0.0, 0.0]),
        ({}, torch.tensor([[1 - 2**-20, 2**-20, 0.0]] * 3), [1 - 2**-20, 2**-20, 0.0]),
        ({"label_smoothing": 0.25}, torch.tensor([0, 1, 2]), [0.75 + 0.25 / 3, 0.25 / 3, 0.25 / 3]),
    ],
)
def test_cross_entropy_keeps_its_digits_in_float32_outputs_however_well_a_sample_is_fitted(
    margin, options, labels, coefficients
):
    z = torch.tensor([[margin, 1.0, -0.5], [0.0, 1.0, 0.5], [1.0, 0.0, 2.0]])
    result = checked_gradient(fit_loss(nn.CrossEntropyLoss(**options), z, labels), z, labels)
    gradient = (result.direction * result.norm[:, None])[0]
    exact = torch.tensor(exact_cross_entropy(z[0].tolist(), coefficients), dtype=torch.float64)
    torch.testing.assert_close(gradient, exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("label", "sign"), [(1.0, 1), (0.0, -1)])
@pytest.mark.parametrize("margin", [5.0, 20.0, 100.0, 700.0])
def test_binary_cross_entropy_keeps_its_digits_in_float32_outputs(margin, label, sign):
    z, y = torch.tensor([[sign * margin], [0.5], [-0.5]]), torch.tensor([label, 1.0, 0.0])
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor([3.0]))
    gradient = checked_gradient(fit_loss(loss, z, y), z, y)
    with mpmath.workdps(600):
        q = 1 / (1 + mpmath.exp(mpmath.mpf(margin)))
        exact = float(-3 * q if label else q)
    assert (gradient.direction * gradient.norm[:, None])[0].item() == pytest.approx(exact, rel=1e-12, abs=0)


def test_near_the_optimum_of_smoothed_labels_only_what_cancels_is_lost():
    # p = t up to one unit of float32 in the logits: the gradient is that unit's share, to nine digits
    smoothing, near = 0.1, np.float32(np.log(0.95 / 0.05))
    z, y = torch.tensor([[near, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    result = fit_loss(nn.CrossEntropyLoss(label_smoothing=smoothing), z, y).gradient(z, y)
    exact = exact_cross_entropy(z[0].tolist(), [1 - smoothing + smoothing / 2, smoothing / 2])
    gradient = (result.direction * result.norm[:, None])[0].tolist()
    assert abs(exact[0]) < 1e-7
    assert gradient == pytest.approx(exact, rel=1e-8, abs=0)


@pytest.mark.parametrize(("margin", "digits"), [(10.0, 1e-11), (20.0, 1e-7), (30.0, 1e-2)])
def test_a_callable_s_gradient_has_the_digits_of_float64_automatic_differentiation(margin, digits):
    z, y = torch.tensor([[margin, 0.0], [0.0, 1.0], [0.5, 0.0]]), torch.tensor([0, 1, 0])
    result = fit_loss(lambda o, t: functional.cross_entropy(o, t), z, y).gradient(z, y)
    gradient = (result.direction * result.norm[:, None])[0].tolist()
    exact = exact_cross_entropy(z[0].tolist(), [1.0, 0.0])
    assert gradient[1] == pytest.approx(exact[1], rel=1e-12)
    assert gradient[0] == pytest.approx(exact[0], rel=digits)


def test_a_callable_s_entry_at_the_label_ends_where_float64_does():
    z, y = torch.tensor([[60.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    gradient = fit_loss(lambda o, t: functional.cross_entropy(o, t), z, y).gradient(z, y)
    closed = fit_loss(nn.CrossEntropyLoss(), z, y).gradient(z, y)
    assert gradient.direction[0].tolist() == [0.0, 1.0]
    assert closed.direction[0, 0].item() == pytest.approx(-(2**-0.5))


def test_plain_losses_are_the_registered_ones():
    fitted, named = fit_loss(nn.CrossEntropyLoss(), Z, POSITIONS), build_loss("cross_entropy")
    assert torch.equal(fitted.per_sample(Z, POSITIONS), named.per_sample(Z, POSITIONS))
    one, other = fitted.gradient(Z, POSITIONS), named.gradient(Z, POSITIONS)
    torch.testing.assert_close(one.direction * one.norm[:, None], other.direction * other.norm[:, None], rtol=1e-13,
                               atol=0)  # fmt: skip


class Running(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(K))

    def forward(self, outputs, labels):
        self.mean = 0.9 * self.mean + 0.1 * outputs.detach().mean(0)
        return functional.cross_entropy(outputs - self.mean, labels)


def same_class_spread(z, y):
    return sum((z[y == k] - z[y == k].mean(0)).square().sum() for k in y.unique())


COUPLED, MADE = "be the mean or the sum of its samples' losses", "`loss`"
REFUSED = {
    "centred": (lambda z, y: functional.cross_entropy(z - z.mean(0), y), Z, POSITIONS, COUPLED),
    "centred, at zero": (lambda z, y: functional.cross_entropy(z - z.mean(0), y), 0 * Z, POSITIONS, COUPLED),
    "one a sample": (lambda z, y: functional.cross_entropy(z - z.mean(0), y, reduction="none"), Z, POSITIONS, COUPLED),
    "pairs": (lambda z, y: (z[:, None] - z[None]).square().sum(), Z, POSITIONS, COUPLED),
    "a little": (lambda z, y: functional.cross_entropy(z, y) + 1e-4 * same_class_spread(z, y), Z, POSITIONS, COUPLED),
    "detached": (lambda z, y: ((z - y[:, None]) / z.detach().std()).square().mean(), Z, POSITIONS, COUPLED),
    "gradients alone": (lambda z, y: z.square().sum() + ((z - z.detach()) * z.detach().mean(0)).sum(), Z, POSITIONS,
                        COUPLED),
    "mean by weights": (lambda z, y: functional.cross_entropy(z, y, WEIGHT), Z, POSITIONS, "CrossEntropyLoss.weight"),
    "root of the batch": (lambda z, y: functional.cross_entropy(z, y) * len(z) ** 0.5, Z, POSITIONS, COUPLED),
    "broadcast": (lambda z, y: (z - y).square().mean(), Z1, REAL, COUPLED),
    "batch norm": (lambda z, y: functional.cross_entropy(functional.batch_norm(z, None, None, training=True), y), Z,
                   POSITIONS, "batch of one"),
    "standard deviation": (lambda z, y: functional.cross_entropy(z, y) + z.std(0).sum(), Z, POSITIONS, "batch of one"),
    "argmax": (lambda z, y: (z.argmax(1) != y).double().mean(), Z, POSITIONS, "be differentiable"),
    "rounded": (lambda z, y: z.round().sum(), Z, POSITIONS, "be differentiable"),
    "detached wholly": (lambda z, y: functional.cross_entropy(z.detach(), y), Z, POSITIONS, "be differentiable"),
    "of labels alone": (lambda z, y: y.double().mean(), Z, POSITIONS, "be differentiable"),
    "dropout": (lambda z, y: functional.cross_entropy(functional.dropout(z, 0.5), y), Z, POSITIONS, "second call"),
    "rare noise": (lambda z, y: functional.cross_entropy(z, y) + 0 * torch.rand(()), Z, POSITIONS, "second call"),
    "NumPy's noise": (lambda z, y: functional.cross_entropy(z, y) * np.random.rand(), Z, POSITIONS, "second call"),
    "running": (Running(), Z, POSITIONS, "second call"),
    "NaN": (lambda z, y: (z - 100).log().sum(), Z, POSITIONS, "be finite"),
    "infinite": (lambda z, y: (1 / (0 * z)).sum(), Z, POSITIONS, "be finite"),
    "rows": (lambda z, y: z.square(), Z, POSITIONS, "one a sample"),
    "a number": (lambda z, y: 3.0, Z, POSITIONS, "return a tensor"),
    "a pair": (lambda z, y: (z.sum(), y), Z, POSITIONS, "return a tensor"),
    "elements": (nn.MSELoss(reduction="none"), Z, SOFT, "one a sample"),
    "raises": (lambda z, y: functional.cross_entropy(z, y.double()), Z, POSITIONS, "run on the model's outputs"),
    "three arguments": (nn.GaussianNLLLoss(), Z, SOFT, "run on the model's outputs"),
    "a model": (nn.Linear(K, K), Z, POSITIONS, "run on the model's outputs"),
    "logits in the place of probabilities": (nn.BCELoss(), Z1, BINARY, "run on the model's outputs"),
    "positions for targets": (nn.MSELoss(), Z, POSITIONS, "be targets of the outputs' shape"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_split_by_sample_is_refused_and_never_replaced(kind):
    loss, outputs, labels, match = REFUSED[kind]
    with pytest.raises(ElasticError, match=match) as refused:
        fit_loss(loss, outputs, labels)
    assert "try" in str(refused.value)


def test_all_samples_are_one_call_unless_a_loss_decides_by_numbers():
    """A call for each sample gives the same numbers, many times slower."""
    calls = []

    def counted(loss):
        return lambda z, y: (calls.append(len(z)), loss(z, y))[1]

    branching = lambda z, y: functional.cross_entropy(z, y, reduction="sum") * (1.0 if z.isfinite().all() else 2.0)  # noqa: E731
    batched = torch._C._functorch.is_batchedtensor
    shifted = lambda z, y: functional.cross_entropy(z, y) + float(batched(z))  # noqa: E731  # and the same gradient
    for loss, reduction, expected in (
        (functional.cross_entropy, "mean", 1), (branching, "sum", len(Z)), (shifted, "mean", len(Z)),
    ):  # fmt: skip
        fitted = fit_loss(counted(loss), Z, POSITIONS)
        assert fitted.reduction == reduction
        for of_samples in (fitted.per_sample, fitted.gradient):
            calls.clear()
            of_samples(Z, POSITIONS)
            assert len(calls) == expected


def test_a_subclass_or_a_module_with_hooks_is_called_as_it_is():
    class Twice(nn.CrossEntropyLoss):
        def forward(self, outputs, labels):
            return 2 * super().forward(outputs, labels)

    hooked = nn.CrossEntropyLoss()
    hooked.register_forward_hook(lambda module, given, value: 2 * value)
    expected = 2 * functional.cross_entropy(Z.double(), POSITIONS, reduction="none")
    for loss in (Twice(), hooked):
        torch.testing.assert_close(fit_loss(loss, Z, POSITIONS).per_sample(Z, POSITIONS), expected)


def test_a_compiled_loss_is_what_it_was_compiled_from():
    fitted = fit_loss(torch.compile(nn.CrossEntropyLoss(label_smoothing=0.1), backend="eager"), Z, POSITIONS)
    assert fitted.name == "CrossEntropyLoss(label_smoothing=0.1)"
    assert torch.equal(
        fitted.gradient(Z, POSITIONS).norm,
        fit_loss(nn.CrossEntropyLoss(label_smoothing=0.1), Z, POSITIONS).gradient(Z, POSITIONS).norm,
    )


def test_one_label_alone_and_one_sample_alone_are_enough_to_see_what_couples():
    centred = lambda z, y: functional.cross_entropy(z - z.mean(0), y)  # noqa: E731
    for outputs, labels in ((Z, 0 * POSITIONS), (Z[:1], POSITIONS[:1])):
        with pytest.raises(ModelError, match=COUPLED):
            fit_loss(centred, outputs, labels)
        assert fit_loss(nn.CrossEntropyLoss(weight=WEIGHT), outputs, labels).reduction == "mean"


def test_a_gradient_that_changes_behind_the_measurement_is_noticed():
    factor = [1.0]
    fitted = fit_loss(lambda z, y: factor[0] * functional.cross_entropy(z, y), Z, POSITIONS)
    factor[0] = 2.0
    checked_gradient(fitted, Z, POSITIONS)  # a schedule
    broken = fit_loss(nn.CrossEntropyLoss(), Z, POSITIONS)
    object.__setattr__(broken, "gradient", build_loss("mse").gradient)
    with pytest.raises(ModelError, match="gradient that differs"):
        checked_gradient(broken, Z, POSITIONS)


def test_a_gradient_that_is_not_finite_at_finite_outputs_is_refused_when_it_is_met():
    fitted = fit_loss(lambda z, y: -z.softmax(1)[torch.arange(len(z)), y].log().mean(), Z, POSITIONS)
    with pytest.raises(DegenerateInput, match="have a finite gradient"):
        fitted.gradient(torch.tensor([[0.0, 2000.0, 0.0, 0.0]]), torch.tensor([0]))


def test_names_tell_the_options():
    names = {fit_loss(loss, outputs, labels).name for loss, outputs, labels in TAKEN.values()}
    assert {"CrossEntropyLoss", "CrossEntropyLoss(label_smoothing=0.1)", "HuberLoss(delta=0.5)", "<lambda>"} <= names
    assert "CrossEntropyLoss(reduction='sum', weight=[1, 2, 3, 0.5])" in names
    assert "cross_entropy(weight=[1, 2, 3, 0.5], label_smoothing=0.1)" in names
    assert (build_loss("mse").name, build_loss("mse", {"target": 2.0}).name) == ("mse", "mse(target=2.0)")
