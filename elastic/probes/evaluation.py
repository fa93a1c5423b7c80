"""The state in which a model is probed: evaluation mode, differentiable kernels, and as it was before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def probed(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode while it is probed; restore each module's mode and the global generators.

    Batch norm then uses its running statistics: one stepped sample alone has no batch variance.
    """
    modes = {module: module.training for module in model.modules()}
    fused_attention = torch.backends.mha.get_fastpath_enabled()
    model.eval()
    # The fused attention kernels have no forward-mode derivative; the plain one has.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.random.fork_rng(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_attention)
        for module, mode in modes.items():
            module.training = mode
