r"""How the step on all samples of one class moves class means and within-class variances.

The step on a batch is the mean of its samples' steps, so that the step of training is, on average, the mean over
classes j of the step on class j alone, weighted by the class's share p_j of the train samples. Let μ̃_k be the mean of
class k about the mean of all class means, G_kl = ⟨μ̃_k, μ̃_l⟩, and Δ̃_jk the movement of μ̃_k by the step on class j
per unit learning rate. G moves by
$\sum_j p_j (\langle\tilde\Delta_{jk}, \tilde\mu_l\rangle + \langle\tilde\mu_k, \tilde\Delta_{jl}\rangle)$, and with it
all distances between class means. Neither vectors of features nor movements of single samples need be kept.
`elastic.analysis.closure` integrates these rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.contract import metric

GROUP = "class_steps"
PAIR = ("class", "other_class")
STEPPED = ("stepped_class", "observed_class")
SQUARED, RATE = "squared feature", "squared feature per unit learning rate"


@dataclass(frozen=True)
class ClassSteps:
    """Class means and variances of one layer, with their rates under the step on each class, per unit learning rate.

    Attributes
    ----------
    gram
        [K, K] inner products G of the class means about their mean.
    gram_rates
        [K, K, K] rates of G under the step on class j, the first dim.
    gram_decay
        [K, K] rate of G under the step −λθ of weight decay.
    within
        [K] mean squared distance v_k of class k's features from their mean.
    within_rates, within_decay
        [K, K], stepped class first, and [K]: rates of v under the same steps.
    shares
        [K] share p_j of each class in the train samples.
    """

    gram: Tensor
    gram_rates: Tensor
    gram_decay: Tensor
    within: Tensor
    within_rates: Tensor
    within_decay: Tensor
    shares: Tensor


def example_steps() -> ClassSteps:
    """Return two classes of equal share at ±1 on a line, of variance ½, each moved outwards by its own steps.

    >>> steps = example_steps()
    >>> steps.gram.tolist(), steps.gram_rates[0].tolist()      # the step on class 0 moves its mean by 2, to 3
    ([[1.0, -1.0], [-1.0, 1.0]], [[2.0, -2.0], [-2.0, 2.0]])
    """
    ones, frame = torch.ones(2, dtype=torch.float64), torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    within = torch.tensor([[-1.0, 0.0], [0.0, -1.0]], dtype=torch.float64)
    return ClassSteps(frame, torch.stack([2 * frame, 2 * frame]), -frame, ones / 2, within, -ones / 4, ones / 2)


@metric(
    group=GROUP,
    source="papyan2020prevalence",
    formula="G_kl = <μ_k - μ_G, μ_l - μ_G>",
    units=SQUARED,
    dims=PAIR,
)
def mean_gram(class_steps: ClassSteps) -> Tensor:
    """Inner products of the class means about their mean, G_kl = ⟨μ_k − μ_G, μ_l − μ_G⟩, [K, K].

    >>> mean_gram(example_steps()).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    return class_steps.gram


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="Σ_j p_j dG_kl/dη, step on class j",
    units=RATE,
    dims=PAIR,
)
def mean_gram_response(class_steps: ClassSteps) -> Tensor:
    """Rate of mean_gram under the mean step of all classes, Σ_j p_j dG_kl/dη, without decay, [K, K].

    >>> mean_gram_response(example_steps()).tolist()
    [[2.0, -2.0], [-2.0, 2.0]]
    """
    return torch.einsum("j,jkl->kl", class_steps.shares, class_steps.gram_rates)


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="dG_kl/dη, step -λθ",
    units=RATE,
    dims=PAIR,
)
def mean_gram_decay_response(class_steps: ClassSteps) -> Tensor:
    """Rate of mean_gram under the step −λθ of the run's weight decay, dG_kl/dη; 0 without decay, [K, K].

    >>> mean_gram_decay_response(example_steps()).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    return class_steps.gram_decay


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="d|μ_k - μ_G|²/dη, step on class j",
    units=RATE,
    dims=STEPPED,
)
def between_response(class_steps: ClassSteps) -> Tensor:
    """Rate of the squared distance of class k's mean from the mean of all, d‖μ_k − μ_G‖²/dη, by a step on j, [K, K].

    >>> between_response(example_steps()).tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    return class_steps.gram_rates.diagonal(dim1=1, dim2=2)


@metric(
    group=GROUP,
    source="papyan2020prevalence",
    formula="v_k = mean |h - μ_k|² over class k",
    units=SQUARED,
    bounds=(0.0, None),
    dims=("class",),
)
def class_variance(class_steps: ClassSteps) -> Tensor:
    """Within-class variance of the samples that are stepped on, v_k = mean ‖h − μ_k‖², [K].

    >>> class_variance(example_steps()).tolist()
    [0.5, 0.5]
    """
    return class_steps.within


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="dv_k/dη, step on class j",
    units=RATE,
    dims=STEPPED,
)
def class_variance_response(class_steps: ClassSteps) -> Tensor:
    """Rate of class k's within-class variance, dv_k/dη, by a step on all of class j, [K, K].

    Convention: a step on all samples of a class; within_sensitivity is the mean over steps on single samples, which is
    the same to first order but for its draw of samples.

    >>> class_variance_response(example_steps()).tolist()
    [[-1.0, 0.0], [0.0, -1.0]]
    """
    return class_steps.within_rates


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="dv_k/dη, step -λθ",
    units=RATE,
    dims=("class",),
)
def class_variance_decay_response(class_steps: ClassSteps) -> Tensor:
    """Rate of class k's within-class variance under the step −λθ of weight decay, dv_k/dη, [K].

    >>> class_variance_decay_response(example_steps()).tolist()
    [-0.25, -0.25]
    """
    return class_steps.within_decay
