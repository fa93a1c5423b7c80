"""Signed effect of a step on one class on the outputs and the softmax probabilities of another."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from elastic.metrics.contract import metric
from elastic.metrics.pair_sums import PairSums
from elastic.metrics.update import PAIR_OF_CLASSES

OUTPUTS = (*PAIR_OF_CLASSES, "output")


@dataclass(frozen=True)
class OutputUpdate:
    """How the outputs of observed samples move, and the probability of their most likely class (all float64).

    Attributes
    ----------
    logits
        Sums of Δz(m;a), one number an output.
    squeezed
        Sums of the change of p_max(m;a), the softmax probability of the class that is the most likely one of m.
    """

    logits: PairSums
    squeezed: PairSums


def example_outputs() -> OutputUpdate:
    """Return one step on a sample of class 0 that moves both outputs of one sample of class 0 and of one of class 1.

    >>> example_outputs().logits.by_stepped.tolist()
    [[[2.0, -1.0], [0.5, 0.0]]]
    """
    rows = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    columns, counted = torch.eye(2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool)
    moved = torch.tensor([[2.0, -1.0], [0.5, 0.0]], dtype=torch.float64)
    by_observed, squares = torch.zeros(2, 2, 2, dtype=torch.float64), torch.zeros(2, 2, 2, dtype=torch.float64)
    by_observed[:, 0], squares[0] = moved, moved.square()
    logits = PairSums(rows, columns, counted, moved[None], by_observed, squares)
    return OutputUpdate(logits, PairSums.of(torch.tensor([[0.25, -0.5]]), rows, columns, counted))


@metric(
    group="elasticity",
    source="he2020local",
    formula="mean over a in j, m in k of Δz(m;a)",
    units="output per unit learning rate",
    dims=OUTPUTS,
    layerless=True,
)
def logit_response(output_update: OutputUpdate) -> Tensor:
    r"""Signed movement of each output of the observed class under a step on the stepped class.

    $Z_{jko} = \operatorname{mean}_{a \in j,\, m \in k} \Delta z_o(m;a)$, [K, K, outputs].

    Convention: measured only for networks with at most 32 outputs.

    Examples
    --------
    >>> logit_response(example_outputs())[0].tolist()
    [[2.0, -1.0], [0.5, 0.0]]
    """
    return output_update.logits.mean()


@metric(
    group="elasticity",
    source="cameron2011robust",
    formula="sqrt(V_stepped + V_observed - V_pair), clustered by stepped and by observed sample",
    units="output per unit learning rate",
    bounds=(0.0, None),
    dims=OUTPUTS,
    layerless=True,
)
def logit_response_stderr(output_update: OutputUpdate) -> Tensor:
    r"""Standard error of the logit response, clustered by stepped and by observed sample.

    √(V_a + V_m − V_am), [K, K, outputs], as response_stderr_clustered.

    Examples
    --------
    >>> logit_response_stderr(example_outputs())[0, 0].tolist()       # needs two stepped samples
    [nan, nan]
    """
    return output_update.logits.stderr()


@metric(
    group="elasticity",
    source="ren2025learning",
    formula="mean over a in j, m in k of p_max (Δz_max - Σ_o p_o Δz_o)",
    units="probability per unit learning rate",
    dims=PAIR_OF_CLASSES,
    layerless=True,
)
def squeezed_probability(output_update: OutputUpdate) -> Tensor:
    r"""Rate at which a step moves probability from all other classes to the observed sample's most likely one.

    $S_{jk} = \operatorname{mean}_{a \in j,\, m \in k} p_{max} (\Delta z_{max}(m;a) - \sum_o p_o \Delta z_o(m;a))$,
    [K, K]: positive if unlikely classes lose probability (the squeezing effect), negative if they regain it.

    Convention: p is the softmax of the observed sample's outputs for every loss; at most 32 outputs.

    Examples
    --------
    >>> squeezed_probability(example_outputs())[0].tolist()
    [0.25, -0.5]
    """
    return output_update.squeezed.mean()[..., 0]
