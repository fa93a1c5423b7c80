"""Activation functions available in protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import nn

#: Names as a protocol writes them; ``identity`` makes the network linear.
Activation = Literal["relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid", "softplus", "identity"]

#: None operates in place: recorded features must keep their values.
ACTIVATIONS: Mapping[Activation, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}
