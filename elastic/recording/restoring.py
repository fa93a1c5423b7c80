"""Restoring a model from the file of a checkpoint."""

from __future__ import annotations

import importlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ElasticError, StudyError, first_line
from elastic.models.wrappers import inside, unwrapped

#: Keys of the model's weights in the checkpoints of common frameworks.
STATES = ("state_dict", "model_state_dict", "model")

Load = Callable[[Path], Mapping[str, Any]]


def restore(model: nn.Module, path: Path, load: Load | None = None) -> None:
    """Load a checkpoint into a model; wrappers of either are removed.

    Raises
    ------
    StudyError
        If the file is missing, damaged, or of another model.
    """
    hint = "the checkpoint's own file and model, or load=… for a form of your own"
    try:
        state = weights_of((load or read_state)(path))
    except ElasticError:
        raise
    except Exception as error:  # torch.load raises all kinds of exceptions for a damaged file, and `load` is the user's
        raise StudyError("the checkpoint", "be readable", first_line(error), hint, place=str(path)) from error
    try:
        _load(unwrapped(model), state)
    except (RuntimeError, TypeError, AttributeError, KeyError) as error:
        found = " ".join(str(error).split())[:200]
        raise StudyError("the checkpoint", "be of this model", found, hint, place=str(path)) from None


def _load(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Load a state in which a name of a tied weight may be missing, because safetensors omits duplicates."""
    tensors = {name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)}
    stored = {id(tensors[name]): value for name, value in state.items() if name in tensors}
    absent = {name: id(tensor) for name, tensor in tensors.items() if name not in state}
    model.load_state_dict({**state, **{name: stored[tensor] for name, tensor in absent.items() if tensor in stored}})


def read_state(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint file without executing code in it.

    Raises
    ------
    StudyError
        If reading the file requires executing code, or a library that is not installed.
    """
    if path.suffix == ".safetensors":
        try:
            library = importlib.import_module("safetensors.torch")
        except ImportError:
            hint = "pip install safetensors"
            raise StudyError("the checkpoint", "be readable", "no package safetensors", hint, place=str(path)) from None
        return dict(library.load_file(path))
    try:
        state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        hint = "load=lambda path: torch.load(path, weights_only=False)['model'], for files that you trust"
        raise StudyError("the checkpoint", "hold tensors only", first_line(error), hint, place=str(path)) from None
    return state


def weights_of(checkpoint: Any) -> dict[str, Any]:
    """Extract the state of the model from a checkpoint and remove the prefixes of wrappers.

    >>> sorted(weights_of({"epoch": 3, "state_dict": {"module.0.weight": torch.ones(1)}}))
    ['0.weight']
    """
    if isinstance(checkpoint, nn.Module):
        checkpoint = checkpoint.state_dict()
    if not isinstance(checkpoint, Mapping):
        raise TypeError(f"{type(checkpoint).__name__} in place of a state_dict")
    states = [checkpoint[key] for key in STATES if isinstance(checkpoint.get(key), Mapping | nn.Module)]
    if states and not any(isinstance(value, Tensor) for value in checkpoint.values()):
        return weights_of(states[0])
    return {inside(str(name)): value for name, value in checkpoint.items()}
