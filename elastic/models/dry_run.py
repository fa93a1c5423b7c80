"""Forward passes without side effects, to inspect a model before training."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from elastic.models.evaluation_mode import evaluated


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run compiled modules eagerly in the block, so that hooks and replaced parameters take effect.

    >>> net = nn.Linear(2, 2)
    >>> net.compile(backend=lambda graph, inputs: 1 / 0)
    >>> with uncompiled():
    ...     net(torch.zeros(1, 2)).shape
    torch.Size([1, 2])
    """
    # Importing the compiler takes seconds; nothing is compiled before it is imported.
    with torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext():
        yield


@contextmanager
def trial(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, uncompiled, without gradients; restore it and the random generators after.

    Values of parameters are restored when the outermost block ends that restores them, here or in
    `elastic.models.evaluation_mode.evaluated`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    >>> with trial(net):
    ...     net.training, net(torch.zeros(1, 2)).requires_grad
    (False, False)
    >>> net.training
    True
    """
    with evaluated(module, parameters=True), uncompiled(), torch.no_grad():
        yield


def blank_batch(module: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """Return two inputs of zeros [2, …] with the device and dtype of the module's weights."""
    weight = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    return torch.zeros(2, *input_shape, dtype=weight.dtype, device=weight.device)
