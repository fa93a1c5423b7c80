"""Wrappers of ``torch.compile`` and of data parallelism, which prefix the names of submodules."""

from __future__ import annotations

from torch import nn

#: Attributes of wrappers that hold the wrapped module.
WRAPPERS = ("module.", "_orig_mod.")


def unwrapped(model: nn.Module) -> nn.Module:
    """Remove the wrappers of ``torch.compile`` and of data parallelism from a module.

    >>> net = nn.Linear(2, 2)
    >>> unwrapped(nn.DataParallel(net)) is net
    True
    """
    while isinstance(model, nn.Module):
        parallel = isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel))
        inner = model.module if parallel else getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            break
        model = inner
    return model


def inside(name: str) -> str:
    """Remove the prefixes of wrappers from a submodule's name.

    >>> inside("module._orig_mod.layer1.0")
    'layer1.0'
    """
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name
