"""The update-response probe: movements of all pairs, reduced layer by layer to an `UpdateResponse`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from elastic.losses import Loss
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.probes.aggregation import LayerReader, kept_residuals, with_reading
from elastic.probes.engine import Movements, movements, with_coupling
from elastic.probes.engine_selection import EngineChoice, EngineName, choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.features import flat_taps
from elastic.probes.grouping import Grouping, class_means
from elastic.probes.loss_reader import LossReader, with_losses
from elastic.probes.memory.plan import Plan
from elastic.probes.verification import Witness


def update_responses(
    model: TappedModel,
    loss: Loss,
    stepped: tuple[Tensor, Tensor],
    observed: tuple[Tensor, Tensor],
    *,
    classes: int,
    groups: Tensor | None = None,
    lr: float | None = None,
    same: Tensor | None = None,
    engine: EngineChoice | EngineName = "auto",
    memory_budget: int = 2**30,
    witness: Witness | None = None,
    observed_targets: Tensor | None = None,
    losses: dict[str, Any] | None = None,
) -> dict[str, UpdateResponse]:
    """Probe how a step on each stepped sample alone moves every observed sample, in every layer.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    loss
        Loss whose gradient defines the step, one stepped sample at a time; all of them are its batch.
    stepped, observed
        Inputs [J, …], [M, …] and labels [J], [M].
    classes
        Number of classes K that responses are averaged over.
    groups
        [J] class of each stepped sample, if the labels, which the loss needs, number the classes differently.
    lr
        None for the first-order movement; else the learning rate of a finite step.
    same
        [J, M] bool, True if a stepped and an observed sample are the same one; such a pair is not counted.
    engine
        A chosen one (see `elastic.probes.engine_selection`), or "auto", "autodiff" or "structured".
    memory_budget
        Most bytes that the probe may use, beyond model and samples.
    witness
        Stores the movements of some pairs, to be verified.
    observed_targets
        [M, …] targets of the observed samples for the loss, if they differ from their labels.
    losses
        Filled with the readings of a `LossReader`: effects of steps on losses and outputs of observed samples.

    Returns
    -------
    dict
        An `UpdateResponse` for each layer, in the order of depth.

    Raises
    ------
    ModelError
        If the model cannot be probed, or not within the memory budget.
    """
    example = observed[0][:1]
    if not isinstance(engine, EngineChoice):
        engine = _chosen(engine, model, loss, example, lr, memory_budget)
    counted = torch.ones(len(stepped[1]), len(observed[1]), dtype=torch.bool, device=observed[1].device)
    if same is not None:
        counted &= ~same
    plan = planned(engine, counted, classes, memory_budget, losses=losses is not None)
    stepping = engine.at_work(model, example, lr)
    rows = stepped[1] if groups is None else groups
    grouping = Grouping(observed[1], classes, counted)
    means: dict[str, Tensor] = {}
    if plan.observed < len(observed[1]):
        with torch.no_grad(), probed(model):
            means = class_means(stepping, *observed, classes, plan.batch)

    def reader(layer: str, features: Tensor) -> LayerReader:
        # If a block has all observed samples, their means are those of its features.
        of_layer = means.pop(layer) if layer in means else grouping.means(features)
        return LayerReader(of_layer, rows, observed[1], grouping, keeps=plan.keeps)

    blocks = movements(stepping, loss, stepped, observed[0], plan, grouping.order)
    reads = None
    if losses is not None:
        targets = observed[1] if observed_targets is None else observed_targets
        reads = LossReader(loss, rows, (observed[1], targets), counted, classes, engine.widths[engine.layer])
    responses = read(blocks, reader, len(rows), witness, reads)
    if losses is not None and reads is not None:
        losses.clear()
        losses.update(reads.result())
    return {layer: responses[layer] for layer in model.layers}


def _chosen(
    asked: EngineName, model: TappedModel, loss: Loss, example: Tensor, lr: float | None, memory_budget: int
) -> EngineChoice:
    """Return the engine of a name that supports the model; a model that fails on an example raises first."""
    with torch.no_grad(), probed(model):
        flat_taps(model, example)
    layer = model.layer_of(loss.layer)
    return choose_engine(model, example, engine=asked, finite=lr is not None, layer=layer, memory_budget=memory_budget)


def planned(engine: EngineChoice, counted: Tensor, classes: int, memory_budget: int, *, losses: bool = False) -> Plan:
    """Return the blocks of a probe whose pairs of samples are counted or not, [J, M] bool; losses are read or not.

    Raises
    ------
    ModelError
        If the memory budget does not suffice for one pair of samples at a time.
    """
    stepped, observed = counted.shape
    cost = with_reading(engine.cost, engine.widths, counted, classes)
    if losses:
        cost = with_losses(cost, counted, classes, engine.widths[engine.layer])
    if engine.couples:
        cost = with_coupling(cost, stepped, engine.widths[engine.layer])
    plan = Plan.of(cost, stepped, observed, memory_budget)
    is_read_again = plan.observed == observed and plan.stepped < stepped
    return plan.keeping(kept_residuals(engine.widths, observed), cost, memory_budget) if is_read_again else plan


def read(
    blocks: Iterable[Movements],
    reader: Callable[[str, Tensor], LayerReader],
    stepped: int,
    witness: Witness | None = None,
    losses: LossReader | None = None,
) -> dict[str, UpdateResponse]:
    """Let each layer's reader reduce the blocks in turn, of J stepped samples; a witness stores some pairs.

    Readers are made from the name of a layer and the features of the first block.
    """
    readers: dict[str, LayerReader] = {}
    loss_rates = scale = torch.zeros(0)
    for block in blocks:
        if not readers:
            readers = {layer: reader(layer, features) for layer, features in block.features.items()}
            loss_rates, scale = next(iter(readers.values())).means.new_zeros(2, stepped)
        for layer, of_layer in readers.items():
            of_layer.add(block, layer)
        if witness is not None:
            witness.add(block)
        if losses is not None:
            losses.add(block)
        # dℓ(a)/dη = ⟨∂ℓ/∂h, Δh(a;a)⟩ in the loss's layer, in both factors apart from their scale.
        slope = (block.gradient.direction * block.own[block.layer]).sum(dim=1)
        loss_rates[block.stepped] = -slope * block.gradient.norm * block.scale
        scale[block.stepped] = block.scale
        del block  # before the next one is computed
    return {layer: of_layer.result(loss_rates, scale) for layer, of_layer in readers.items()}
