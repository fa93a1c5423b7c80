"""Choice of the engine that computes the movements: the structured one if it supports the model, else autodiff."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from elastic.errors import ModelError, first_line
from elastic.losses import LossGradient
from elastic.models.contract import TappedModel
from elastic.probes.autodiff import autodiff
from elastic.probes.batching import FAILURES
from elastic.probes.engine import Engine
from elastic.probes.evaluation import probed
from elastic.probes.memory.ledger import Ledger
from elastic.probes.memory.plan import Cost
from elastic.probes.structured import Structured, Unsupported
from elastic.uncompiled import stand_in_for_compiler

stand_in_for_compiler(torch)

EngineName = Literal["auto", "autodiff", "structured"]

#: Modules for which the autodiff engine is faster on a GPU.
CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip

ENGINES: dict[str, Callable[[TappedModel, Tensor, float | None, str], Engine]] = {
    "autodiff": autodiff,
    "structured": Structured,
}


@dataclass(frozen=True)
class EngineChoice:
    """The engine chosen for a model, with its cost from a trial.

    Attributes
    ----------
    name
        "autodiff" or "structured".
    cost
        Bytes of a block.
    widths
        Number of features of each layer; the last is the output.
    layer
        The layer that the loss reads.
    reason
        Why the structured engine was not chosen although the choice was free; "" otherwise.
    may_fall_back
        Whether the autodiff engine replaces this one if it is found wrong.
    """

    name: str
    cost: Cost
    widths: dict[str, int]
    layer: str
    reason: str = ""
    may_fall_back: bool = False

    @property
    def couples(self) -> bool:
        """Whether the loss reads features before the output, so that the stepped samples form one batch."""
        return self.layer != next(reversed(self.widths))

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name

    def at_work(self, model: TappedModel, example: Tensor, lr: float | None) -> Engine:
        """Return the engine bound to a model; parameters as in `Engine`."""
        return ENGINES[self.name](model, example, lr, self.layer)

    def fall_back(self, model: TappedModel, example: Tensor, finite: bool, reason: str) -> EngineChoice:
        """Return the autodiff engine for the same model, with the reason for replacing this one."""
        return replace(tried("autodiff", model, example, finite, self.layer), reason=reason)


def prefers_autodiff(model: nn.Module, device: torch.device, *, finite: bool = False) -> bool:
    """Whether the autodiff engine is faster for a model on a device.

    Measured on an H100: 1.3 times as fast as the structured engine for a CNN, twice for ResNet-18, and about as fast
    for an MLP. For finite steps the structured engine is preferred, which is exact however small they are.

    >>> net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
    >>> [prefers_autodiff(net, torch.device(name)) for name in ("cpu", "cuda")]
    [False, True]
    """
    return device.type == "cuda" and not finite and any(isinstance(m, CONVOLUTIONS) for m in model.modules())


def choose_engine(
    model: TappedModel,
    example: Tensor,
    *,
    engine: EngineName,
    finite: bool = False,
    layer: str | None = None,
    memory_budget: int | None = None,
) -> EngineChoice:
    """Return the engine for a model; it can be used by all probes of the model with inputs of the same shape.

    Parameters
    ----------
    model
        Model to try on ``example`` [1, …].
    engine
        "auto" selects the structured engine if it supports every part of the model, and the autodiff engine if that is
        faster (`prefers_autodiff`); a name selects that engine.
    finite
        Whether a finite step is requested, for which fewer parts have rules.
    layer
        The layer that the loss reads (see `elastic.models.contract.TappedModel.layer_of`), the output by default.
    memory_budget
        Most bytes that a probe may use: the autodiff engine, which holds a tangent of all parameters, is preferred only
        if one pair of samples takes less than half of them (0: never). None: unlimited.

    Raises
    ------
    ModelError
        If the structured engine is requested by name and does not support a part, or autodiff is not possible either.
    """
    layer = model.output if layer is None else layer
    if engine == "autodiff":
        return tried("autodiff", model, example, finite, layer)
    if engine == "auto" and prefers_autodiff(model, example.device, finite=finite):
        faster = _faster(model, example, layer, memory_budget)
        if faster is not None:
            return faster
    try:
        return replace(tried("structured", model, example, finite, layer), may_fall_back=engine == "auto")
    except Unsupported as unknown:
        reason = f"{unknown.field} has no rule of the structured engine: {unknown.found}"
    except FAILURES as error:
        reason = f"the structured engine cannot follow the model: {first_line(error)}"
    if engine == "structured":
        raise ModelError("`engine`", "know every part of the model", reason, "engine: auto")
    return replace(tried("autodiff", model, example, finite, layer), reason=reason)


def _faster(model: TappedModel, example: Tensor, layer: str, memory_budget: int | None) -> EngineChoice | None:
    """Return the autodiff engine if it supports the model within the budget, else None."""
    try:
        autodiff = tried("autodiff", model, example, False, layer)
    except (ModelError, *FAILURES):
        return None
    if memory_budget is not None and autodiff.cost.peak(1, 1) > memory_budget // 2:
        return None
    return replace(autodiff, reason="the faster engine for convolutions on a GPU")


def tried(name: str, model: TappedModel, example: Tensor, finite: bool, layer: str) -> EngineChoice:
    """Return an engine after a trial on one stepped sample, with one observed sample and with two.

    Raises
    ------
    Exception
        Any error of the trial.
    """
    lasting = Ledger()
    with lasting:
        stepping = ENGINES[name](model, example, 1e-3 if finite else None, layer)
    with torch.no_grad(), probed(model):
        features = stepping.features(example)
        one, two = courses(stepping, example, features[layer].double())
    widths = {name: of_layer.shape[1] for name, of_layer in features.items()}
    cost = Cost.of_timelines(one.timeline, two.timeline)
    grown = [second - first for first, second in zip(one.made, two.made, strict=False)]
    cached = stepping.cached.get(example.device.type)
    cost = replace(cost, fixed=lasting.live, widest=max(1, *grown), cached=cached)
    return EngineChoice(name, cost, widths, layer)


@dataclass(frozen=True)
class Course:
    """Bytes of a step on one sample with two blocks of observed ones, operation by operation, as in `Ledger`."""

    timeline: list[int]
    made: list[int]


def courses(stepping: Engine, example: Tensor, features: Tensor) -> Iterator[Course]:
    """Iterate over the courses with one observed sample a block and with two, which have the step in common.

    Parameters
    ----------
    stepping
        The engine, whose model is in evaluation mode.
    example
        The stepped sample, and all observed ones.
    features
        Those of the example [1, d] in float64, in the layer that the loss reads.
    """
    # No step is as short as this one: the trial then uses the method for short steps.
    gradient = LossGradient(torch.full_like(features, features.shape[1] ** -0.5), features.new_zeros(1))
    stepped = Ledger()
    with stepped:
        steps = stepping.steps(example, gradient)
        own = stepping.own(steps, example, 1)
    for observed in (1, 2):
        inputs, apart, ledger = example.expand(observed, *example.shape[1:]).clone(), stepping.apart(steps), Ledger()
        with ledger:
            stepping.moved(apart, inputs)
            # A second pass takes other bytes only if the first one kept values that it derived from the steps.
            alike = 1 if ledger.live else 2  # passes of which each has the bytes that the ledger has counted
            if alike == 1:
                stepping.moved(apart, inputs)
        del apart
        timeline = [stepped.live + bytes_ for bytes_ in ledger.timeline * alike]
        yield Course(stepped.timeline + timeline, stepped.made + ledger.made * alike)
    del own
