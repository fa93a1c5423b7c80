"""Unconstrained-features models, in which the features of the train samples are parameters."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from elastic.errors import ModelError
from elastic.models.activations import ACTIVATIONS, Activation
from elastic.models.contract import Stages, Task, model
from elastic.models.mlp import Width, Widths

Scale = Annotated[float, Field(gt=0)]


@model()
def unconstrained_features(task: Task, *, width: Width, bias: bool = False, scale: Scale = 1.0) -> Stages:
    """One weight layer W on free features H: logits W h_i (+ b), with no network below.

    Layers: ``penultimate`` (H, one column of parameters per train sample), ``logits``. Made for the data set
    ``indices``; the penalties of the theory are ``training.penalties: {penultimate: λ_H, logits: λ_W}``. Sources:
    mixon2022neural, zhu2021geometric.

    Parameters
    ----------
    task
        N one-hot inputs and K classes.
    width
        Dimension d of the free features.
    bias
        Whether the weight layer has a bias.
    scale
        Standard deviation of the initial features; weights start with standard deviation scale/√d.

    Raises
    ------
    ModelError
        If the inputs are not one-hot indices of samples.

    Examples
    --------
    >>> net = unconstrained_features(Task((6,), classes=2), width=3)
    >>> {layer: sum(p.numel() for p in net.stage_parameters(layer)) for layer in net.layers}    # 6·3, 3·2
    {'penultimate': 18, 'logits': 6}
    """
    return _stages(task, [width], "identity", bias, scale)


@model()
def extended_unconstrained_features(
    task: Task,
    *,
    widths: Annotated[list[Width], Field(min_length=2, max_length=100)],
    activation: Literal["identity", "relu"] = "identity",
    bias: bool = False,
    scale: Scale = 1.0,
) -> Stages:
    """Two weight layers or more on free features: with widths [d₁, d₂] the logits are W₂ φ(W₁ h_i), φ ReLU or none.

    Layers: ``free_features`` (H₁), then the output φ(W·) of each weight layer but the last, the last of them
    ``penultimate``, then ``logits``. Penalties as in `unconstrained_features`, one for each layer.
    Source: tirer2022extended.

    Parameters
    ----------
    task
        N one-hot inputs and K classes.
    widths
        Dimension d₁ of the free features, then that of each layer's features.
    activation
        Activation φ after each weight layer but the last; the free features themselves have none.
    bias
        Whether the weight layers have biases.
    scale
        Standard deviation of the initial features; weights start with standard deviation scale/√fan-in.

    Raises
    ------
    ModelError
        If the inputs are not one-hot indices of samples.

    Examples
    --------
    >>> extended_unconstrained_features(Task((6,), classes=2), widths=[5, 4]).layers
    ('free_features', 'penultimate', 'logits')
    """
    return _stages(task, widths, activation, bias, scale)


@model()
def deep_unconstrained_features(
    task: Task,
    *,
    width: Width,
    depth: Annotated[int, Field(ge=1, le=100)],
    activation: Literal["identity", "relu"] = "identity",
    bias: bool = False,
    scale: Scale = 1.0,
) -> Stages:
    """Free features under ``depth`` weight layers of one width (the last gives the logits).

    Depth 1 is `unconstrained_features`, depth 2 `extended_unconstrained_features` with equal widths; layers are named
    as there. Sources: dang2023deep, sukenik2023deep.

    Parameters
    ----------
    task
        N one-hot inputs and K classes.
    width
        Dimension of the free features and of each layer's features.
    depth
        Number of weight layers.
    activation
        Activation after each weight layer but the last; the free features themselves have none.
    bias
        Whether the weight layers have biases.
    scale
        Standard deviation of the initial features; weights start with standard deviation scale/√width.

    Raises
    ------
    ModelError
        If the inputs are not one-hot indices of samples.

    Examples
    --------
    >>> deep_unconstrained_features(Task((6,), classes=2), width=4, depth=3).layers
    ('free_features', 'hidden_1', 'penultimate', 'logits')
    """
    return _stages(task, [width] * depth, activation, bias, scale)


def _stages(task: Task, widths: Widths, activation: Activation, bias: bool, scale: float) -> Stages:
    inner = ["free_features", *(f"hidden_{number}" for number in range(1, len(widths) - 1))]
    names = [*inner[: len(widths) - 1], "penultimate"]
    stages: dict[str, nn.Module] = {names[0]: free_features(task, widths[0], scale)}
    fan_in = [*widths, task.outputs]
    for position, name in enumerate([*names[1:], "logits"]):
        linear = nn.Linear(fan_in[position], fan_in[position + 1], bias=bias)
        nn.init.normal_(linear.weight, std=scale / fan_in[position] ** 0.5)
        if bias:
            nn.init.zeros_(linear.bias)
        rectified = name != "logits" and activation != "identity"
        stages[name] = nn.Sequential(linear, ACTIVATIONS[activation]()) if rectified else linear
    return Stages(stages)


def free_features(task: Task, width: int, scale: float) -> nn.Linear:
    """Return the free features as a linear layer: the one-hot index of sample i selects its column h_i.

    Raises
    ------
    ModelError
        If the dimension of the inputs differs from the number of train samples.
    """
    samples = task.input_shape[0]
    if len(task.input_shape) != 1 or (task.labels is not None and len(task.labels) != samples):
        found = f"inputs of shape {task.input_shape}"
        if task.labels is not None:
            found += f" for {len(task.labels)} train samples"
        raise ModelError("the data of free features", "be one-hot indices of the train samples", found,
                         "data: {name: indices, per_class_counts: [20, 20, 20]}")  # fmt: skip
    features = nn.Linear(samples, width, bias=False)
    with torch.no_grad():
        features.weight.normal_(std=scale)
    return features
