"""The movement pass: forward derivatives of the network as it runs, not of the network as it is trained.

``detach()``, ``.data`` and their like stop the gradient that a step is taken along. A real step moves what they return
all the same: the network runs forward with its new parameters. Forward derivatives of torch stop there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from elastic.probes.written_out import WRITTEN_OUT, batch_norm


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
#: Names of functions that rescale rows of their weight where ``max_norm`` is given.
RENORMED = {"embedding", "embedding_bag"}
#: Names of reductions whose forward derivative is wrong for products.
REDUCTIONS = {"scatter_reduce", "index_reduce", "scatter"}


class MovementPass(TorchFunctionMode):
    """While active, forward derivatives pass through whatever stops a gradient; ``item`` gives a tensor.

    A `torch.autograd.Function` that has a ``jvp`` runs its ``forward`` as any other code does: what moves is its value,
    whatever it defines as its derivative.

    Raises
    ------
    RuntimeError
        If numbers of a tensor that moves are used where no derivative follows.

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
        """Call a function, or what has the same value and the whole derivative."""
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():
            raise RuntimeError("torch.inference_mode has no forward derivatives")
        if func in STOPS:
            return args[0] if name_of(func) == "detach_" else args[0].view_as(args[0])
        if func in FLAGS and not (args[1:] or [kwargs.get("requires_grad", True)])[0]:
            return args[0]
        if not any(moves(leaf) for leaf in tree_leaves((args, kwargs))):
            return func(*args, **kwargs)
        return self._moving(func, args, kwargs)

    def _moving(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Call a function of tensors that move."""
        name = name_of(func)
        if func in COPIES:
            made = stacked(args[0])
            return made.to(dtype=kwargs.get("dtype") or made.dtype, device=kwargs.get("device") or made.device)
        if name in ("item", "tolist"):
            return nested(args[0].reshape(()) if name == "item" else args[0])
        if name in NUMBERS:
            raise RuntimeError(f"a feature that moves is read or replaced by `{name}`, past forward derivatives")
        if name in RENORMED and kwargs.get("max_norm") is not None:
            raise RuntimeError(f"`{name}` rescales a parameter in the forward pass")
        if name.rstrip("_") in REDUCTIONS and "prod" in (*args, kwargs.get("reduce")):
            raise RuntimeError(f"the forward derivative of `{name}` by products is wrong in torch")
        if isinstance(kwargs.get("out"), Tensor):
            out = kwargs.pop("out")
            return out.copy_(self._moving(func, args, kwargs).view(out.shape))
        if func is functional.batch_norm and (moves(args[1]) or moves(args[2])):
            return batch_norm(*args, **kwargs)
        try:
            return WRITTEN_OUT.get(func, func)(*args, **kwargs)
        except NotImplementedError:
            if peek_interpreter_stack() is not None or name.endswith("_"):
                raise
            return backwards_twice(func, args, kwargs)


def backwards_twice(function: Any, args: Any, kwargs: Any) -> Tensor:
    """Call a function without a forward derivative: Jv is the derivative of uᵀJv by u.

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
        output = function(*arguments, **options)
        if not isinstance(output, Tensor):
            raise NotImplementedError(f"`{name_of(function)}` has no forward derivative")
        towards = torch.zeros_like(output, requires_grad=True)
        gradients = torch.autograd.grad(output, values, towards, create_graph=True, materialize_grads=True)
        tangents = [pair.tangent for pair in pairs]
        (tangent,) = torch.autograd.grad(gradients, towards, tangents, materialize_grads=True)
    dual: Tensor = forward_ad.make_dual(output.detach(), tangent)
    return dual


class Context:
    """What the ``forward`` of a `torch.autograd.Function` is given where no backward pass follows."""

    needs_input_grad: tuple[bool, ...] = ()
    saved_tensors: tuple[Any, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors."""
        self.saved_tensors = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Any) -> None:
        """Do nothing."""

    mark_non_differentiable = mark_dirty
    set_materialize_grads = mark_dirty


@contextmanager
def forward_only() -> Iterator[None]:
    """Let `torch.autograd.Function` run its ``forward`` as any other code, which torch functions then show."""
    function: Any = torch.autograd.Function
    plain, contextless, underived = function.__dict__["apply"], function.setup_context, function.jvp

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls.jvp is underived:
            raise NotImplementedError(f"`{cls.__name__}` has no forward derivative: no `jvp` of its own")
        with torch.no_grad():
            if cls.setup_context is not contextless:
                return cls.forward(*args, **kwargs)
            context = Context()
            context.needs_input_grad = (False,) * len(args)
            return cls.forward(context, *args, **kwargs)

    function.apply = classmethod(apply)
    try:
        yield
    finally:
        function.apply = plain


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
