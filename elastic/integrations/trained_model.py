"""Access to the model of a trainer behind its precision, compilation and distribution wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from elastic.errors import ModelError

#: Attributes of parameters that are sharded over processes: DTensor, FSDP and DeepSpeed stage 3.
PARTS = ("placements", "_is_flat_param", "ds_id")
SHARDING = "FullyShardedDataParallel"


@contextmanager
def own_forward(model: nn.Module) -> Iterator[None]:
    """Restore a module's original ``forward`` inside the block.

    Accelerate replaces it with one under autocast, and Lightning with a compiled one: features would be in half
    precision, or hooks would not run.

    Examples
    --------
    >>> net = nn.Linear(2, 2)
    >>> net._original_forward, net.forward = net.forward, len
    >>> with own_forward(net):
    ...     net.forward.__name__
    'forward'
    >>> net.forward.__name__
    'len'
    """
    replaced = vars(model).get("forward")
    compiled = getattr(model, "_compiler_ctx", None) or {}
    original = getattr(model, "_original_forward", None) or compiled.get("original_forward")
    if replaced is None or original is None:
        yield
        return
    model.forward = original
    try:
        yield
    finally:
        model.forward = replaced


def check_whole(model: nn.Module) -> None:
    """Raise a ModelError if the model's parameters are sharded."""
    parts = [name for name, value in model.named_parameters() if any(hasattr(value, mark) for mark in PARTS)]
    parts += [name or "the model" for name, module in model.named_modules() if type(module).__name__ == SHARDING]
    if parts:
        expected, hint = "be whole in each process", "one device, DDP, or elastic.record_checkpoints after the training"
        raise ModelError("the trainer's model", expected, f"{parts[0]} in parts", hint)
