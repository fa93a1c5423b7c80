"""Movements: by how much one gradient step on a stepped sample moves the features of the observed ones.

The shared part of all engines: their results, their interface, and the loop of a probe over its blocks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from elastic.errors import ModelError
from elastic.losses import Loss, LossGradient, checked_gradient
from elastic.models.contract import TappedModel
from elastic.models.preservation import restored
from elastic.models.state import ModuleState
from elastic.probes.evaluation import probed
from elastic.probes.memory.plan import Cost, Plan

Layers = dict[str, Tensor]


@dataclass(frozen=True)
class Movements:
    """Movements of some observed samples under steps on some stepped ones, per unit learning rate.

    Attributes
    ----------
    stepped, observed
        Positions of the c stepped samples, and of the m observed ones in the order of the pass.
    moved
        Movement of each observed sample, [c, m, d] by layer.
    features
        Features of the observed samples before the step, [m, d] by layer.
    own
        Movement of each stepped sample itself, [c, d] by layer.
    gradient
        Gradient of the loss with respect to the stepped samples' features of ``layer``, along which the step is taken.
    scale
        [c] float64 factor by which ``moved`` and ``own`` have to be multiplied: mostly the norm of that
        gradient, which can be far below the range of float32.
    layer
        The layer that the loss reads.
    places
        [m] positions of the observed samples among all of them, if the pass has another order.
    """

    stepped: slice
    observed: slice
    moved: Layers
    features: Layers
    own: Layers
    gradient: LossGradient
    scale: Tensor
    layer: str
    places: Tensor | None = None

    @property
    def columns(self) -> slice | Tensor:
        """Positions of the observed samples among all of them, as an index."""
        return self.observed if self.places is None else self.places


class Engine(ABC):
    """An engine bound to a model: it takes steps on single samples and computes how they move others.

    Parameters
    ----------
    model
        In evaluation mode while it is probed.
    example
        One input [1, …].
    lr
        None for movements in the limit of a small step, −∂h(m)/∂θ · ∇ℓ(a); else the learning rate η > 0 of a finite
        one, (h(m; θ − η∇ℓ(a)) − h(m; θ)) / η.
    layer
        The layer that the loss reads, the output by default. ∇ℓ(a) is its Jacobian at a, transposed, times the loss's
        gradient by a's features there: parameters above it are not stepped.

    Raises
    ------
    ModelError
        If the engine does not support the model.
    """

    #: Best size in bytes of the largest tensor of a block, by type of device; unlimited without an entry.
    cached: ClassVar[dict[str, int]] = {}

    def __init__(self, model: TappedModel, example: Tensor, lr: float | None = None, layer: str | None = None) -> None:
        self.model, self.lr = model, lr
        self.layer = model.output if layer is None else layer
        #: State of the model while movements are computed; saving it takes longer than a pass of a small network.
        self.state: ModuleState | None = None

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Restore the model after one forward pass."""
        if self.state is None:
            with restored(self.model):
                yield
            return
        try:
            yield
        finally:
            self.state.restore()

    @abstractmethod
    def steps(self, inputs: Tensor, gradient: LossGradient) -> Any:
        """Return the steps on c samples alone: inputs [c, …], and the loss's gradient by their features."""

    @abstractmethod
    def moved(self, steps: Any, inputs: Tensor) -> tuple[Layers, Layers]:
        """Return the movements [c, m, d] and the features [m, d] of inputs [m, …], by layer."""

    @abstractmethod
    def own(self, steps: Any, inputs: Tensor, at_a_time: int) -> Layers:
        """Return each stepped sample's own movement [c, d] by layer, computed for this many samples at a time."""

    def apart(self, steps: Any) -> Any:
        """Return the same steps; values that passes along them derive and cache are not those of the given ones."""
        return steps

    @abstractmethod
    def features(self, inputs: Tensor) -> Layers:
        """Return the features [n, d] of inputs [n, …] by layer."""

    def scale(self, gradient: LossGradient) -> Tensor:
        """Return the factor [c] by which movements have to be multiplied."""
        return gradient.norm


def movements(
    stepping: Engine,
    loss: Loss,
    stepped: tuple[Tensor, Tensor],
    observed: Tensor,
    plan: Plan,
    order: Tensor | None = None,
) -> Iterator[Movements]:
    """Iterate over all pairs of samples in blocks: all observed samples for some stepped ones, then for the next.

    A block must be dropped before the next one is requested: the plan allows for one.

    Parameters
    ----------
    stepping
        The engine.
    loss
        Loss whose gradient defines the step; it reads the engine's layer.
    stepped
        Inputs [J, …] and labels [J]: each is stepped on alone. Together they are the loss's batch.
    observed
        Inputs [M, …].
    plan
        The sizes of the blocks.
    order
        [M] positions of the observed samples in the order of the pass; by default their own order.
    """
    inputs, _ = stepped
    with torch.no_grad(), probed(stepping.model) as state, _holding(stepping, state):
        whole = loss_gradient(stepping, loss, stepped, plan)
        for block in plan.blocks_of(len(inputs), plan.stepped):
            gradient = whole.rows(block)
            scale, steps = stepping.scale(gradient), stepping.steps(inputs[block], gradient)
            own = stepping.own(steps, inputs[block], plan.own)
            for columns in plan.blocks_of(len(observed), plan.observed):
                places = None if order is None else order[columns]
                moved, features = stepping.moved(steps, observed[columns if places is None else places])
                yield Movements(
                    block, columns, moved, features, own, gradient, scale, stepping.layer, places
                )  # fmt: skip
                del moved, features
            del steps, own  # before the next ones are computed


@contextmanager
def _holding(stepping: Engine, state: ModuleState) -> Iterator[None]:
    stepping.state = state
    try:
        yield
    finally:
        stepping.state = None


def with_coupling(cost: Cost, stepped: int, width: int) -> Cost:
    """Return the cost including that of a loss that couples its J samples, found by a `Ledger`: tables of all pairs."""
    return replace(cost, fixed=cost.fixed + 8 * stepped * (11 * stepped + 6 * width))


def loss_gradient(stepping: Engine, loss: Loss, stepped: tuple[Tensor, Tensor], plan: Plan) -> LossGradient:
    """Return the loss's gradient with respect to the features of all stepped samples, parameters as in `movements`.

    A loss may couple its samples. They enter it together, so that the choice of blocks changes no step.

    Raises
    ------
    ModelError
        If the engine was chosen for a loss of another layer, or the gradient differs from that of the user's loss.
    """
    inputs, labels = stepped
    layer = stepping.model.layer_of(loss.layer)
    if stepping.layer != layer:
        expected, found = f"step along features of {layer!r}, which the loss is of", repr(stepping.layer)
        raise ModelError("`engine`", expected, found, f"choose_engine(…, layer={layer!r})")
    blocks = plan.blocks_of(len(inputs), plan.stepped)
    features = torch.cat([stepping.features(inputs[block])[stepping.layer] for block in blocks])
    return checked_gradient(loss, features, labels)
