"""The movement pass: forward derivatives of the network as it runs, not of the network as it is trained.

``detach()``, ``.data`` and their like stop the gradient that a step is taken along. A real step moves what they return
all the same: the network runs forward with its new parameters. Forward derivatives of torch stop there too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves


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


_TENSOR: Any = Tensor
#: Functions that cut a tensor off from the gradient and leave its value.
STOPS = {Tensor.detach, torch.detach, Tensor.detach_, torch.detach_, _TENSOR.data.__get__}
#: Functions that say whether a tensor gets a gradient.
FLAGS = {Tensor.requires_grad_, _TENSOR.requires_grad.__set__}
#: Functions that make a new tensor of other tensors' numbers.
COPIES = {torch.tensor, torch.asarray, torch.as_tensor, torch.scalar_tensor}
#: Names of functions that turn a tensor into numbers of Python or numpy, or give it other memory.
NUMBERS = {"__float__", "__complex__", "__array__", "numpy", "new_tensor", "data=", "set_", "__dlpack__", "storage"}
NUMBERS |= {"untyped_storage", "data_ptr", "__reduce_ex__", "apply_", "map_", "map2_"}


class MovementPass(TorchFunctionMode):
    """While active, forward derivatives pass through whatever stops a gradient; ``item`` gives a tensor.

    Examples
    --------
    >>> from torch.func import jvp
    >>> gate = lambda h: h * h.detach()
    >>> with MovementPass():                                     # of h²
    ...     jvp(gate, (torch.tensor(3.0),), (torch.tensor(1.0),))[1].item()
    6.0
    >>> jvp(gate, (torch.tensor(3.0),), (torch.tensor(1.0),))[1].item()
    3.0
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, or what has the same value and the whole derivative."""
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():
            raise RuntimeError("torch.inference_mode has no forward derivatives")
        if func in STOPS:
            return args[0] if name_of(func) == "detach_" else args[0].view_as(args[0])
        if func in FLAGS and not (args[1:] or [kwargs.get("requires_grad", True)])[0]:
            return args[0]
        if func in COPIES and any(moves(leaf) for leaf in tree_leaves(args)):
            made = stacked(args[0])
            return made.to(dtype=kwargs.get("dtype") or made.dtype, device=kwargs.get("device") or made.device)
        name = name_of(func)
        if name in ("item", "tolist") and moves(args[0]):
            return nested(args[0].reshape(()) if name == "item" else args[0])
        if name in NUMBERS and any(moves(leaf) for leaf in tree_leaves(args)):
            raise RuntimeError(f"a feature that moves is read or replaced by `{name}`, past forward derivatives")
        return func(*args, **kwargs)


def moves(value: Any) -> bool:
    """Whether a tensor has a forward derivative."""
    return isinstance(value, Tensor) and forward_ad.unpack_dual(value).tangent is not None


def stacked(data: Any) -> Tensor:
    """Return a new tensor of tensors and numbers in nested lists."""
    if isinstance(data, Tensor):
        return data.clone()
    if not isinstance(data, (list, tuple)):
        return torch.tensor(data)
    rows = [stacked(row) for row in data]
    dtypes = [row.dtype for row in rows]
    common = next((dtype for dtype in dtypes if dtype.is_floating_point or dtype.is_complex), dtypes[0])
    return torch.stack([row.to(common) for row in rows])


def nested(values: Tensor) -> Any:
    """Return a tensor's numbers as tensors of their own, in nested lists."""
    return values if values.ndim == 0 else [nested(row) for row in values.unbind()]
