"""Functions of a user's own, run forward as the network runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


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


def run_forward(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Return what the ``forward`` of a `torch.autograd.Function` gives, in torch functions that others see.

    Raises
    ------
    NotImplementedError
        If it has no ``jvp``, by which its author says that it can be differentiated forwards.
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
    """Let `torch.autograd.Function` run its ``forward`` as any other code, by whatever name its ``apply`` is called.

    That ``apply`` is left as it is, for a module may have kept it; what it calls is replaced: the ``apply`` of its base
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
