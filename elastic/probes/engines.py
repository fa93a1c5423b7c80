"""Which engine computes the movements: the structured one where it knows every part of the model, else autodiff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from elastic.errors import ModelError
from elastic.losses import LossGradient
from elastic.models.contract import TappedModel
from elastic.models.dry_run import first_line
from elastic.probes.autodiff import autodiff
from elastic.probes.batching import FAILURES
from elastic.probes.evaluation import probed
from elastic.probes.ledger import Ledger
from elastic.probes.movements import Engine
from elastic.probes.plan import Cost
from elastic.probes.structured import Structured, Unsupported
from elastic.uncompiled import stand_in_for_compiler

stand_in_for_compiler(torch)

EngineName = Literal["auto", "autodiff", "structured"]

ENGINES: dict[str, Callable[[TappedModel, Tensor, float | None, str], Engine]] = {
    "autodiff": autodiff,
    "structured": Structured,
}


@dataclass(frozen=True)
class EngineChoice:
    """The engine chosen for a model, with its cost as a trial measured it.

    Attributes
    ----------
    name
        "autodiff" or "structured".
    cost
        Bytes that a block takes.
    widths
        Number of features of each layer; the last is the output.
    layer
        The one that losses are of.
    reason
        Why the structured engine was not taken though it was free to be; "" otherwise.
    may_fall_back
        Whether the autodiff engine takes over where this one is found wrong.
    """

    name: str
    cost: Cost
    widths: dict[str, int]
    layer: str
    reason: str = ""
    may_fall_back: bool = False

    @property
    def couples(self) -> bool:
        """Whether losses are of features before the output, which makes the stepped samples one batch."""
        return self.layer != next(reversed(self.widths))

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name

    def at_work(self, model: TappedModel, example: Tensor, lr: float | None) -> Engine:
        """Return the engine bound to a model; parameters as in `Engine`."""
        return ENGINES[self.name](model, example, lr, self.layer)

    def fall_back(self, model: TappedModel, example: Tensor, finite: bool, reason: str) -> EngineChoice:
        """Return the autodiff engine for the same model, with the reason why this one was given up."""
        return replace(tried("autodiff", model, example, finite, self.layer), reason=reason)


def choose_engine(
    model: TappedModel, example: Tensor, *, engine: EngineName, finite: bool = False, layer: str | None = None
) -> EngineChoice:
    """Return the engine for a model; it serves for all probes of the model and inputs of the same shape.

    Parameters
    ----------
    model
        Is tried on ``example`` [1, …].
    engine
        "auto" takes the structured engine if it knows every part of the model; a name takes that one.
    finite
        Whether a finite step is asked for, which fewer parts have rules for.
    layer
        The one that losses are of (see `elastic.models.contract.TappedModel.layer_of`), the output by default.

    Raises
    ------
    ModelError
        If the structured engine is asked for by name and does not know a part, or autodiff cannot be had either.
    """
    layer = model.output if layer is None else layer
    if engine == "autodiff":
        return tried("autodiff", model, example, finite, layer)
    try:
        return replace(tried("structured", model, example, finite, layer), may_fall_back=engine == "auto")
    except Unsupported as unknown:
        reason = f"{unknown.field} has no rule of the structured engine: {unknown.found}"
    except FAILURES as error:
        reason = f"the structured engine cannot follow the model: {first_line(error)}"
    if engine == "structured":
        raise ModelError("`engine`", "know every part of the model", reason, "engine: auto")
    return replace(tried("autodiff", model, example, finite, layer), reason=reason)


def tried(name: str, model: TappedModel, example: Tensor, finite: bool, layer: str) -> EngineChoice:
    """Return an engine after a trial on one stepped sample, with one observed sample and with two.

    Raises
    ------
    Exception
        Whatever stops it.
    """
    lasting = Ledger()
    with lasting:
        stepping = ENGINES[name](model, example, 1e-3 if finite else None, layer)
    one, two = (course(stepping, example, observed) for observed in (1, 2))
    cost = Cost.of_timelines(one.timeline, two.timeline)
    with torch.no_grad(), probed(model):
        widths = {layer: features.shape[1] for layer, features in stepping.features(example).items()}
    grown = [second - first for first, second in zip(one.made, two.made, strict=False)]
    cached = stepping.cached.get(example.device.type)
    cost = replace(cost, fixed=lasting.live, widest=max(1, *grown), cached=cached)
    return EngineChoice(name, cost, widths, layer)


def course(stepping: Engine, example: Tensor, observed: int) -> Ledger:
    """Return the ledger of a step on one sample followed through two blocks of observed ones."""
    inputs, ledger = example.expand(observed, *example.shape[1:]).clone(), Ledger()
    with torch.no_grad(), probed(stepping.model):
        features = stepping.features(example)[stepping.layer].double()
        # No step is as short as this one: the trial then takes whatever short ones take.
        gradient = LossGradient(torch.full_like(features, features.shape[1] ** -0.5), features.new_zeros(1))
        with ledger:
            steps = stepping.steps(example, gradient)
            own = stepping.own(steps, example, 1)
            for _ in range(2):  # in the second, what is derived from the steps is there from the start
                moved = None
                moved = stepping.moved(steps, inputs)
        del own, moved
    return ledger
