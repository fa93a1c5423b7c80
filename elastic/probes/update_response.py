"""The update-response probe: movements of all pairs, reduced layer by layer to an `UpdateResponse`."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from elastic.losses import LogitGradient, Loss
from elastic.metrics.update import UpdateResponse, not_zero
from elastic.models.contract import TappedModel
from elastic.probes.engines import EngineName, choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.features import flat_taps
from elastic.probes.movements import Movements

#: The part of the memory budget that the reduction of a block leaves to the engine.
ENGINE_SHARE = 0.5


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
    engine: EngineName = "auto",
    memory_budget: int = 2**30,
) -> dict[str, UpdateResponse]:
    """Probe how a step on each stepped sample alone moves every observed sample, in every layer.

    Parameters
    ----------
    model
        Read in evaluation mode, left as it was.
    loss
        Whose single-sample gradient is stepped along.
    stepped, observed
        Inputs [J, …], [M, …] and labels [J], [M].
    classes
        Number of classes K that responses are averaged over.
    groups
        [J] class of each stepped sample, where the labels, which the loss needs, number the classes otherwise.
    lr
        None for the first-order movement; else the learning rate of a finite step.
    same
        [J, M] bool, True where a stepped and an observed sample are the same one; such a pair is not counted.
    engine
        "auto", "autodiff" or "structured" (see `elastic.probes.engines`).
    memory_budget
        Bytes that the probe may take, beyond model and samples.

    Returns
    -------
    dict
        An `UpdateResponse` for each layer, in the order of depth.
    """
    budget = int(memory_budget * ENGINE_SHARE)
    chosen = choose_engine(model, observed[0][:1], engine=engine, finite=lr is not None)
    blocks = chosen.movements(model, loss, stepped, observed[0], lr, budget)
    with torch.no_grad(), probed(model):
        features = flat_taps(model, observed[0])
    counted = torch.ones(len(stepped[1]), len(observed[1]), dtype=torch.bool, device=observed[1].device)
    if same is not None:
        counted = counted & ~same
    rows = stepped[1] if groups is None else groups
    readers = {
        layer: LayerReader(features[layer].double(), rows, observed[1], counted, classes) for layer in model.layers
    }
    with torch.no_grad(), probed(model):
        gradient = loss.logit_gradient(model(stepped[0]), stepped[1])
    return read(blocks, readers, gradient)


def read(
    blocks: Iterable[Movements], readers: dict[str, LayerReader], gradient: LogitGradient
) -> dict[str, UpdateResponse]:
    """Let each layer's reader reduce the blocks as they come; ``gradient`` is that of the stepped samples."""
    loss_rates = torch.zeros_like(gradient.norm)
    for block in blocks:
        for layer, reader in readers.items():
            reader.add(block, block.moved[layer], block.own[layer])
        # dℓ(a)/dη = ⟨∂ℓ/∂z, Δz(a;a)⟩, in both factors apart from their scale.
        slope = (gradient.direction[block.stepped] * block.own["logits"]).sum(dim=1)
        loss_rates[block.stepped] = -slope * gradient.norm[block.stepped] * block.scale
    return {layer: reader.result(loss_rates) for layer, reader in readers.items()}


class LayerReader:
    """Reduces the movements of one layer, block by block, to numbers of pairs and of (sample, class).

    Parameters
    ----------
    features
        [M, d] float64 features of the observed samples.
    stepped, observed
        Labels [J] and [M].
    counted
        [J, M] bool.
    classes
        Number of classes K.
    """

    def __init__(self, features: Tensor, stepped: Tensor, observed: Tensor, counted: Tensor, classes: int) -> None:
        J, M, K = len(stepped), len(observed), classes
        self.labels = (stepped, observed)
        self.counted = counted
        self.member = functional.one_hot(observed, K).double()
        means = self.member.T @ features / not_zero(self.member.sum(0))[:, None]
        directions = means - means.nanmean(dim=0)
        self.direction = directions / not_zero(torch.linalg.vector_norm(directions, dim=1))[:, None]
        self.residual = features - means[observed]
        self.every_pair_counts = bool(counted.all())
        self.variances = counted.double() @ (self.member * self.residual.square().sum(dim=1, keepdim=True))
        self.norms, self.products, self.own_norms = self._zeros(J, M), self._zeros(J, M), self._zeros(J)
        self.within, self.shift_norms, self.along = self._zeros(J, K), self._zeros(J, K), self._zeros(J, K)
        self.shift = self.offset = self._zeros(0, K, features.shape[1])

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.residual.device)

    def add(self, block: Movements, moved: Tensor, own: Tensor) -> None:
        """Take in movements [c, m, d] and the stepped samples' own [c, d]."""
        rows, columns, scale = block.stepped, block.observed, block.scale
        if columns.start == 0:
            self.shift = self._zeros(len(own), *self.shift.shape[1:])
            self.offset = torch.zeros_like(self.shift)
            self.own_norms[rows] = torch.linalg.vector_norm(own, dim=1, dtype=torch.float64) * scale
        norms = torch.linalg.vector_norm(moved, dim=2, dtype=torch.float64)
        products = torch.einsum("cmd,cd->cm", moved, own).double()
        self.norms[rows, columns] = norms * scale[:, None]
        self.products[rows, columns] = products * scale[:, None].square()
        member = self.counted[rows, columns, None] * self.member[columns]
        residual = self.residual[columns]
        self.shift += torch.einsum("cmk,cmd->ckd", member.to(moved.dtype), moved)
        if not self.every_pair_counts:  # otherwise residuals sum to zero in each class
            self.offset += torch.einsum("cmk,md->ckd", member, residual)
        along = torch.einsum("cmd,md->cm", moved, residual.to(moved.dtype)).double()
        self.within[rows] += torch.einsum("cm,cmk->ck", along, member)
        if columns.stop == self.counted.shape[1]:
            self._close(rows, scale)

    def _close(self, rows: slice, scale: Tensor) -> None:
        """Turn the sums over all observed samples of these stepped ones into means."""
        count = not_zero(self.counted[rows].double() @ self.member)
        shift, offset = self.shift / count[:, :, None], self.offset / count[:, :, None]
        self.shift_norms[rows] = torch.linalg.vector_norm(shift, dim=2) * scale[:, None]
        self.along[rows] = torch.einsum("ckd,kd->ck", shift, self.direction) * scale[:, None]
        # Leaving out a sample moves its class mean: Σ⟨h−μ', Δ⟩ = Σ⟨h−μ, Δ⟩ − n⟨μ'−μ, mean Δ⟩.
        moved_mean = (offset * shift).sum(dim=2)
        self.variances[rows] = self.variances[rows] / count - offset.square().sum(dim=2)
        self.within[rows] = 2 * (self.within[rows] / count - moved_mean) * scale[:, None]

    def result(self, loss_rates: Tensor) -> UpdateResponse:
        """Return the reading, after the last block."""
        stepped, observed = self.labels
        return UpdateResponse(
            self.member.shape[1], stepped, observed, self.counted, self.norms, self.products,
            self.own_norms, self.shift_norms, self.along, self.within, self.variances, loss_rates,
        )  # fmt: skip
