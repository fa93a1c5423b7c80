"""The weights that linear modules apply: their parameters, or what hooks and parametrisations compute from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class AppliedWeights:
    """What a linear module applies to its inputs: weights [K, d], and its bias [K] if it has one."""

    weight: Tensor
    bias: Tensor | None


def applied_weights(linears: Iterable[nn.Linear], run: Callable[[], Any]) -> dict[nn.Linear, AppliedWeights]:
    """Return the weights that linear modules apply in a forward pass.

    Neither is read outside a pass: a parametrisation that is read in training mode may advance (the power iteration of
    spectral norm), and the attribute that a hook sets before each pass (`torch.nn.utils.weight_norm`, pruning) is that
    of the pass before.

    Parameters
    ----------
    linears
        Modules, which the pass runs.
    run
        Runs the model once in evaluation mode, and restores it. Not called if all weights are parameters.

    Examples
    --------
    After a step, the attribute is still that of the last pass:

    >>> import torch
    >>> net = torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 1, bias=False))
    >>> with torch.no_grad():
    ...     _ = net.parametrizations.weight.original0.fill_(5.0)
    >>> applied = applied_weights([net], lambda: net(torch.zeros(1, 2)))[net]
    >>> round(applied.weight.norm().item(), 5), applied.bias is None
    (5.0, True)
    """
    linears = list(linears)
    weights = {linear: _read(linear) for linear in linears if _is_plain(linear)}
    computed = [linear for linear in linears if linear not in weights]
    if not computed:
        return weights
    # Hooks that are registered last run last: after those that compute the weights.
    handles = [linear.register_forward_pre_hook(partial(_keep, weights)) for linear in computed]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    # A module that this pass leaves out, as an expert of a mixture, has its attributes alone.
    return {linear: weights.get(linear) or _read(linear, copied=True) for linear in linears}


def _keep(weights: dict[nn.Linear, AppliedWeights], linear: nn.Linear, _arguments: Any) -> None:
    weights[linear] = _read(linear, copied=True)


def _read(linear: nn.Linear, *, copied: bool = False) -> AppliedWeights:
    parts = [None if part is None else part.detach() for part in (linear.weight, linear.bias)]
    weight, bias = [part.clone() if copied and part is not None else part for part in parts]
    assert weight is not None
    return AppliedWeights(weight, bias)


def _is_plain(linear: nn.Linear) -> bool:
    """Whether the weights are parameters of the module, which no hook replaces."""
    own = linear._parameters
    return own.get("weight") is not None and "bias" in own and not linear._forward_pre_hooks
