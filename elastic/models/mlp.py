"""Fully connected networks."""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from elastic.models.activations import ACTIVATIONS, Activation
from elastic.models.contract import Stages, Task, model

Width = Annotated[int, Field(ge=1, le=1_000_000)]
VectorNorm = Literal["none", "batch", "layer"]
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
Widths = Annotated[list[Width], Field(min_length=1, max_length=100)]


@model()
def mlp(
    task: Task, *, widths: Widths, activation: Activation = "relu", norm: VectorNorm = "none", bias: bool = True
) -> Stages:
    """Multilayer perceptron; features of a hidden layer are its output after the activation.

    Layers: ``hidden_1`` … ``hidden_{n-1}``, ``penultimate`` (the last hidden one), ``logits``. A hidden layer is
    Linear, optional normalisation, activation; images are flattened first. Weights have torch's default initialisation.

    Parameters
    ----------
    task
        Shape of the inputs and number of classes K.
    widths
        Width of each hidden layer, from the first to the last.
    activation
        Activation of the hidden layers; ``identity`` makes a deep linear network.
    norm
        Normalisation of each hidden layer's pre-activations: over the ``batch``, over the units of the ``layer``, or
        ``none``.
    bias
        Whether the linear layers, including the last one, have a bias.

    Examples
    --------
    >>> net = mlp(Task((1, 8, 8), classes=10), widths=[20, 30])
    >>> net.layers
    ('hidden_1', 'penultimate', 'logits')
    >>> sum(p.numel() for p in net.parameters())  # (64+1)·20 + (20+1)·30 + (30+1)·10
    2240
    """
    fan_in = [prod(task.input_shape), *widths]
    stages: dict[str, nn.Module] = {}
    for position, width in enumerate(widths):
        name = "penultimate" if position == len(widths) - 1 else f"hidden_{position + 1}"
        stages[name] = nn.Sequential(
            *([nn.Flatten()] if position == 0 else []),
            nn.Linear(fan_in[position], width, bias=bias),
            *([NORMS[norm](width)] if norm != "none" else []),
            ACTIVATIONS[activation](),
        )
    stages["logits"] = nn.Linear(widths[-1], task.outputs, bias=bias)
    return Stages(stages)
