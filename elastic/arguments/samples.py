"""Validation of samples of any form given by the user: inputs and labels as tensors, and a model that takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from elastic.arguments.labels import labels_like
from elastic.arguments.models import Reading, check_module, check_runs
from elastic.arrays import ArrayLike, as_numbers
from elastic.batches import place_of, placed, runner
from elastic.batches.gathering import gathered
from elastic.batches.nesting import tensors_of
from elastic.batches.outputs import is_object
from elastic.batches.table import Table, mask_of, tabulated, without_labels
from elastic.errors import DegenerateInput, ModelError
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import TappedModel
from elastic.models.input_type import input_type
from elastic.models.positions import Position

#: Inputs [n, …] with their labels [n], a mapping with "labels", a list of such samples, a Dataset or a DataLoader.
Labelled = (
    tuple[ArrayLike | Mapping[str, Any], ArrayLike]
    | Mapping[str, Any]
    | Sequence[Mapping[str, Any] | tuple[ArrayLike | Mapping[str, Any], Any]]
    | Dataset[Any]
    | DataLoader[Any]
)


def model_and_samples(
    model: nn.Module, parts: Mapping[str, Labelled], reading: Reading, *, positions: bool = True
) -> tuple[nn.Module, dict[str, tuple[Tensor, Tensor]]]:
    """Return a model of inputs [n, …], and inputs and labels of each part, on the device of its parameters.

    Samples that are not single arrays become rows of a table, with a model of row numbers [n, 1]; it
    shares all submodules with the given one (`elastic.models.batch_forward.BatchForward`).

    Parameters
    ----------
    model
        Any module.
    parts
        Samples by the name of the argument, for errors.
    reading
        How the model is run.
    positions
        As in `samples_like`.

    Raises
    ------
    ElasticError
        As `samples_like`; DegenerateInput for samples whose arrays have different shapes.

    Examples
    --------
    >>> import torch
    >>> class Scaled(nn.Linear):
    ...     def forward(self, x, scale):
    ...         return {"logits": scale[:, None] * super().forward(x)}
    >>> batch = {"x": torch.eye(2), "scale": torch.tensor([1.0, 2.0]), "labels": [0, 1]}
    >>> view, samples = model_and_samples(Scaled(2, 2), {"train": batch}, Reading())
    >>> inputs, labels = samples["train"]
    >>> inputs.tolist(), labels.tolist(), view(inputs).shape
    ([[0], [1]], [0, 1], torch.Size([2, 2]))
    """
    reading.check(model)
    device = check_module(model).device
    whole = reading.forward is not None
    collected = {name: gathered(name, samples, whole=whole) for name, samples in parts.items()}
    run = runner(reading.forward, reading.output)
    if not whole and not any(part.is_nested for part in collected.values()):
        arrays, returned = {}, []
        for name, one in collected.items():
            arrays[name] = _inputs_and_labels(model, name, (one.inputs, one.labels), positions)
            returned.append(check_runs(model, name, arrays[name][0][:3]))
        view = reading.output is not None or is_object(returned[0])
        return (BatchForward(model, run) if view else model), arrays
    if isinstance(model, TappedModel):
        hint = "samples (inputs, labels), with one array of inputs"
        raise ModelError("a built-in model", "take one array of inputs", "a mapping of several", hint)
    labels = {name: labels_like(name, part.labels, device, positions=positions) for name, part in collected.items()}
    dtype = place_of(model)[1]
    batches = {
        name: (placed(part.batch if whole else part.inputs, device, dtype), len(labels[name]))
        for name, part in collected.items()
    }
    table, rows = tabulated(batches)
    _check_table(next(iter(parts)), table, reading.position)
    seen = BatchForward(model, run, table)
    for name, part in rows.items():
        check_runs(seen, name, part[:3], whole=whole)
    return seen, {name: (rows[name], labels[name]) for name in parts}


def samples_like(model: nn.Module, name: str, samples: Any, *, positions: bool = True) -> tuple[Tensor, Tensor]:
    """Return inputs on the device of a model's parameters, and labels.

    Floating-point inputs take the type of the parameters that read them first; integers (tokens) and booleans keep
    their type. Labels are int64 positions of outputs [n]; or, without ``positions``, targets of a loss [n, …], of which
    floating-point ones keep their type.

    Raises
    ------
    DegenerateInput
        If it is no pair, has no samples or not one label per sample, inputs are not finite or labels no integers.
    ModelError
        If the model has no parameters, or does not run on the inputs.
    """
    inputs, labels = _inputs_and_labels(model, name, samples, positions)
    check_runs(model, name, inputs[:3])
    return inputs, labels


def _inputs_and_labels(model: nn.Module, name: str, samples: Any, positions: bool) -> tuple[Tensor, Tensor]:
    """Return the result of `samples_like` for a model that has not been run on the samples."""
    device = check_module(model).device
    inputs = as_numbers(f"{name}[0]", samples[0]).to(device)
    labels = labels_like(name, samples[1], device, positions=positions)
    if len(labels) == 0 or len(labels) != len(inputs):
        found = f"{len(inputs)} inputs, {len(labels)} labels"
        raise DegenerateInput(f"`{name}`", "be inputs with one label each", found, f"{name}=(inputs, labels)")
    if inputs.is_floating_point():
        if not inputs.isfinite().all():
            raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity among the inputs", "cleaning the inputs")
        inputs = inputs.to(input_type(model, inputs[:1]))
    return inputs, labels


def _check_table(name: str, table: Table, position: Position | None) -> None:
    """Raise a DegenerateInput if samples hold no input, are not finite, or have no token to read."""
    inputs = tensors_of(without_labels(table.batch)).values()
    if not any(tensor.shape[:1] == (table.count,) for tensor in inputs):
        found = "no tensor with an entry a sample beside the labels"
        raise DegenerateInput(
            f"`{name}`", "hold the model's inputs", found, f"{name}={{'x': inputs, 'labels': labels}}"
        )
    for place, tensor in tensors_of(table.batch).items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            found = f"NaN or infinity among {place or 'the inputs'}"
            raise DegenerateInput(f"`{name}`", "be finite", found, "cleaning the inputs")
    mask = mask_of(table.batch)
    if position is not None and mask is not None and not bool(mask.any(dim=1).all()):
        raise DegenerateInput(
            f"`{name}`", "have a token in every sample", "an attention_mask of zeros", "leaving it out"
        )
