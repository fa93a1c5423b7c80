"""The movement pass: forward derivatives of the network as it runs, including parts without gradients.

``detach()``, ``.data`` and similar functions stop the gradient along which a step is taken. A real step still moves
their results: the network runs forward with its new parameters. Forward derivatives of torch stop there, too.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from elastic.probes.forward_derivatives import backwards_twice, moves, name_of, nested, stacked, unnumbered
from elastic.probes.own_functions import forward_only
from elastic.probes.tensor_leaves import tensor_leaves
from elastic.probes.written_out import WRITTEN_OUT, batch_norm

_TENSOR: Any = Tensor
#: Functions that detach a tensor from the gradient and keep its value.
STOPS = {Tensor.detach, torch.detach, Tensor.detach_, torch.detach_, _TENSOR.data.__get__}
#: Functions that return whether a tensor gets a gradient.
FLAGS = {Tensor.requires_grad_, _TENSOR.requires_grad.__set__}
#: Functions that create a new tensor from other tensors' numbers.
COPIES = {torch.tensor, torch.asarray, torch.as_tensor, torch.scalar_tensor, Tensor.new_tensor}
#: Names of functions that convert a tensor to numbers of Python or NumPy, or change its memory.
NUMBERS = {"__float__", "__complex__", "__array__", "numpy", "data=", "set_", "__dlpack__", "storage"}
NUMBERS |= {"untyped_storage", "data_ptr", "__reduce_ex__", "apply_", "map_", "map2_"}
#: Names of functions that rescale rows of their weight if ``max_norm`` is given.
RENORMED = {"embedding", "embedding_bag"}
#: Names of reductions whose forward derivative is wrong for products.
REDUCTIONS = {"scatter_reduce", "index_reduce", "scatter"}


class MovementPass(TorchFunctionMode):
    """While active, forward derivatives pass functions that stop gradients; ``item`` returns a tensor.

    The ``forward`` of a `torch.autograd.Function` with a ``jvp`` runs like other code: its value moves,
    whatever derivative it defines.

    Raises
    ------
    RuntimeError
        If numbers of a moving tensor are used in a way that has no derivative.

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

    def __enter__(self) -> Self:
        """Begin."""
        self.functions = forward_only()
        self.functions.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        """End."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self.functions.__exit__(None, None, None)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, or a substitute with the same value and the full derivative."""
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():
            raise RuntimeError("torch.inference_mode has no forward derivatives")
        if func in STOPS:
            return args[0] if name_of(func) == "detach_" else args[0].view_as(args[0])
        if func in FLAGS and not (args[1:] or [kwargs.get("requires_grad", True)])[0]:
            return args[0]
        if not any(map(moves, tensor_leaves(args, kwargs))):
            return func(*args, **kwargs)
        return self._moving(func, args, kwargs)

    def _moving(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call a function of moving tensors."""
        name = name_of(func)
        if func in COPIES:
            return _copied(func, args, kwargs)
        if name == "__deepcopy__":
            return args[0].clone()
        if name in ("item", "tolist"):
            return nested(args[0].reshape(()) if name == "item" else args[0])
        if (reason := underivable(name, args, kwargs)) is not None:
            raise RuntimeError(f"`{name}`: {reason}")
        if isinstance(kwargs.get("out"), Tensor):
            out = kwargs.pop("out")
            return out.copy_(self._moving(func, args, kwargs).view(out.shape))
        if func is functional.batch_norm and (moves(args[1]) or moves(args[2])):
            return batch_norm(*args, **kwargs)
        try:
            with unnumbered(name, (args, kwargs)):
                return WRITTEN_OUT.get(func, func)(*args, **kwargs)
        except NotImplementedError:
            if peek_interpreter_stack() is not None or name.endswith("_"):
                raise
            return backwards_twice(func, args, kwargs)


def underivable(name: str, args: Any, kwargs: Any) -> str | None:
    """Return why a function of moving tensors has no forward derivative in torch, or a wrong one; else None."""
    if name in NUMBERS:
        return "a feature that moves is read or replaced past forward derivatives"
    if name in RENORMED and kwargs.get("max_norm") is not None:
        return "a parameter is rescaled in the forward pass"
    if "fake_quant" in name or "fused_moving" in name:
        return "its derivative is not that of its value"
    if name.rstrip("_") in REDUCTIONS and "prod" in (*args, kwargs.get("reduce")):
        return "its forward derivative for products is wrong in torch"
    return None


def _copied(function: Any, args: Any, kwargs: Any) -> Tensor:
    """Return a new tensor of other tensors' numbers that moves with them."""
    like = args[0] if function is Tensor.new_tensor else None
    made = stacked(args[0 if like is None else 1])
    dtype = kwargs.get("dtype") or (made if like is None else like).dtype
    return made.to(dtype=dtype, device=kwargs.get("device") or made.device)
