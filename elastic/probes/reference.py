r"""Movements by real steps: the reference for engines, which shares no code with them.

The parameters are moved along the descent direction u of ⟨h(a), seed⟩, found by ordinary backpropagation, and the
features are read by plain forward passes before and after, in float64. With the one-sided differences

    F(η) = (h(θ + ηu) − h(θ)) / η,    B(η) = (h(θ) − h(θ − ηu)) / η

the mean (F + B)/2 is the derivative up to η² if both agree. If they differ by curvature, 2F(η/2) − F(η) and
2B(η/2) − B(η) are used. If a ReLU unit crosses its kink these differ too, whatever the size: such a
movement has no derivative to compare with and is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from elastic.errors import ModelError, first_line
from elastic.models.contract import TappedModel
from elastic.models.precision import double, in_copies, in_float64
from elastic.models.preservation import state_of
from elastic.models.state import ModuleState
from elastic.probes.evaluation import probed
from elastic.probes.features import rows
from elastic.probes.pair import DECIDED, FLOOR, ROUNDINGS, Pair, PairMovement, Reference

#: Step sizes relative to the parameters, by precision, in the order of trial: the first crosses hardly
#: a kink of a large network and bends no slope; the others are for movements dominated by rounding.
SIZES = {torch.float64: (1e-8, 1e-6, 1e-4, 1e-2), torch.float32: (1e-2, 1e-3)}
#: Distance of nearby parameters from a model's own, in units of their rounding: more than the rounding of a layer's
#: sums.
NEARBY = 8

#: Types that hold less than float64.
NARROW = {torch.float32, torch.float16, torch.bfloat16}
Layers = dict[str, Tensor]
#: Replaces the tensors of a model, whose state is known, by copies.
InCopies = Callable[[TappedModel, ModuleState], AbstractContextManager[None]]
#: Movements [2, d] of the stepped and of the observed sample, by layer.
Decided = dict[str, Tensor]


def reference_movement(model: TappedModel, pair: Pair, nearby: int | None = None) -> Reference:
    """Return the movement of a pair of samples by real steps.

    Parameters
    ----------
    model
        Read in evaluation mode, and restored: the parameters that are moved are copies.
    pair
        The samples and the step.
    nearby
        None for the model's own parameters; else the seed of others that differ by some units of rounding.

    Raises
    ------
    ModelError
        If the model does not run, or cannot be differentiated.
    """
    tried: tuple[tuple[InCopies, Callable[[Tensor], Tensor]], ...]
    tried = ((in_float64, double), (in_copies, torch.clone))
    with probed(model) as state:
        parameters = [p.detach() for p in model.parameters() if p.requires_grad]
        epsilon = max((torch.finfo(p.dtype).eps for p in parameters if p.is_floating_point()), default=0.0)
        if nearby is not None:
            parameters = _near(parameters, nearby)
        for context, convert in tried:
            try:
                with context(model, state), torch.enable_grad():
                    return _Steps(model, pair, convert, parameters, epsilon, moved=nearby is not None).reference()
            except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
                refused = error
    found, hint = first_line(refused), "a model that trains by backpropagation"
    raise ModelError("`model`", "run forwards and backwards on one sample", found, hint) from refused


class _Steps:
    """Real steps of one pair: the model's parameters are copies, moved about ``there``."""

    def __init__(
        self,
        model: TappedModel,
        pair: Pair,
        convert: Callable[[Tensor], Tensor],
        there: Sequence[Tensor],
        epsilon: float,
        *,
        moved: bool,
    ) -> None:
        self.model, self.pair, self.epsilon = model, pair, epsilon
        self.state = state_of(model, parameters=False)
        stepped = convert(pair.stepped)
        self.inputs = torch.cat([stepped, convert(pair.observed)])
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.there = there
        if moved:  # otherwise the parameters are there: copies of the model's own
            for p, value in zip(self.parameters, there, strict=True):
                p.data.copy_(value)
        with _Narrowing() as narrowing:
            features = self.model.taps(stepped.clone())[pair.layer].reshape(-1)
        self.state.restore()
        # A step that is lost in a cast from float64 to float32 would look like none.
        wide = features.dtype == torch.float64 and not narrowing.has_narrowed
        self.dtype = torch.float64 if wide else torch.float32
        height = (features * pair.seed.to(features)).sum()
        gradients = torch.autograd.grad(height, self.parameters, allow_unused=True)
        #: Uphill: steps are taken against them, which saves a copy.
        self.gradients = [None if g is None else g.detach().to_dense() for g in gradients]
        self.lengths = _norm(there), _norm([g for g in self.gradients if g is not None])

    def reference(self) -> Reference:
        """Return the movements of all decided layers."""
        decided: Decided = {}
        with torch.no_grad():
            self.before = self._features(0.0)
            open_layers = set(self.before)
            if self.pair.size is not None:
                decided, open_layers = self._finite(self.pair.size)
            for size in SIZES[self.dtype]:
                if open_layers:
                    movements = self._first_order(self._scaled(size))
                    decided |= {layer: movements[layer] for layer in open_layers & movements.keys()}
                    open_layers -= movements.keys()
        movement = PairMovement(*({layer: both[i] for layer, both in decided.items()} for i in range(2)))
        precision = str(self.dtype).removeprefix("torch.")
        return Reference(movement, frozenset(self.before.keys() - decided.keys()), self._rounding(), precision)

    def _rounding(self) -> dict[str, float]:
        """Return the movements by layer below which an engine's are rounding."""
        # Of the largest features: those that cancel to zero have the rounding of their summands.
        largest = max(float(h.norm()) for h in self.before.values())
        return dict.fromkeys(self.before, ROUNDINGS * self.epsilon * largest / (self.lengths[0] or 1.0))

    def _features(self, size: float) -> Layers:
        """Return the features [2, d] of both samples, in float64, after a step of a size."""
        for p, there, gradient in zip(self.parameters, self.there, self.gradients, strict=True):
            if size == 0 or gradient is None or there.is_sparse:
                p.data.copy_(there)
            else:
                torch.add(there, gradient, alpha=-size, out=p.data)
        # Copies: features may be views of a parameter, which is moved next.
        taps = self.model.taps(self.inputs.clone())
        features = {layer: rows(h).to(torch.float64, copy=True) for layer, h in taps.items()}
        self.state.restore()
        return features

    def _scaled(self, relative: float) -> float:
        """Return the step size that moves the parameters by a share of them."""
        there, moved = self.lengths
        return relative * (there or 1.0) / (moved or 1.0)

    def _first_order(self, size: float) -> Decided:
        """Return the derivatives of own and observed features along the step, if they are decided.

        Slopes to both sides that agree are the derivative. If they differ, curvature may be the cause: half steps
        cost two further passes, and correct for it.
        """
        whole = self._slopes(size)
        decided = self._agreeing(whole, size)
        if len(decided) < len(self.before):
            halves = self._slopes(size / 2)
            extrapolated = {
                layer: tuple(2 * half - one for half, one in zip(halves[layer], whole[layer], strict=True))
                for layer in whole.keys() - decided.keys()
            }
            decided |= self._agreeing(extrapolated, size)
        return decided

    def _slopes(self, size: float) -> dict[str, tuple[Tensor, ...]]:
        """Return the slopes of the features by a forward and a backward step."""
        ends = [(end, self._features(end)) for end in (size, -size)]
        return {h: tuple((after[h] - before) / end for end, after in ends) for h, before in self.before.items()}

    def _agreeing(self, slopes: Mapping[str, tuple[Tensor, ...]], size: float) -> Decided:
        """Return the mean slope of the layers in which both sides agree and exceed rounding errors."""
        decided = {}
        for layer, (forwards, backwards) in slopes.items():
            central = (forwards + backwards) / 2
            is_small = self._is_small(forwards - backwards, central)
            if is_small and self._is_told_from_rounding(central, self.before[layer], size):
                decided[layer] = central
        return decided

    def _finite(self, size: float) -> tuple[Decided, set[str]]:
        """Return the differences along the step over its size, and the layers where these are rounding.

        A discontinuous function may jump within the step, or just beyond it: a slightly longer step shows it.
        """
        if size == 0:
            return {}, set(self.before)
        longer = size * (1 + 2e-5)
        after, further = self._features(size), self._features(longer)
        decided, drowned = {}, set()
        for layer, before in self.before.items():
            change = (after[layer] - before) / size
            if not self._is_told_from_rounding(change, before, size):
                drowned.add(layer)
            elif self._is_small(change - (further[layer] - before) / longer, change):
                decided[layer] = change
        return decided, drowned

    def _is_told_from_rounding(self, change: Tensor, before: Tensor, size: float) -> bool:
        rounding = 8 * torch.finfo(self.dtype).eps * before.norm(dim=1) / size
        # A finite step may be so short that no feature changes by a bit, although each moves.
        still = ~change.any(dim=1) & (size >= self._scaled(min(SIZES[self.dtype])))
        return bool(((rounding <= self._allowed(change)) | still).all())

    def _is_small(self, disagreement: Tensor, change: Tensor) -> bool:
        return bool((disagreement.norm(dim=1) <= self._allowed(change)).all())

    def _allowed(self, change: Tensor) -> Tensor:
        """Return the uncertainty [2] up to which changes [2, d] of own and observed features are decided."""
        own, moved = change.norm(dim=1)
        return DECIDED[self.dtype] * torch.stack([own, moved + FLOOR * own])


class _Narrowing(TorchFunctionMode):
    """While active, records whether a function converts float64 to lower precision."""

    def __init__(self) -> None:
        super().__init__()
        self.has_narrowed = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one function."""
        output = func(*args, **(kwargs or {}))
        if not self.has_narrowed:
            made = [output] if isinstance(output, Tensor) else tree_leaves(output)
            if any(isinstance(h, Tensor) and h.dtype in NARROW for h in made):
                self.has_narrowed = any(isinstance(h, Tensor) and h.dtype == torch.float64 for h in tree_leaves(args))
        return output


def _norm(tensors: Sequence[Tensor]) -> float:
    if not tensors:
        return 0.0
    lengths = [_length(tensor) for tensor in tensors]
    return math.hypot(*torch.stack([length.to(lengths[0].device) for length in lengths]).tolist())


def _length(tensor: Tensor) -> Tensor:
    """Return the norm of a tensor, in float64 without a copy of it."""
    wide = torch.complex128 if tensor.is_complex() else torch.float64
    length: Tensor = torch.linalg.vector_norm(tensor.to_dense() if tensor.is_sparse else tensor, dtype=wide)
    return length


def _near(parameters: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Return parameters in float64 that differ from others by some units of their rounding."""
    generator, moved = torch.Generator().manual_seed(seed), []
    for p in parameters:
        if not p.is_floating_point() or p.is_sparse:
            moved.append(p)
            continue
        noise = torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.device)
        moved.append(p.double() * (1 + NEARBY * torch.finfo(p.dtype).eps * noise))
    return moved
