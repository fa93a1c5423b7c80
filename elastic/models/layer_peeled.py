"""The layer-peeled model: free features and classifiers with bounded norms."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.models.contract import Stages, Task, model
from elastic.models.mlp import Width
from elastic.models.unconstrained_features import free_features

Energy = Annotated[float, Field(gt=0)]


class LayerPeeled(Stages):
    """Free features and classifiers, projected after every step onto their constraints.

    (1/K) Σ_k ‖w_k‖² ≤ E_W and (1/K) Σ_k (1/n_k) Σ_i ‖h_{k,i}‖² ≤ E_H. The second set is an ellipsoid if classes differ
    in size; the multiplier of the projection is found by Newton's method.
    """

    def __init__(self, features: nn.Linear, classifier: nn.Linear, labels: Tensor, e_h: float, e_w: float) -> None:
        super().__init__({"penultimate": features, "logits": classifier})
        counts = labels.bincount(minlength=classifier.out_features)
        self.register_buffer("share", 1 / (counts[labels] * classifier.out_features).double())
        self.e_h, self.e_w = e_h, e_w
        self.project()

    @torch.no_grad()
    def project(self) -> None:
        """Project features and classifiers onto the constraints."""
        features, classifier = (next(self.stage_parameters(layer)) for layer in self.layers)
        assert isinstance(self.share, Tensor)
        features.mul_(self._shrinkage(features.double().square().sum(dim=0), self.share, self.e_h).to(features))
        rows = classifier.double().square().sum(dim=1)
        equal = torch.full_like(rows, 1 / len(rows))
        classifier.mul_(self._shrinkage(rows, equal, self.e_w).to(classifier)[:, None])

    @staticmethod
    def _shrinkage(squares: Tensor, share: Tensor, energy: float) -> Tensor:
        """Return the factor 1/(1 + μ·share) of each vector at which Σ share ‖v‖² falls to the energy, 1 if it is below.

        The nearest point minimises ‖u − v‖² + μ (Σ share ‖u‖² − energy).
        """
        total = (share * squares).sum()
        if total <= energy:
            return torch.ones_like(squares)
        if share.min() == share.max():  # a ball: the projection rescales
            return (energy / total).sqrt().expand_as(squares)
        share_of = share / share.max()  # the multiplier's scale is then that of 1
        multiplier = squares.new_zeros(())
        # Newton's method on 1/√total, which is concave and nearly linear in the multiplier: from 0 it converges
        # monotonically to the root in a few steps, far fewer than 100.
        for _ in range(100):
            terms = share * squares / (1 + multiplier * share_of).square()
            total = terms.sum()
            if total <= energy * (1 + 1e-15):
                break
            slope = -2 * (terms * share_of / (1 + multiplier * share_of)).sum()
            multiplier = multiplier + 2 * total * (1 - (total / energy).sqrt()) / slope
        return 1 / (1 + multiplier * share_of)


@model()
def layer_peeled(task: Task, *, width: Width, e_h: Energy = 1.0, e_w: Energy = 1.0, scale: Energy = 0.1) -> Stages:
    """Layer-peeled model: cross-entropy over free features and classifiers of bounded mean squared norm.

    Layers: ``penultimate`` (H), ``logits``. Minimises the loss subject to (1/K) Σ_k ‖w_k‖² ≤ E_W and
    (1/K) Σ_k (1/n_k) Σ_i ‖h_{k,i}‖² ≤ E_H, kept by projection after every step; made for the data set ``indices``, full
    batches and first-order optimisers without momentum (a line search ignores the projection).
    Source: fang2021exploring.

    Parameters
    ----------
    task
        N one-hot inputs, K classes, and the labels of the train samples.
    width
        Dimension of the free features; 2K or more if classes differ in size.
    e_h
        E_H, bound of the features' mean squared norm.
    e_w
        E_W, bound of the classifiers' mean squared norm.
    scale
        Standard deviation of the initial features and weights, before projection.

    Raises
    ------
    ModelError
        If the inputs are not one-hot indices of samples, or the labels are unknown.

    Examples
    --------
    >>> net = layer_peeled(Task((4,), classes=2, labels=torch.tensor([0, 0, 1, 1])), width=3, e_w=0.25, scale=9.0)
    >>> round(next(net.stage_parameters("logits")).square().sum().item() / 2, 6)
    0.25
    """
    if task.labels is None:
        raise ModelError("model `layer_peeled`", "know the train labels", "none", "elastic run, which passes them")
    classifier = nn.Linear(width, task.classes, bias=False)
    nn.init.normal_(classifier.weight, std=scale)
    return LayerPeeled(free_features(task, width, scale), classifier, task.labels.cpu(), e_h, e_w)
