"""The choice of an engine, made once for all models that differ only in the values of their parameters.

The trial of an engine takes as long as several readings of a small network, and every run of a study has a model of its
own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from elastic.models.contract import TappedModel
from elastic.probes.engine_selection import EngineChoice

#: Choices of this process, by all that they depend on, and the most that are kept.
_CHOSEN: dict[Hashable, EngineChoice] = {}
MOST = 256


def choose_once(
    alike: str,
    choose: Callable[..., EngineChoice],
    model: TappedModel,
    example: Tensor,
    options: Mapping[str, Any],
) -> EngineChoice:
    """Return the engine for a model, which is chosen once for all models alike.

    Parameters
    ----------
    alike
        As in `elastic.probes.contract.Subject`; "" chooses for this model alone.
    choose
        `elastic.probes.engine_selection.choose_engine`; of an error that it raises nothing is kept.
    model, example, options
        As ``choose`` takes them.
    """
    if not alike:
        return choose(model, example, **options)
    key = alike, _arrays(model), _array(example), torch.are_deterministic_algorithms_enabled(), *sorted(options.items())
    if key not in _CHOSEN:
        if len(_CHOSEN) >= MOST:
            _CHOSEN.clear()
        _CHOSEN[key] = choose(model, example, **options)
    return _CHOSEN[key]


def _arrays(model: TappedModel) -> Hashable:
    """Return what an engine's cost depends on: the arrays of a model, of which some may be as many as samples."""
    named = *model.named_parameters(), *model.named_buffers()
    return tuple((name, _array(tensor), tensor.requires_grad) for name, tensor in named)


def _array(tensor: Tensor) -> Hashable:
    return tuple(tensor.shape), tensor.dtype, tensor.device
