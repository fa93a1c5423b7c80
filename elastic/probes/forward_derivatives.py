"""Forward derivatives: which tensors have one, and substitutes for derivatives that torch lacks or loses."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from elastic.probes.dispatch import run_operation
from elastic.probes.tensor_leaves import tensor_leaves
from elastic.uncompiled import compiler_not_loaded_by

#: Names of functions whose result depends on numbers, but not on small changes of them.
BRANCHES = {"__bool__", "is_nonzero", "equal", "allclose", "__contains__", "__int__", "__index__"}


def name_of(function: Any) -> str:
    """Return the name of a torch function: that of the property for a getter or a setter.

    >>> name_of(torch.relu), name_of(Tensor.data.__get__), name_of(Tensor.data.__set__)
    ('relu', 'data', 'data=')
    """
    name = str(getattr(function, "__name__", function))
    attribute = getattr(getattr(function, "__self__", None), "__name__", None)
    if attribute is None or name not in ("__get__", "__set__", "__delete__"):
        return name
    return str(attribute) if name == "__get__" else f"{attribute}="


def moves(value: Any) -> bool:
    """Whether a tensor has a forward derivative, or may have one."""
    try:
        return isinstance(value, Tensor) and forward_ad.unpack_dual(value).tangent is not None
    except RuntimeError:  # inside the model's own vmap
        return True


def backwards_twice(function: Any, args: Any, kwargs: Any) -> Any:
    """Call a function without a forward derivative: Jv is the derivative of uᵀJv with respect to u.

    >>> with forward_ad.dual_level():
    ...     x = forward_ad.make_dual(torch.tensor([3.0]), torch.tensor([2.0]))
    ...     forward_ad.unpack_dual(backwards_twice(torch.square, (x,), {})).tangent.item()       # 2·3·2
    12.0
    """
    leaves, spec = tree_flatten((args, kwargs))
    places = [i for i, leaf in enumerate(leaves) if moves(leaf)]
    pairs = [forward_ad.unpack_dual(leaves[i]) for i in places]
    with torch.enable_grad():
        values = [pair.primal.detach().requires_grad_() for pair in pairs]
        for place, value in zip(places, values, strict=True):
            leaves[place] = value
        arguments, options = tree_unflatten(leaves, spec)
        outputs, nesting = tree_flatten(function(*arguments, **options))
        if not all(isinstance(output, Tensor) and output.requires_grad for output in outputs):
            raise NotImplementedError(f"`{name_of(function)}` has no forward derivative")
        towards = [torch.zeros_like(output, requires_grad=True) for output in outputs]
        gradients = torch.autograd.grad(outputs, values, towards, create_graph=True, materialize_grads=True)
        along = torch.autograd.grad(gradients, towards, [pair.tangent for pair in pairs], materialize_grads=True)
    duals = (forward_ad.make_dual(h.detach(), tangent) for h, tangent in zip(outputs, along, strict=True))
    return tree_unflatten(list(duals), nesting)


@compiler_not_loaded_by
class Unnumbered(TorchDispatchMode):
    """Refuses the conversion of a tensor to a number, as in functions that receive a tensor as a slope."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation."""
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("a tensor that moves is given in the place of a number")
        return run_operation(func, args, kwargs)


def unnumbered(name: str, arguments: Any) -> AbstractContextManager[Any]:
    """Return a mode that refuses numbers from tensors, if an argument is a tensor of one number."""
    one = any(leaf.numel() == 1 and leaf.is_floating_point() for leaf in tensor_leaves(arguments))
    if not one or name in BRANCHES:
        return nullcontext()
    return Unnumbered()  # type: ignore[no-untyped-call]


def stacked(data: Any) -> Tensor:
    """Return a new tensor from tensors and numbers in nested lists."""
    if isinstance(data, Tensor):
        return data.clone()
    if not isinstance(data, (list, tuple)):
        return torch.tensor(data)
    rows = [stacked(row) for row in data]
    dtypes = [row.dtype for row in rows]
    common = next((dtype for dtype in dtypes if dtype.is_floating_point or dtype.is_complex), dtypes[0])
    return torch.stack([row.to(common) for row in rows])


def nested(values: Tensor) -> Any:
    """Return a tensor's numbers as separate tensors, in nested lists."""
    return values if values.ndim == 0 else [nested(row) for row in values.unbind()]
