"""The elasticity probe: how single steps on fixed samples move other fixed samples, in every layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.losses import Loss
from elastic.metrics.elasticity import response
from elastic.metrics.elasticity_errors import response_stderr
from elastic.metrics.update import UpdateResponse, not_zero
from elastic.models.contract import TappedModel
from elastic.probes.engine_selection import EngineChoice, EngineName, choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.features import flat_taps
from elastic.probes.loss_reader import loss_readings
from elastic.probes.preconditions import check_preconditions, check_stepping
from elastic.probes.shared_choice import choose_once
from elastic.probes.update_response import planned, update_responses
from elastic.probes.verification import EngineCheck, EngineMismatch, Witness, pairs_of
from elastic.probes.verified_response import CHECK, READING, Verified, verified_responses

#: The reading for data on a curve: distances of stepped and observed samples along it.
GEODESIC = "geodesic_distances"


@dataclass
class ElasticityProbe:
    """Reads a model's update responses on fixed samples, repeatedly; each reading is verified by real steps.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    loss
        Loss whose gradient defines the step; the stepped samples of a draw are its batch.
    samples
        On the model's device.
    draws
        Positions in ``samples`` of the stepped [J] and the observed [M]: one pair of draws, or several of growing
        size. A position in both is not paired with itself.
    precision
        With several draws: the next larger one is read if some response of some layer has a standard error
        above this share of it, and the memory budget allows.
    lr
        None for the first-order movement; else the learning rate of a finite step.
    engine
        "auto", "autodiff" or "structured".
    memory_budget
        Most bytes that the probe may use, beyond the model, a copy of its parameters (two in float64 while pairs are
        verified) and the samples.
    seed
        Seed, with the epoch, of the pairs of samples that are verified.
    losses
        Whether to read the effects of steps on the losses of the observed samples; not for classes without an output.
    alike
        As in `elastic.probes.contract.Subject`.

    Attributes
    ----------
    of_network
        Readings of the network in the last reading.
    """

    model: TappedModel
    loss: Loss
    samples: Samples
    draws: Sequence[tuple[Tensor, Tensor]]
    precision: float | None = None
    lr: float | None = None
    engine: EngineName = "auto"
    memory_budget: int = 2**30
    seed: int = 0
    losses: bool = True
    alike: str = ""
    check: EngineCheck | None = field(default=None, init=False)
    of_network: dict[str, Any] = field(default_factory=dict, init=False)
    _engine: EngineChoice | None = field(default=None, init=False)

    def chosen_engine(self) -> EngineChoice:
        """Return the engine of the probe, with the reason if it is not the first choice.

        It is chosen once, and replaced if a reading differs from real steps.
        """
        if self._engine is None:
            self._engine = self._choose(self.memory_budget)
        return self._engine

    def _choose(self, memory_budget: int) -> EngineChoice:
        layer, finite = self.model.layer_of(self.loss.layer), self.lr is not None
        options = {"engine": self.engine, "finite": finite, "layer": layer, "memory_budget": memory_budget}
        return choose_once(self.alike, choose_engine, self.model, self._example, options)

    def stay_structured(self) -> None:
        """Use the structured engine if it supports the model, even if the other one is faster."""
        if self.chosen_engine().name != "structured":
            self._engine = self._choose(memory_budget=0)

    def give_up_structured(self, reason: str) -> None:
        """Use the autodiff engine from now on, if the choice of engine is free."""
        engine = self.chosen_engine()
        if engine.may_fall_back:
            self._engine = engine.fall_back(self.model, self._example, self.lr is not None, reason)

    @property
    def _example(self) -> Tensor:
        return self.samples.inputs[:1]

    def check_budget(self) -> None:
        """Raise a ModelError if the memory budget does not suffice for any draw."""
        self._fitting()

    def _fitting(self) -> list[tuple[Tensor, Tensor]]:
        """Return the draws that the memory budget allows with the present engine; it must allow the first."""
        fitting: list[tuple[Tensor, Tensor]] = []
        for stepped, observed in self.draws:
            counted, classes = stepped[:, None] != observed[None, :], len(self.samples.classes)
            try:
                planned(self.chosen_engine(), counted, classes, self.memory_budget, losses=self.losses)
            except ModelError:
                if not fitting:
                    raise
                break
            fitting.append((stepped, observed))
        return fitting

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that a step can move: all except the input."""
        return self.model.layers

    def names(self) -> dict[str, set[str]]:
        """Return the names of the readings of each layer, without computing anything."""
        along = set() if self.samples.geodesic is None else {GEODESIC}
        return {layer: {READING, CHECK, *along} for layer in self.layers}

    @cached_property
    def outputs(self) -> int:
        """Number of the network's outputs, from a forward pass of one sample."""
        with torch.no_grad(), probed(self.model, parameters=True):
            return flat_taps(self.model, self._example)[self.model.output].shape[1]

    def names_of_network(self) -> set[str]:
        """Return the names of the readings of the network."""
        return loss_readings(self.loss, self.outputs) if self.losses else set()

    def read(self, epoch: float = 0, *, first: bool | None = None) -> dict[str, dict[str, Any]]:
        """Return the readings of each layer: of the first draw that is precise enough, or of the last.

        Parameters
        ----------
        epoch
            Seed of the verified pairs, so that a resumed run verifies the same pairs as one that
            was not interrupted.
        first
            Whether it is the run's first probed epoch, at which more pairs are verified and the model is checked
            more thoroughly; None: whether it is epoch 0.

        Raises
        ------
        EngineMismatch
            If no engine agrees with real steps.
        ModelError
            If the memory budget is too small for any draw, or the model fails `check_preconditions`.
        """
        first = epoch == 0 if first is None else first
        with probed(self.model, parameters=True):
            check_preconditions(self.model, self.samples.inputs, first=first)
            if first:
                check_stepping(self.model, self.samples.inputs)
            for stepped, observed in self._fitting():
                try:
                    verified = self._read(stepped, observed, epoch, first)
                except EngineMismatch:
                    self.give_up_structured("it differed from real steps before")
                    raise
                self._engine, self.check = verified.engine, verified.check
                if self.precision is None or relative_error(verified.responses) <= self.precision:
                    break
        distances = self.samples.take(stepped).geodesic_distances(self.samples.take(observed))
        along = {} if distances is None else {GEODESIC: distances}
        return {layer: {**readings, **along} for layer, readings in verified.readings().items()}

    def _read(self, stepped: Tensor, observed: Tensor, epoch: float, first: bool) -> Verified:
        one, other = self.samples.take(stepped), self.samples.take(observed)

        self.of_network = {}

        def respond(engine: EngineChoice, witness: Witness) -> dict[str, UpdateResponse]:
            return update_responses(
                self.model,
                self.loss,
                (one.inputs, one.for_loss),
                (other.inputs, other.labels),
                classes=len(self.samples.classes),
                groups=one.labels,
                lr=self.lr,
                same=stepped[:, None] == observed[None, :],
                engine=engine,
                memory_budget=self.memory_budget,
                witness=witness,
                observed_targets=other.for_loss,
                losses=self.of_network if self.losses else None,
            )

        pairs = pairs_of(len(stepped), len(observed), self.seed, epoch, first=first)
        inputs = one.inputs, other.inputs
        return verified_responses(respond, self.chosen_engine(), self.model, inputs, pairs, self.lr)


def relative_error(responses: Mapping[str, UpdateResponse]) -> float:
    """Return the largest standard error of a response, relative to it, over layers and pairs of classes.

    Infinite if it is unknown (one sample); responses of exactly zero (a layer without parameters) are exact.
    """
    largest = 0.0
    for update in responses.values():
        size, error = response(update), response_stderr(update)
        share = torch.where(size == 0, 0.0, error / not_zero(size)).nan_to_num(nan=torch.inf)
        largest = max(largest, share.max().item())
    return largest
