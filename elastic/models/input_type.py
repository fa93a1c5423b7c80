"""The dtype of a model's floating-point inputs: that of the first parameters applied to them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from elastic.models.dry_run import trial


def input_type(model: nn.Module, example: Tensor) -> torch.dtype:
    """Return the dtype of a model's floating-point inputs: that of the first parameter applied to them.

    Parameters
    ----------
    model
        Model with at least one parameter.
    example
        Floating-point inputs [n, …], in any precision, on the model's device.

    Examples
    --------
    A parameter that is registered first need not be read first:

    >>> class Scaled(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))
    ...         self.linear = nn.Linear(2, 2)
    ...     def forward(self, x):
    ...         return self.linear(x) * self.scale
    >>> input_type(Scaled(), torch.zeros(1, 2, dtype=torch.float64))
    torch.float32
    """
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    example = example.clone()  # the model may modify it in place
    watch = _FirstReading(parameters, example)
    try:
        with trial(model), watch:
            model(example)
    except _Found:
        pass
    except Exception:  # the model fails, which is reported when it is run next
        return parameters[0].dtype if parameters else example.dtype
    return watch.dtype or (parameters[0].dtype if parameters else example.dtype)


class _Found(BaseException):
    """Ends a forward pass once the dtype is known. Not an `Exception`, which a model might catch."""


class _FirstReading(TorchFunctionMode):
    """Finds the first function that takes a parameter and a tensor that depends on the inputs.

    Weights may be computed from parameters before they meet the inputs (weight norm): these count as parameters.
    """

    def __init__(self, parameters: list[nn.Parameter], inputs: Tensor) -> None:
        super().__init__()
        self.dtype: torch.dtype | None = None
        self._weights: dict[int, Tensor] = {id(p): p for p in parameters}
        self._inputs: dict[int, Tensor] = {id(inputs): inputs}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        weight = next((t for t in tensors if id(t) in self._weights), None)
        entered = any(id(t) in self._inputs for t in tensors)
        if weight is not None and entered:
            self.dtype = weight.dtype
            raise _Found
        output = func(*args, **kwargs)
        known = self._weights if weight is not None else self._inputs if entered else None
        if known is not None:
            made = (leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
            known |= {id(tensor): tensor for tensor in made if tensor.is_floating_point()}
        return output
