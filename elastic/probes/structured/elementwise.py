"""Elementwise activations and pooling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn import functional

from elastic.probes.structured.duals import Dual, dual, plain, tangent_of, wrap
from elastic.probes.structured.propagation import Steps
from elastic.probes.structured.rules import RULES

ACTIVATIONS = [
    functional.relu, torch.relu, Tensor.relu, functional.leaky_relu, functional.gelu, functional.silu,
    functional.elu, functional.selu, functional.celu, functional.softplus, functional.mish, functional.hardtanh,
    functional.relu6, functional.hardswish, functional.logsigmoid, functional.softsign, functional.tanh,
    torch.tanh, Tensor.tanh, functional.sigmoid, torch.sigmoid, Tensor.sigmoid, torch.square, Tensor.square,
    torch.exp, Tensor.exp,
]  # fmt: skip


def activation(function: Any) -> Any:
    """Return the rule f'(x) Δx: the derivative is taken once for all stepped samples."""

    def follow(steps: Steps, x: Dual, *args: Any, **kwargs: Any) -> Dual:
        kwargs.pop("inplace", None)

        def values(v: Tensor) -> Tensor:
            return function(v, *args, **kwargs)

        v = plain(x)
        moved = tangent_of(x)
        if moved is None:
            return wrap(values(v))
        value, slope = jvp(values, (v,), (torch.ones_like(v),))
        return dual(value, moved * slope)

    return follow


RULES.update({f: activation(f) for f in ACTIVATIONS})
