"""User-defined autograd functions, run forward as in the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Context:
    """Context of the ``forward`` of a `torch.autograd.Function` without a backward pass."""

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


def run_forward(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the result of the ``forward`` of a `torch.autograd.Function`, in torch functions that modes intercept.

    Raises
    ------
    NotImplementedError
        If it has no ``jvp``, which declares that it can be differentiated in forward mode.
    """
    if cls.jvp is torch.autograd.Function.jvp:
        raise NotImplementedError(f"`{cls.__name__}` has no forward derivative: no `jvp` of its own")
    with torch.no_grad():
        if cls.setup_context is not torch.autograd.Function.setup_context:
            return cls.forward(*args, **kwargs)
        context = Context()
        context.needs_input_grad = (False,) * len(args)
        return cls.forward(context, *args, **kwargs)


@contextmanager
def forward_only() -> Iterator[None]:
    """Let the ``forward`` of `torch.autograd.Function` run like other code, by whatever name its ``apply`` is called.

    That ``apply`` is not replaced, as a module may have stored it, but what it calls is: the ``apply`` of its base
    class, or, inside transforms of torch.func, ``custom_function_call``.
    """
    module: Any = torch.autograd.function
    call, base = module.custom_function_call, module._SingleLevelFunction
    before = base.__dict__.get("apply")
    module.custom_function_call, base.apply = run_forward, classmethod(run_forward)
    try:
        yield
    finally:
        module.custom_function_call = call
        if before is None:
            del base.apply
        else:
            base.apply = before
