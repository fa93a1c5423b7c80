"""Names of losses in reports: the name with the options that differ from torch's defaults."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from elastic.losses.torch_losses import PLAIN, options_of, recognised


def name_of(loss: Any) -> str:
    """Return the name of a loss for reports.

    >>> from torch.nn import functional
    >>> name_of(nn.CrossEntropyLoss(label_smoothing=0.1)), name_of(partial(functional.mse_loss, reduction="sum"))
    ('CrossEntropyLoss(label_smoothing=0.1)', "mse_loss(reduction='sum')")
    """
    loss = getattr(loss, "_orig_mod", loss)
    if isinstance(loss, partial):
        own, options = name_of(loss.func), dict(loss.keywords)
    elif isinstance(loss, nn.Module):
        own, options = type(loss).__name__, options_of(loss) if recognised(loss) else {}
    else:
        own, options = getattr(loss, "__name__", type(loss).__name__), {}
    text = [f"{name}={_brief(value)}" for name, value in options.items() if not _is_plain(value, PLAIN.get(name, ...))]
    return f"{own}({', '.join(text)})" if text else own


def _is_plain(value: Any, plain: Any) -> bool:
    return value is plain or (isinstance(value, (str, int, float)) and value == plain)


def _brief(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value) if isinstance(value, (str, int, float, bool)) else type(value).__name__
    shown = [f"{entry:g}" for entry in value.detach().reshape(-1)[:4].tolist()]
    return f"[{', '.join(shown)}{', …' if value.numel() > len(shown) else ''}]"
