"""Verification: the movements that an engine returned, compared with real steps of a few pairs of samples.

The pairs are taken from the probe itself, in whatever block they were computed, so that the checked numbers are
the same as those of the probe's variables.
"""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from elastic.data.preparation import draws
from elastic.errors import ModelError
from elastic.models.contract import TappedModel
from elastic.probes.engine import Movements
from elastic.probes.pair import Pair, PairMovement, Reference
from elastic.probes.reference import reference_movement

#: Draws from a seed for the pairs of epoch 0; later epochs follow. (Others: `elastic.probes.samples`.)
VERIFIED_DRAW = 1000
#: The largest relative error of a movement, by the precision of the real steps. Measured on the built-in models through
#: training, engines differ from real steps in float64 by up to 2e-5; every fault of an engine that is known was above
#: 2e-3. Steps in float32 are themselves known to 2e-3.
TOLERANCES = {"float64": 1e-3, "float32": 1e-2}
#: Pairs that are compared when a model is first probed, and at every later epoch.
FIRST_PAIRS, LATER_PAIRS = 8, 1
#: Number of nearby parameters to try, each of which decides a tie in one of two ways.
TURNS = 8
#: The largest relative error in units of the rounding of the parameters' type, which decides for shorter types.
ROUNDINGS = 16


@dataclass(frozen=True)
class EngineCheck:
    """Difference between an engine's movements and those of real steps.

    Attributes
    ----------
    errors
        Largest relative error over the pairs by layer; NaN if no pair decides.
    tolerance
        Tolerance of the error.
    pairs
        Number of pairs compared.
    precision
        Of the real steps: "float64", or the model's own if it does not run in float64; "" for none.
    seconds
        Duration of the comparison.
    """

    errors: Mapping[str, float]
    tolerance: float
    pairs: int
    precision: str = ""
    seconds: float = 0.0

    @property
    def worst(self) -> tuple[str, float]:
        """The layer with the largest error, and the error (NaN if nothing is decided)."""
        return max(self.errors.items(), key=lambda row: -1.0 if math.isnan(row[1]) else row[1])

    @property
    def passed(self) -> bool:
        """Whether the errors of all layers are within the tolerance."""
        return not self.worst[1] > self.tolerance

    def __str__(self) -> str:
        layer, error = self.worst
        pairs = f"{self.pairs} pair{'s' if self.pairs != 1 else ''}"
        if math.isnan(error):
            return f"undecided on {pairs}: the movements have kinks or are below rounding"
        return f"off by {error:.1e} in layer {layer!r}, of {pairs} against real steps in {self.precision}"


class EngineMismatch(ModelError):
    """Movements of an engine that differ from those of a real step.

    Attributes
    ----------
    check
        Their difference, by layer.
    """

    def __init__(self, field: str, expected: str, found: str, hint: str, *, place: str | None = None,
                 check: EngineCheck | None = None) -> None:  # fmt: skip
        self.check = check
        super().__init__(field, expected, found, hint, place=place)


@dataclass
class Witness:
    """Stores the movements of a few pairs of samples while a probe computes them.

    Parameters
    ----------
    pairs
        Positions (stepped, observed).

    Attributes
    ----------
    movements
        By pair: the movement along the unit gradient, and that gradient [d] with its norm. For a user's loss it is
        the gradient of ordinary backpropagation, along which real steps then go.
    """

    pairs: Sequence[tuple[int, int]]
    movements: dict[tuple[int, int], tuple[PairMovement, Tensor, float]] = field(default_factory=dict)

    def add(self, block: Movements) -> None:
        """Store the pairs in a block of movements."""
        rows = [pair for pair in self.pairs if block.stepped.start <= pair[0] < block.stepped.stop]
        if not rows:
            return
        observed = range(block.observed.start, block.observed.stop) if block.places is None else block.places.tolist()
        for row, column in rows:
            if column not in observed:
                continue
            i, k = row - block.stepped.start, observed.index(column)
            norm = float(block.gradient.norm[i])
            # Per unit of the gradient: late in training the gradient itself is far below what a step can resolve.
            factor = float(block.scale[i]) / norm if norm > 0 else 0.0
            own = {layer: h[i].double() * factor for layer, h in block.own.items()}
            moved = {layer: h[i, k].double() * factor for layer, h in block.moved.items()}
            gradient = block.gradient
            seeds = gradient.direction if gradient.checked is None else gradient.checked
            self.movements[row, column] = PairMovement(own, moved), seeds[i].clone(), norm


def verify(
    model: TappedModel, witness: Witness, inputs: tuple[Tensor, Tensor], layer: str, lr: float | None
) -> EngineCheck:
    """Compare a probe's movements of some pairs with real steps.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored.
    witness
        Has stored pairs of the probe's blocks.
    inputs
        Stepped and observed, [J, …] and [M, …].
    layer
        The layer that the loss reads.
    lr
        None for first-order movements; else the learning rate of a finite step.

    Raises
    ------
    ModelError
        If the model cannot be stepped.
    """
    begun = time.perf_counter()
    errors = dict.fromkeys(model.layers, math.nan)
    precision, refuted = "", False
    for (row, column), (movement, seed, norm) in witness.movements.items():
        if norm == 0 or not math.isfinite(norm):
            continue
        size = None if lr is None else lr * norm
        pair = Pair(inputs[0][row : row + 1], inputs[1][column : column + 1], layer, seed, size)
        reference = reference_movement(model, pair)
        precision = reference.precision
        differences = reference.movement.errors(movement, reference.rounding)
        tolerance = _tolerance(model, precision)
        if not _within(differences, tolerance):
            if refuted:
                continue
            differences = errors_nearby(model, pair, movement, reference, tolerance)
            refuted = not _within(differences, tolerance)
        for name, error in differences.items():
            errors[name] = error if math.isnan(errors[name]) else max(errors[name], error)
    seconds = time.perf_counter() - begun
    return EngineCheck(errors, _tolerance(model, precision), len(witness.movements), precision, seconds)


def errors_nearby(
    model: TappedModel, pair: Pair, movement: PairMovement, reference: Reference, tolerance: float
) -> dict[str, float]:
    """Return the errors of a movement relative to the real steps of the nearby parameters that agree with it best.

    An engine in float32 decides a unit whose input is zero but for rounding, or a pooling of two entries that are equal
    but for rounding, in one way, and float64 in the other: then neither is wrong. Parameters that float32 hardly
    distinguishes from the model's own decide a tie in either way, and leave a wrong movement as wrong as it was.

    Parameters
    ----------
    model, pair
        Inputs of the real steps.
    movement
        An engine's.
    reference
        With the model's own parameters, which disagree with the movement.
    tolerance
        Tolerance of the error.
    """
    best = reference.movement.errors(movement, reference.rounding)
    if reference.precision != "float64" or _type_of(model) != torch.float32:
        return best
    for seed in range(TURNS):
        near = reference_movement(model, pair, nearby=seed)
        errors = near.movement.errors(movement, reference.rounding)
        if near.undecided <= reference.undecided and max(errors.values()) < max(best.values()):
            best = errors
        if _within(best, tolerance):
            break
    return best


def _within(errors: Mapping[str, float], tolerance: float) -> bool:
    return all(error <= tolerance for error in errors.values())


def _tolerance(model: TappedModel, precision: str) -> float:
    """Return the tolerance of a movement's error, by the precision of the real steps."""
    return max(TOLERANCES.get(precision, 0.0), ROUNDINGS * torch.finfo(_type_of(model)).eps)


def pairs_of(
    stepped: int, observed: int, seed: int, epoch: float, *, first: bool | None = None
) -> list[tuple[int, int]]:
    """Return the pairs (stepped, observed) that are compared at an epoch, drawn from the seed and the epoch.

    Parameters
    ----------
    stepped, observed
        Number of samples.
    seed, epoch
        Seed of the pairs.
    first
        Whether it is the run's first probed epoch, which compares more pairs; None: whether it is epoch 0.

    Examples
    --------
    >>> pairs_of(2, 3, seed=0, epoch=0) == pairs_of(2, 3, seed=0, epoch=0)
    True
    >>> len(pairs_of(100, 300, seed=0, epoch=0)), len(pairs_of(100, 300, seed=0, epoch=7))
    (8, 1)
    """
    count = FIRST_PAIRS if (epoch == 0 if first is None else first) else LATER_PAIRS
    # A fractional epoch uses its bits as the draw, which no whole epoch reaches.
    step = int(epoch) if epoch == int(epoch) else int.from_bytes(struct.pack(">d", epoch), "big")
    places = torch.randint(stepped * observed, (count,), generator=draws(seed, VERIFIED_DRAW + step))
    return [divmod(place, observed) for place in dict.fromkeys(places.tolist())]


def _type_of(model: TappedModel) -> torch.dtype:
    """Return the shortest floating-point type among the parameters."""
    types = {p.dtype for p in model.parameters() if p.is_floating_point()}
    return max(types, key=lambda t: torch.finfo(t).eps, default=torch.float32)
