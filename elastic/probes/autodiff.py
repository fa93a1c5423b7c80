r"""The autodiff engine, for every model that torch can differentiate in forward mode.

Each stepped sample's gradient is taken once, and all observed samples' movements along it are a Jacobian–vector
product; both are vmapped over as many stepped samples as the memory budget allows. If vmap does not support a model,
it is stepped on one sample at a time (`batching.Batching`), with plain autograd and plain forward derivatives.

A finite step is taken in float64 and subtracted. Where it moves features by a share s of their size, the difference
is off by ε/s (ε = 2⁻⁵²), and at s = ε it is only rounding. The derivative along the step, used instead,
is off by s in a smooth model; with kinks, by those of some share s of the units that cross theirs, which is √s in
norm. The two meet at s = ε^{2/3}, where they are ε^{1/3} = 6e-6: below, the derivative is given; above, the difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp

from elastic.errors import AllFrozen, ModelError, first_line
from elastic.losses import LossGradient
from elastic.models.contract import TappedModel
from elastic.models.precision import double, in_float64
from elastic.models.preservation import restored
from elastic.probes.batching import FAILURES, Batching
from elastic.probes.engine import Engine, Layers
from elastic.probes.evaluation import probed
from elastic.probes.features import rows
from elastic.probes.movement_pass import MovementPass

Parameters = dict[str, Tensor]

#: The share of the features below which a movement is not computed as a difference.
SUBTRACTED = torch.finfo(torch.float64).eps ** (2 / 3)


class Autodiff(Engine):
    """First-order movements as Jacobian–vector products; a step holds a tangent of all parameters."""

    # Measured on CPUs: convolutions of larger blocks take twice as long.
    cached: ClassVar[dict[str, int]] = {"cpu": 2**24}

    def __init__(self, model: TappedModel, example: Tensor, lr: float | None = None, layer: str | None = None) -> None:
        super().__init__(model, example, lr, layer)
        self.parameters = trained_parameters(model)
        self.batching = Batching()

    def steps(self, inputs: Tensor, gradient: LossGradient) -> Parameters:
        """Return the steps [c, …] by parameter, along the unit gradient of the loss."""
        seeds = gradient.direction.to(widest_type(self.parameters.values()))
        return descent(self.model, self.layer, self.parameters, inputs, seeds, self.batching)

    def moved(self, steps: Parameters, inputs: Tensor) -> tuple[Layers, Layers]:
        """Return movements and features."""
        return self.follow(steps, inputs, None), self.features(inputs)

    def own(self, steps: Parameters, inputs: Tensor, at_a_time: int) -> Layers:
        """Return own movements, of all samples at once: they are as many as those of one observed sample."""
        return {layer: moved.squeeze(1) for layer, moved in self.follow(steps, inputs[:, None], 0).items()}

    def features(self, inputs: Tensor) -> Layers:
        """Return features; buffers and inputs are not changed."""
        return layer_features(self.model, {}, inputs)

    def follow(self, steps: Parameters, inputs: Tensor, in_dim: int | None) -> Layers:
        """Return movements [c, n, d] of inputs [n, …], or, where ``in_dim`` is 0, [c, n, …]."""
        followed: Layers = self.batching("derivative", self._along, (0, in_dim), steps, inputs, one=self._along_one)
        return followed

    def _along(self, step: Parameters, inputs: Tensor) -> Layers:
        def features(parameters: Parameters) -> Layers:
            with MovementPass():  # inside of jvp, whose own functions need not be followed
                return layer_features(self.model, parameters, inputs)

        moved: Layers = jvp(features, (self.parameters,), (step,))[1]
        return moved

    def _along_one(self, step: Parameters, inputs: Tensor) -> Layers:
        """Return the same without torch.func, which has its own limitations."""
        with forward_ad.dual_level(), MovementPass():
            parameters = {n: forward_ad.make_dual(p, step[n]) for n, p in self.parameters.items()}
            features = layer_features(self.model, parameters, inputs)
            pairs = {layer: forward_ad.unpack_dual(h) for layer, h in features.items()}
        return {
            layer: torch.zeros_like(h.primal) if h.tangent is None else h.tangent.detach() for layer, h in pairs.items()
        }


class FiniteAutodiff(Autodiff):
    """Movements by finite steps, computed in float64 and subtracted, or differentiated if too small for that."""

    def __init__(self, model: TappedModel, example: Tensor, lr: float, layer: str | None = None) -> None:
        super().__init__(model, example, lr, layer)
        # The model keeps its precision and its weights: each pass uses copies in float64.
        self.parameters = {name: double(p) for name, p in self.parameters.items()}
        self.rate = lr
        try:
            with torch.no_grad(), probed(model):
                self.features(example)
        except FAILURES as error:
            hint = "update: first_order, which needs no float64"
            raise ModelError("`model`", "run in float64 for a finite step", first_line(error), hint) from error

    def steps(self, inputs: Tensor, gradient: LossGradient) -> Parameters:
        """Return the steps [c, …] by parameter, along the gradient of the loss with its norm."""
        direction, norm = gradient.direction * gradient.norm[:, None], torch.ones_like(gradient.norm)
        with in_float64(self.model):
            return super().steps(double(inputs), LossGradient(direction, norm))

    def follow(self, steps: Parameters, inputs: Tensor, in_dim: int | None) -> Layers:
        """Return movements [c, n, d]: differences, and derivatives instead of those dominated by rounding."""
        inputs = double(inputs)
        with in_float64(self.model):
            moved, drowned = self.batching("difference", self._difference, (0, in_dim), steps, inputs)
            if not any(bool(some.any()) for some in drowned.values()):
                return {layer: moved[layer] for layer in drowned}
            derived = super().follow(steps, inputs, in_dim)
        return {layer: torch.where(drowned[layer], derived[layer], moved.pop(layer)) for layer in derived}

    def _difference(self, step: Parameters, inputs: Tensor) -> tuple[Layers, Layers]:
        """Return the difference over the learning rate [n, d], and where it is dominated by rounding [n, 1]."""
        before = layer_features(self.model, self.parameters, inputs)
        after = layer_features(self.model, {n: p + self.rate * step[n] for n, p in self.parameters.items()}, inputs)
        moved = {layer: after.pop(layer) - h for layer, h in before.items()}
        drowned = {layer: _norm(moved[layer]) < SUBTRACTED * _norm(h) for layer, h in before.items()}
        return {layer: change / self.rate for layer, change in moved.items()}, drowned

    def features(self, inputs: Tensor) -> Layers:
        """Return features in float64."""
        with in_float64(self.model):
            return super().features(double(inputs))

    def scale(self, gradient: LossGradient) -> Tensor:
        """Return ones: the steps are not scaled."""
        return torch.ones_like(gradient.norm)


def autodiff(model: TappedModel, example: Tensor, lr: float | None = None, layer: str | None = None) -> Autodiff:
    """Return the engine bound to a model: parameters as in `Engine`."""
    return Autodiff(model, example, layer=layer) if lr is None else FiniteAutodiff(model, example, lr, layer)


def _norm(rows: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return norm


def trained_parameters(model: nn.Module) -> Parameters:
    """Return the parameters that a training step changes: all except frozen ones.

    Raises
    ------
    AllFrozen
        If every parameter is frozen.
    """
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise AllFrozen(
            "`model`", "have parameters that a step moves", "none with requires_grad", "model.requires_grad_()"
        )
    return parameters


def widest_type(parameters: Iterable[Tensor]) -> torch.dtype:
    """Return the real type in which no parameter's numbers lose digits.

    >>> widest_type([torch.ones(1, dtype=torch.bfloat16), torch.ones(1), torch.ones(1, dtype=torch.complex64)])
    torch.float32
    """
    return reduce(torch.promote_types, (p.dtype.to_real() for p in parameters))


def descent(
    model: TappedModel, layer: str, parameters: Parameters, inputs: Tensor, seeds: Tensor, batching: Batching
) -> Parameters:
    """Return each sample's step −∇⟨features, seed⟩ in a layer as parameters [c, …], for inputs [c, …], seeds [c, d]."""

    def towards(p: Parameters, x: Tensor, seed: Tensor) -> Tensor:
        return -(layer_features(model, p, x[None])[layer][0] * seed).sum()

    def one(p: Parameters, x: Tensor, seed: Tensor) -> Parameters:
        leaves = {name: value.detach().clone().requires_grad_() for name, value in p.items()}
        with torch.enable_grad():
            along = towards(leaves, x, seed)
        if not along.requires_grad:
            return {name: torch.zeros_like(value) for name, value in p.items()}
        gradients = torch.autograd.grad(along, list(leaves.values()), materialize_grads=True)
        return {name: gradient.to_dense() for name, gradient in zip(leaves, gradients, strict=True)}

    steps: Parameters = batching("gradient", grad(towards), (None, 0, 0), parameters, inputs, seeds, one=one)
    return steps


def layer_features(model: TappedModel, parameters: Parameters, inputs: Tensor) -> Layers:
    """Return the features [n, d] of every layer under other parameters.

    Buffers and inputs are copied: a forward pass that writes into them changes neither them nor the next pass.
    """
    buffers = {f"model.{name}": buffer.clone() for name, buffer in model.named_buffers()}
    given = buffers | {f"model.{name}": p for name, p in parameters.items()}
    versions = _versions(parameters)
    with restored(model, values=False):
        taps = functional_call(Taps(model), given, (inputs.clone(),))
    if _versions(parameters) != versions:
        raise RuntimeError("the model writes into its parameters in the forward pass")
    return {layer: rows(features) for layer, features in taps.items()}


def _versions(parameters: Parameters) -> list[int]:
    with torch._C.DisableTorchFunction():  # hidden from an engine's own mode
        return [p._version for p in parameters.values()]


class Taps(nn.Module):
    """The model with its taps as its output: `functional_call` calls `forward`."""

    def __init__(self, model: TappedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Layers:
        """Return the taps."""
        return self.model.taps(inputs)
