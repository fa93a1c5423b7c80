"""The interface of models, and their registration.

A model is a function with the decorator `model` that takes a `Task` and returns a `TappedModel`: an ``nn.Module`` that
returns logits and, from `taps`, the features of every named layer in the order of depth. The last layer is the output,
whatever its name. Built-in models are `Stages`: chains in which the output of each named stage is a layer. Their last
two layers are ``penultimate`` and ``logits``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.registry import registry

#: Default name of the output layer: for built-in models, and if no named submodule returns the output.
LOGITS = "logits"
#: Name of layer 0, the input of the model.
INPUT = "input"

#: Function ``(task, *, options) -> TappedModel``.
ModelFunction = Callable[..., "TappedModel"]


@dataclass(frozen=True, eq=False)
class Task:
    """Properties of the data that determine a model.

    Attributes
    ----------
    input_shape
        Shape of one input, without the batch: (features,) or (channels, height, width).
    classes
        Number of classes K.
    labels
        [N] labels of the train samples in order, for models with parameters per sample.
    allowed
        Modules from which the command line allows importing code.
    loss_outputs
        Number of logits that the loss uses, if it is not one per class: 1 for two classes.
    """

    input_shape: tuple[int, ...]
    classes: int
    allowed: tuple[str, ...] = ()
    labels: Tensor | None = None
    loss_outputs: int | None = None

    @property
    def outputs(self) -> int:
        """Number of logits: K, or as many as the loss uses.

        >>> Task((3,), classes=2).outputs, Task((3,), classes=2, loss_outputs=1).outputs
        (2, 1)
        """
        return self.classes if self.loss_outputs is None else self.loss_outputs


class TappedModel(nn.Module, ABC):
    """A classifier with named layers.

    ``forward`` maps inputs [n, …] to logits [n, K]; `taps` returns the features of every layer in their own shapes, in
    the order of depth.
    """

    @abstractmethod
    def taps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return the features [n, …] of each layer, from the first (depth 1) to the output (depth L)."""

    def entering(self, inputs: Tensor) -> Tensor:
        """Return the features of layer 0 [n, …]: the inputs, or the samples that integer inputs index.

        A model whose samples are not a single array takes indices of samples (`elastic.batches.table.Table`).
        """
        return inputs

    @property
    @abstractmethod
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in the order of depth; the last is the output, whose features are the logits."""

    @property
    def output(self) -> str:
        """Name of the output layer, the last of `layers`."""
        return self.layers[-1]

    @property
    def penultimate(self) -> str | None:
        """Name of the layer before the output, the input of the classifier; None if there is none."""
        return self.layers[-2] if len(self.layers) > 1 else None

    def layer_of(self, loss: Literal["logits", "penultimate"]) -> str:
        """Return this model's name of the layer that a loss is a function of: its output, or the layer before it.

        Raises
        ------
        ModelError
            If it is the layer before the output, and there is none.
        """
        if loss == "logits":
            return self.output
        if self.penultimate is None:
            expected = "have a layer before the logits, whose features the loss is of"
            raise ModelError("`model`", expected, "logits alone", "naming it in `layers`, or a loss of the logits")
        return self.penultimate

    def stage_parameters(self, layer: str) -> Iterator[nn.Parameter]:
        """Yield the parameters between a layer and the previous one, if the model separates them."""
        yield from ()

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return for each layer the module whose output it is, if known."""
        return {}

    def project(self) -> None:
        """Project the parameters onto the model's constraint set; called after every step."""

    def next_weights(self) -> dict[str, nn.Linear]:
        """Return for each layer whose flattened features are the input of an ``nn.Linear`` that module."""
        return {}

    def last_weights(self) -> nn.Linear | None:
        """Return the ``nn.Linear`` from the penultimate features to the logits, None if there is none."""
        return self.next_weights().get(self.penultimate or "")


class Stages(TappedModel):
    """A chain of named stages; the output of each is a layer.

    Parameters
    ----------
    stages
        Modules by layer name, in the order of depth; the last two are ``penultimate`` and ``logits``.

    Raises
    ------
    ValueError
        If the last two names are others.

    Examples
    --------
    >>> import torch
    >>> net = Stages({"penultimate": nn.Sequential(nn.Linear(4, 3), nn.ReLU()), "logits": nn.Linear(3, 2)})
    >>> {layer: tuple(f.shape) for layer, f in net.taps(torch.zeros(5, 4)).items()}
    {'penultimate': (5, 3), 'logits': (5, 2)}
    >>> list(net.next_weights())
    ['penultimate']
    """

    def __init__(self, stages: Mapping[str, nn.Module]) -> None:
        super().__init__()
        if tuple(stages)[-2:] != ("penultimate", LOGITS):
            raise ValueError(f"the last two stages should be penultimate and logits; found {tuple(stages)[-2:]}")
        self.stages = nn.ModuleDict(stages)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the stages."""
        return tuple(self.stages)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits [n, K] of inputs [n, …]."""
        for stage in self.stages.values():
            inputs = stage(inputs)
        return inputs

    def taps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Return each stage's output [n, …]."""
        features = {}
        for name, stage in self.stages.items():
            features[name] = inputs = stage(inputs)
        return features

    def stage_parameters(self, layer: str) -> Iterator[nn.Parameter]:
        """Yield the parameters of the stage whose output is the layer."""
        yield from self.stages[layer].parameters()

    def layer_modules(self) -> dict[str, nn.Module]:
        """Return the stages."""
        return dict(self.stages)

    def next_weights(self) -> dict[str, nn.Linear]:
        """Return the first module of each stage's successor if it is linear (possibly after flattening)."""
        following = {}
        names = self.layers
        for name, successor in pairwise(names):
            leaves = [m for m in self.stages[successor].modules() if not list(m.children())]
            first = next((m for m in leaves if not isinstance(m, (nn.Flatten, nn.Identity))), None)
            if isinstance(first, nn.Linear):
                following[name] = first
        return following


def model(name: str | None = None) -> Callable[[ModelFunction], ModelFunction]:
    """Register a function ``(task: Task, *, options) -> TappedModel`` as a model."""
    return registry("models").register(name)
