"""What users hand over without a protocol: arrays, labels, samples and how to step; checked, as tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from elastic.arrays import ArrayLike, as_numpy, as_tensor, label_array
from elastic.batches.batch import as_inputs
from elastic.batches.gathering import gathered
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.losses import Loss, build_loss
from elastic.metrics.rounding import magnitude
from elastic.models.input_type import input_type
from elastic.models.trial import first_line, trial

#: Inputs [n, …] with their labels [n], or what gives them in batches.
Labelled = tuple[ArrayLike, ArrayLike] | Dataset[Any] | DataLoader[Any]
#: Name of a registered loss, a `Loss`, a loss of torch, or any callable ``(outputs, labels) -> loss``.
LossLike = str | Loss | Callable[..., Any]
#: Weights [K, d], alone or with a bias [K].
Classifier = ArrayLike | tuple[ArrayLike, ArrayLike | None]


def as_classifier(classifier: Classifier, classes: int, width: int) -> tuple[Tensor, Tensor]:
    """Return float64 weights [K, d] and bias [K] (zeros where none is given).

    Raises
    ------
    DegenerateInput
        If they are of other shapes, or not finite.
    """
    if isinstance(classifier, tuple) and len(classifier) != 2:
        should = "be weights [K, d], or a pair of weights and bias"
        raise DegenerateInput("`classifier`", should, f"a tuple of {len(classifier)}", "(W, b)")
    weights, bias = classifier if isinstance(classifier, tuple) else (classifier, None)
    W = as_tensor("classifier", weights).double()
    b = W.new_zeros(classes) if bias is None else as_tensor("bias", bias).double()
    for name, found, shape in (("classifier", W, [classes, width]), ("bias", b, [classes])):
        if list(found.shape) != shape:
            should, hint = f"be of shape {shape} for {classes} classes", "those that read the last layer"
            raise DegenerateInput(f"`{name}`", should, str(list(found.shape)), hint)
        if not bool(found.isfinite().all()):
            raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity", "an earlier epoch")
    return W, b.to(W.device)


def linear_decisions(features: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """Return argmax_k (W h + b)_k [n] of float64 features [n, d], weights [K, d] and bias [K], at any scale of them.

    >>> h, W = torch.tensor([[1e200], [-1e200]]).double(), torch.tensor([[1e200], [-1e200]]).double()
    >>> linear_decisions(h, W, torch.zeros(2).double()).tolist()
    [0, 1]
    """
    scales = [magnitude(part) for part in (features, weights, bias)]
    product, shift = scales[0].log2() + scales[1].log2(), scales[2].log2()
    top = torch.maximum(product, shift) if bool((bias != 0).any()) else product
    logits = (features / scales[0]) @ (weights / scales[1]).T * (product - top).exp2()
    return (logits + bias / scales[2] * (shift - top).exp2()).argmax(dim=1)


def decisions_of(logits: Tensor, names: npt.NDArray[Any]) -> Tensor:
    """Return the position among the classes of the one that the logits [n, C] are highest for.

    As many logits as classes are in the order of their names. Of more, a label is the position; a decision for a
    class that has no samples is −1.

    Raises
    ------
    DegenerateInput
        If there are fewer, they are no row a sample (logits of T tokens, [n, T, C]), or the names are no positions.

    Examples
    --------
    >>> decisions_of(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]), np.array([1, 2])).tolist()
    [0, -1]
    """
    if logits.ndim != 2:
        hint = "one row a sample: logits.flatten(0, 1) with a label a token, or logits[:, -1]"
        raise DegenerateInput("`features['logits']`", "be of shape [n, C]", f"shape {list(logits.shape)}", hint)
    return positions_among(logits.argmax(dim=1), logits.shape[1], names)


def positions_among(highest: Tensor, count: int, names: npt.NDArray[Any]) -> Tensor:
    """Return the position among the classes of each of the highest [n] of ``count`` logits, as `decisions_of` does."""
    if count == len(names):
        return highest
    if names.dtype.kind not in "iu" or names.min() < 0 or names.max() >= count:
        should = f"have a column for each of the {len(names)} labels, or labels that are positions"
        raise DegenerateInput("`features['logits']`", should, f"{count} columns", "integer labels from 0 on")
    place = torch.full((count,), -1, device=highest.device)
    place[torch.as_tensor(names.astype(np.int64))] = torch.arange(len(names), device=highest.device)
    return place[highest]


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


def as_loss(loss: LossLike) -> Loss | Callable[..., Any]:
    """Return the loss of a registered name, a `Loss` itself, or a callable, which is fitted to outputs and labels yet.

    Raises
    ------
    ElasticError
        If it is none of these (UnknownName for a name).
    """
    if isinstance(loss, str):
        return build_loss(loss)
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type) or not callable(loss):
        found = f"the class {loss.__name__}" if isinstance(loss, type) else type(loss).__name__
        should = "be a name, an elastic.losses.Loss, or a callable (outputs, labels) -> loss"
        raise ElasticError("`loss`", should, found, "'cross_entropy', or nn.CrossEntropyLoss()")
    return loss


def check_update(update: str, lr: float | None) -> None:
    """Raise an ElasticError unless a finite update has a learning rate, and a first-order one has none."""
    if update not in ("first_order", "finite"):
        raise ElasticError("`update`", "be 'first_order' or 'finite'", repr(update), "'first_order'")
    if update == "first_order" and lr is not None:
        should = "be left out for a first-order update, which has no step size"
        raise ElasticError("`lr`", should, repr(lr), "update='finite'")
    if update == "finite" and not (isinstance(lr, (int, float)) and 0 < lr < float("inf")):
        raise ElasticError("`lr`", "be a positive learning rate for a finite update", repr(lr), "lr=0.01")
