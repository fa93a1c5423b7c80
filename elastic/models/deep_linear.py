"""Deep linear networks."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from elastic.models.contract import Stages, Task, model
from elastic.models.mlp import Widths


@model()
def deep_linear(
    task: Task,
    *,
    widths: Widths,
    bias: bool = False,
    initial: Literal["torch", "orthogonal"] = "torch",
    scale: Annotated[float, Field(gt=0)] = 1.0,
) -> Stages:
    """Deep linear network: a product of matrices.

    Layers: ``hidden_1`` … ``hidden_{n-1}``, ``penultimate``, ``logits``; images are flattened first.

    Parameters
    ----------
    task
        Shape of the inputs and number of classes K.
    widths
        Width of each hidden layer.
    bias
        Whether the layers have biases.
    initial
        Initial weights: ``torch`` for torch's default, ``orthogonal`` for (semi-)orthogonal matrices as in the theory
        (wang2023understanding).
    scale
        Factor on all initial weights; with ``orthogonal`` it is their singular value ε.

    Examples
    --------
    >>> net = deep_linear(Task((6,), classes=2), widths=[4, 3], initial="orthogonal", scale=0.5)
    >>> net.layers, round(net.stages["penultimate"].weight.square().sum().item(), 6)    # 3 · (1/2)²
    (('hidden_1', 'penultimate', 'logits'), 0.75)
    """
    sizes = [prod(task.input_shape), *widths, task.outputs]
    names = [*(f"hidden_{number}" for number in range(1, len(widths))), "penultimate", "logits"]
    stages: dict[str, nn.Module] = {}
    for position, name in enumerate(names):
        linear = nn.Linear(sizes[position], sizes[position + 1], bias=bias)
        if initial == "orthogonal":
            nn.init.orthogonal_(linear.weight)
        linear.weight.data *= scale
        stages[name] = nn.Sequential(nn.Flatten(), linear) if position == 0 and len(task.input_shape) > 1 else linear
    return Stages(stages)
