"""Building a registered model for given data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from elastic.errors import ElasticError, ModelError, first_line
from elastic.models.contract import INPUT, Stages, TappedModel, Task
from elastic.models.dry_run import blank_batch, trial
from elastic.models.returned import version_of
from elastic.registry import registry


class LayerRow(NamedTuple):
    """Name, depth (0 is the input) and flattened width of a layer."""

    name: str
    depth: int
    width: int


def build_model(name: str, options: Mapping[str, Any], task: Task) -> TappedModel:
    """Initialise a registered model and check it by a forward pass on a batch of zeros.

    Only the initialisation uses the global random state; the forward pass changes neither it nor the model.

    Parameters
    ----------
    name
        Registered name.
    options
        Options of the protocol.
    task
        Shape of the inputs, number of classes, allowed modules.

    Raises
    ------
    UnknownName, OptionError
        If the model is unknown, or its options are invalid.
    ModelError
        If building or running it fails, or it does not return [n, K] logits and the features of its layers.
    """
    entry = registry("models").get(name)
    complete = entry.complete(options)
    try:
        model = entry.function(task, **complete)
        if not isinstance(model, TappedModel):
            raise ModelError(f"model `{name}`", "be a TappedModel", type(model).__name__, "elastic.models.taps.tap")
        _check_outputs(name, model, task)
    except ElasticError:
        raise
    except Exception as error:
        hint = f"other options (elastic show {name})"
        raise ModelError(
            f"model `{name}`", f"run on inputs of shape {task.input_shape}", first_line(error), hint
        ) from error
    return model


def layer_table(model: TappedModel, input_shape: tuple[int, ...]) -> list[LayerRow]:
    """Return the layers in the order of depth, the input first.

    Examples
    --------
    >>> from elastic.models.mlp import mlp
    >>> for row in layer_table(mlp(Task((1, 8, 8), classes=10), widths=[20, 30]), (1, 8, 8)):
    ...     print(*row)
    input 0 64
    hidden_1 1 20
    penultimate 2 30
    logits 3 10
    """
    return layers_on(model, blank_batch(model, input_shape))


def layers_on(model: TappedModel, example: Tensor) -> list[LayerRow]:
    """Return the layers in the order of depth, the input first, by a forward pass on an example [n, …]."""
    with trial(model):
        entering, features = model.entering(example), model.taps(example)
    rows = [LayerRow(INPUT, 0, entering[0].numel())]
    return rows + [LayerRow(name, depth, f[0].numel()) for depth, (name, f) in enumerate(features.items(), start=1)]


def _check_stages(name: str, model: Stages, batch: Tensor) -> None:
    """Raise a ModelError if a stage overwrites the features of the one before it, or the inputs."""
    features, before = batch.clone(), INPUT
    with trial(model):
        for stage, module in model.stages.items():
            version, entering = version_of(features), features
            features = module(entering)
            if version_of(entering) != version:
                found = f"a stage {stage!r} that overwrites them"
                raise ModelError(f"model `{name}`: features of {before!r}", "stay as they are", found, "inplace=False")
            before = stage


def _check_outputs(name: str, model: TappedModel, task: Task) -> None:
    batch = blank_batch(model, task.input_shape)
    of_loss = "one a class" if task.loss_outputs is None else "which the loss reads"
    if isinstance(model, Stages):
        _check_stages(name, model, batch)
    with trial(model):
        logits, features = model(batch), model.taps(batch)
    if logits.shape != (len(batch), task.outputs):
        raise ModelError(
            f"model `{name}`", f"give {task.outputs} logits for each input, {of_loss}",
            f"shape {tuple(logits.shape)} for {len(batch)} inputs", f"an output layer of width {task.outputs}",
        )  # fmt: skip
    if tuple(features) != model.layers:
        raise ModelError(
            f"model `{name}`", f"give features of its layers {model.layers}", f"{tuple(features)}",
            "the same names in `layers` and `taps`",
        )  # fmt: skip
