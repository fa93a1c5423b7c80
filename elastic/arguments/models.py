"""Validation of a model given by the user, and of how it is run on samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic.batches import Forward, Output, check_output
from elastic.batches.nesting import outline
from elastic.errors import ElasticError, ModelError, first_line
from elastic.models.batch_forward import BatchForward
from elastic.models.contract import TappedModel
from elastic.models.dry_run import trial
from elastic.models.positions import Position, check_position


@dataclass(frozen=True)
class Reading:
    """How a model is run on samples, and which part of its output is read.

    Attributes
    ----------
    forward
        ``forward(model, batch)`` returns the output for a batch in the user's format; None: the model is called
        with the inputs, or with the keyword arguments of a mapping.
    output
        Name or position of the outputs in the returned object; None: ``logits`` of an object, a tuple's first tensor.
    position
        Token whose features represent a layer [n, T, d]; None: all tokens.
    """

    forward: Forward | None = None
    output: Output | None = None
    position: Position | None = None

    def check(self, model: nn.Module) -> None:
        """Raise a ModelError unless the options are valid, or if a built-in model does not take them."""
        forward: Any = self.forward
        if forward is not None and not callable(forward):
            hint = "forward=lambda model, batch: model(**batch)"
            raise ModelError("`forward`", "be a function (model, batch) -> outputs", type(forward).__name__, hint)
        check_output(self.output)
        check_position(self.position)
        if isinstance(model, TappedModel) and self != Reading():
            name = next(name for name, value in vars(self).items() if value is not None)
            hint = f"no {name}, and samples (inputs, labels)"
            raise ModelError(f"`{name}`", "be left out for a built-in model", "one", hint)


def check_module(model: nn.Module) -> Tensor:
    """Return a parameter of a module, after checking that the module can be probed.

    Raises
    ------
    ModelError
        If it is no module, is compiled by TorchScript, has no parameters, uninitialised ones or some on the meta
        device, or was created in inference mode.
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
    devices = sorted({str(tensor.device) for tensor in (*parameters, *model.buffers())})
    if "meta" in devices:
        expected = "have values" if len(devices) == 1 else "be on one device"
        raise ModelError("`model`", expected, " and ".join(devices), "model.to_empty(device=…) and a load")
    if torch.is_inference_mode_enabled() or any(p.is_inference() for p in parameters):
        found = "torch.inference_mode, under which none are recorded"
        raise ModelError("`model`", "be one that derivatives can be taken of", found, "torch.no_grad in its place")
    return parameters[0]


def check_runs(model: nn.Module, name: str, example: Tensor, *, whole: bool = False) -> Any:
    """Return the output of a model for an example [n, …] of the samples ``name``; raise a ModelError if it has none.

    Parameters
    ----------
    model, name, example
        The model, the argument that holds the samples, and some of its inputs.
    whole
        Whether a user's ``forward`` is given the batch with its labels.
    """
    try:
        with trial(model):
            return model(example.clone())
    except ElasticError:
        raise
    except Exception as error:
        if isinstance(model, BatchForward) and model.batch is not None:
            found = f"{first_line(error)} on {outline(model.rows(example))}"
        else:
            found = f"{first_line(error)} on {str(example.dtype).removeprefix('torch.')} of shape {list(example.shape)}"
        hint = "inputs of the shape and type that it takes (integers stay integers: inputs.float())"
        if whole:
            hint = "a forward(model, batch) of this batch, in which a pair stays one: model(batch[0])"
        raise ModelError("`model`", f"run on the {name} inputs", found, hint) from error
