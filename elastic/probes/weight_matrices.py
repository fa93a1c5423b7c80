"""The weight matrix that leads to each layer, and its inputs, found by observing forward passes.

A module has a weight matrix if it is an ``nn.Linear``, a convolution (transposed or not) or an
``nn.MultiheadAttention``. That of a layer is the first one to run inside the submodule whose output is the layer; where
that has none, the first one to run since the layer before. The first, because it reads the features of the layer
before: in a residual block it is the first convolution of the body, in a transformer block the projection to queries,
keys and values. Matrices that are applied in another way (``F.linear`` with a parameter, ``nn.Bilinear``, recurrent
layers) are not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.contract import TappedModel
from elastic.probes.evaluation import probed

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED_CONVOLUTIONS = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
MATRICES = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED_CONVOLUTIONS)

#: Called with a module, the index of its run in this forward pass (0 first), and its inputs.
OnRun = Callable[[nn.Module, int, Any], None]


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """A module with a weight matrix, in one of its runs in a forward pass.

    Attributes
    ----------
    module, run
        The module, and the index of its run that leads to the layer, 0 first: a module may run in several layers.
    weights
        [rows, columns] as that run applies them; those that a hook or a parametrisation computes (weight norm, spectral
        norm) are the computed ones.
    takes_vectors
        Whether it is a linear module whose input is one vector per sample: then its input has class means.
    """

    module: nn.Module
    run: int
    weights: Tensor
    takes_vectors: bool


def weight_matrices(model: TappedModel, example: Tensor) -> dict[str, WeightMatrix]:
    """Return the weight matrix of each layer that has one.

    Parameters
    ----------
    model
        Runs once in evaluation mode and is restored.
    example
        Inputs [n, …] of the forward pass.

    Examples
    --------
    >>> from elastic.models.taps import Tapped
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4))
    >>> found = weight_matrices(Tapped(net, ["1", "2"]), torch.zeros(5, 1, 4, 4))
    >>> {layer: (tuple(matrix.weights.shape), matrix.takes_vectors) for layer, matrix in found.items()}
    {'1': ((2, 9), False), 'logits': ((4, 8), True)}
    """
    waiting: list[WeightMatrix] = []
    matrices: dict[str, WeightMatrix] = {}
    layers: dict[nn.Module, list[str]] = {}
    for layer, module in model.layer_modules().items():
        layers.setdefault(module, []).append(layer)

    def enter(module: nn.Module, run: int, entering: Any) -> None:
        weights = matrix_of(module).clone()
        waiting.append(WeightMatrix(module, run, weights, _is_vectors(module, entering, len(example))))

    def leave(module: nn.Module, *_: Any) -> None:
        if not layers[module]:
            return
        layer = layers[module].pop(0)  # a stage that serves as several layers returns them in their order
        inside = set(module.modules())
        own = [matrix for matrix in waiting if matrix.module in inside] or waiting
        if own:
            matrices[layer] = own[0]
        waiting.clear()

    with torch.no_grad(), probed(model), _watched(model, enter):
        handles = [module.register_forward_hook(leave) for module in layers]
        try:
            model(example.clone())
        finally:
            for handle in handles:
                handle.remove()
    return {layer: matrices[layer] for layer in model.layers if layer in matrices}


class MatrixInputs:
    """A re-iterable stream of ``({layer: vectors that enter its weight matrix [b, d]}, labels [b])`` of a model.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    matrices
        By layer; all take vectors.
    inputs, labels
        [n, …] and [n] on the model's device.
    memory_budget
        Most bytes that the vectors of a batch may use, in float64 and with their residuals.
    """

    def __init__(
        self,
        model: TappedModel,
        matrices: Mapping[str, WeightMatrix],
        inputs: Tensor,
        labels: Tensor,
        memory_budget: int = 2**30,
    ) -> None:
        self.model, self.matrices = model, matrices
        self.inputs, self.labels = inputs, labels
        width = sum(matrix.weights.shape[1] for matrix in matrices.values())
        self._batch = max(1, min(len(labels), 4096, memory_budget // (64 * width)))

    def __call__(self) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Pass over all samples once, in order.

        Raises
        ------
        ModelError
            If a matrix is not applied to one vector per sample, as when it was found.
        """
        for inputs, labels in zip(self.inputs.split(self._batch), self.labels.split(self._batch), strict=True):
            yield self._read(inputs), labels

    def _read(self, inputs: Tensor) -> dict[str, Tensor]:
        entered: dict[tuple[nn.Module, int], Tensor] = {}

        def keep(module: nn.Module, run: int, entering: Any) -> None:
            if (module, run) in wanted and _is_vectors(module, entering, len(inputs)):
                entered[module, run] = entering.detach().clone()  # a copy: later code may work in place

        wanted = {(matrix.module, matrix.run) for matrix in self.matrices.values()}
        with torch.no_grad(), probed(self.model), _watched(self.model, keep):
            self.model(inputs.clone())
        for layer, matrix in self.matrices.items():
            if (matrix.module, matrix.run) not in entered:
                expected = "be led to by the same weights, applied in the same way, in every forward pass"
                raise ModelError(f"layer `{layer}`", expected, "a pass in which it is not", "probes: {weights: null}")
        return {layer: entered[matrix.module, matrix.run] for layer, matrix in self.matrices.items()}


@contextmanager
def _watched(model: nn.Module, on_run: OnRun) -> Iterator[None]:
    """Call ``on_run`` before each run of a module with a weight matrix."""
    runs: Counter[nn.Module] = Counter()

    def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], *, first: str) -> None:
        on_run(module, runs[module], arguments[0] if arguments else named.get(first))
        runs[module] += 1

    handles = [
        module.register_forward_pre_hook(partial(hook, first=_first_argument(module)), with_kwargs=True)
        for module in model.modules()
        if matrix_of(module).numel() > 0
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _first_argument(module: nn.Module) -> str:
    return "query" if isinstance(module, nn.MultiheadAttention) else "input"


def matrix_of(module: nn.Module) -> Tensor:
    """Return a module's weights as a matrix [rows, columns], without rows if it has none.

    A convolution's are [out, in/groups·k], one row per output channel; an attention's map to queries, keys and values.

    >>> matrix_of(nn.Conv2d(4, 6, 3, groups=2)).shape, matrix_of(nn.ReLU()).shape
    (torch.Size([6, 18]), torch.Size([0, 0]))
    """
    weights: Tensor | None = None
    if isinstance(module, nn.MultiheadAttention):
        weights = module.in_proj_weight
    elif isinstance(module, MATRICES):
        weights = module.weight
    if not isinstance(weights, Tensor) or not weights.is_floating_point():
        return torch.empty(0, 0)
    by_output = weights.transpose(0, 1) if isinstance(module, TRANSPOSED_CONVOLUTIONS) else weights
    return by_output.detach().flatten(1)


def _is_vectors(module: nn.Module, entering: Any, count: int) -> bool:
    return (
        isinstance(module, nn.Linear)
        and isinstance(entering, Tensor)
        and entering.shape == (count, module.in_features)
        and entering.is_floating_point()
    )
