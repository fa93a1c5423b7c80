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
