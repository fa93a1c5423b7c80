"""The rule of a training's steps, as far as the account of its movements needs it: shares of classes and momentum.

The variables are in the group ``class_steps``, beside the rates that `elastic.analysis.closure` integrates by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.class_steps import GROUP
from elastic.metrics.contract import metric


@dataclass(frozen=True)
class StepRule:
    """How a training steps.

    Attributes
    ----------
    shares
        [K] share of each class in the train samples.
    momentum
        Share of the previous update that each update keeps; NaN where the rule is not known, or not that of SGD.
    nesterov
        Whether the momentum is Nesterov's.
    steps_per_epoch
        Steps of an epoch; NaN where not known.
    """

    shares: Tensor
    momentum: float
    nesterov: bool
    steps_per_epoch: float


def example_rule() -> StepRule:
    """Return the rule of two classes of equal share, with momentum 0.9 and 23 steps an epoch."""
    return StepRule(torch.full((2,), 0.5, dtype=torch.float64), 0.9, False, 23.0)


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="p_j = n_j / N",
    bounds=(0.0, 1.0),
    dims=("stepped_class",),
    layerless=True,
)
def step_share(step_rule: StepRule) -> Tensor:
    """Share of each class in the train samples, p_j = n_j / N: its weight in the mean step, [K].

    >>> step_share(example_rule()).tolist()
    [0.5, 0.5]
    """
    return step_rule.shares


@metric(group=GROUP, source="sutskever2013importance", formula="v ← μ v + g", bounds=(0.0, 1.0), layerless=True)
def step_momentum(step_rule: StepRule) -> Tensor:
    """Momentum μ of the run's steps, v = μv + g; NaN where it is not known or the optimizer is another one, [].

    >>> step_momentum(example_rule()).item()
    0.9
    """
    return step_rule.shares.new_tensor(step_rule.momentum)


@metric(group=GROUP, source="sutskever2013importance", formula="g + μ v, not v", bounds=(0.0, 1.0), layerless=True)
def step_nesterov(step_rule: StepRule) -> Tensor:
    """Whether the update is Nesterov's, g + μv in the place of v = μv + g (1), or not (0), [].

    >>> step_nesterov(example_rule()).item()
    0.0
    """
    return step_rule.shares.new_tensor(float(step_rule.nesterov))


@metric(
    group=GROUP,
    source="zhang2021imitating",
    formula="ceil(N / batch size)",
    units="steps per epoch",
    bounds=(0.0, None),
    layerless=True,
)
def steps_per_epoch(step_rule: StepRule) -> Tensor:
    """Steps of an epoch, ⌈N / batch size⌉; NaN where it is not known, [].

    >>> steps_per_epoch(example_rule()).item()
    23.0
    """
    return step_rule.shares.new_tensor(step_rule.steps_per_epoch)
