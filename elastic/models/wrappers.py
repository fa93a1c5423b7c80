"""Wrappers of ``torch.compile`` and of data parallelism, which put names of their own before a module's."""

from __future__ import annotations

from torch import nn

#: Names under which wrappers hold a module.
WRAPPERS = ("module.", "_orig_mod.")


def unwrapped(model: nn.Module) -> nn.Module:
    """Return the module inside the wrappers of ``torch.compile`` and of data parallelism; any other as it is.

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
    """Return a submodule's name without those of wrappers, which ``named_modules`` of a wrapper puts before it.

    >>> inside("module._orig_mod.layer1.0")
    'layer1.0'
    """
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name
