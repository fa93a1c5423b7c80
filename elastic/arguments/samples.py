"""Samples of arrays, from what users hand over: inputs and labels, checked, as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from elastic.arrays import ArrayLike, as_numpy, as_tensor, label_array
from elastic.batches.batch import as_inputs
from elastic.batches.gathering import gathered
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.models.input_type import input_type
from elastic.models.trial import first_line, trial

#: Inputs [n, …] with their labels [n], or what gives them in batches.
Labelled = tuple[ArrayLike, ArrayLike] | Dataset[Any] | DataLoader[Any]


def samples_like(model: nn.Module, name: str, samples: Labelled, *, positions: bool = True) -> tuple[Tensor, Tensor]:
    """Return inputs on the device of a model's parameters, and labels.

    Floating-point inputs take the type of the parameters that read them first; integers (tokens) and booleans keep
    theirs. Labels are int64 positions of outputs [n]; or, without ``positions``, what a loss takes [n, …], of which
    floating-point ones keep their type.

    Raises
    ------
    DegenerateInput
        If it is no pair, there are no samples or not one label for each, inputs are not finite or labels no integers;
        for a Dataset or DataLoader, if two passes over it differ.
    ModelError
        If the model has no parameters, or does not run on the inputs.
    """
    parameter = check_module(model)
    samples = gathered(name, samples)
    if not isinstance(samples, (tuple, list)) or len(samples) != 2:
        raise DegenerateInput(f"`{name}`", "be a pair", type(samples).__name__, f"{name}=(inputs, labels)")
    inputs = as_inputs(f"{name}[0]", samples[0]).to(parameter.device)
    read = _whole_numbers if positions else _targets
    labels = read(f"{name}[1]", samples[1]).to(parameter.device)
    if len(labels) == 0 or len(labels) != len(inputs):
        found = f"{len(inputs)} inputs, {len(labels)} labels"
        raise DegenerateInput(f"`{name}`", "be inputs with one label each", found, f"{name}=(inputs, labels)")
    if inputs.is_floating_point():
        if not inputs.isfinite().all():
            raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity among the inputs", "cleaning the inputs")
        inputs = inputs.to(input_type(model, inputs[:1]))
    _check_runs(model, name, inputs[:3])
    return inputs, labels


def check_module(model: nn.Module) -> Tensor:
    """Return a parameter of a module that can be probed.

    Raises
    ------
    ModelError
        If it is no module, is compiled by TorchScript, has no parameters or some that are not initialised, or was made
        for inference alone.
    """
    parameters = list(model.parameters()) if isinstance(model, nn.Module) else []
    if not parameters:
        raise ModelError("`model`", "be an nn.Module with parameters to step on", type(model).__name__, "a network")
    if isinstance(model, torch.jit.ScriptModule):
        found = "a ScriptModule, whose layers torch.func cannot follow"
        raise ModelError("`model`", "be a plain nn.Module", found, "the module before torch.jit.script or trace")
    if any(isinstance(p, nn.parameter.UninitializedParameter) for p in parameters):
        hint = "one forward pass before"
        raise ModelError("`model`", "have initialised parameters", "a lazy module that has not run", hint)
    if torch.is_inference_mode_enabled() or any(p.is_inference() for p in parameters):
        found = "torch.inference_mode, under which none are recorded"
        raise ModelError("`model`", "be one that derivatives can be taken of", found, "torch.no_grad in its place")
    return parameters[0]


def _whole_numbers(name: str, labels: ArrayLike) -> Tensor:
    values = label_array(name, labels)
    if values.dtype.kind not in "iubf" or (values.dtype.kind == "f" and not (values == np.floor(values)).all()):
        hint = "np.unique(labels, return_inverse=True)[1]"
        raise DegenerateInput(f"`{name}`", "be positions of logits, as integers", f"{values[:3].tolist()} …", hint)
    return torch.as_tensor(values.astype(np.int64))


def _targets(name: str, labels: ArrayLike) -> Tensor:
    """Return labels [n, …] as numbers: int64, or floating point as they are."""
    array = as_numpy(name, labels)
    if array.ndim < 2:
        array = label_array(name, labels)
    if array.dtype.kind not in "iubf":
        hint = "np.unique(labels, return_inverse=True)[1]"
        raise DegenerateInput(f"`{name}`", "be numbers", f"{array.dtype.name} of shape {list(array.shape)}", hint)
    if array.dtype.kind != "f":
        return torch.as_tensor(array.astype(np.int64))
    tensor = as_tensor(name, labels if array.ndim > 1 else array)
    if not bool(tensor.isfinite().all()):
        raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity among them", "the samples that have labels")
    return tensor


def _check_runs(model: nn.Module, name: str, example: Tensor) -> None:
    try:
        with trial(model):
            model(example.clone())
    except ElasticError:
        raise
    except Exception as error:
        found = f"{first_line(error)} on {str(example.dtype).removeprefix('torch.')} of shape {list(example.shape)}"
        hint = "inputs of the shape and type that it takes (integers stay integers: inputs.float())"
        raise ModelError("`model`", f"run on the {name} inputs", found, hint) from error
