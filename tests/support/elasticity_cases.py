"""Small networks with stepped and observed samples: elasticity by elastic, and by the slow twins."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import nn

from elastic.losses import build_loss
from elastic.metrics.fine_structure import FineFeatures
from elastic.models.cnn import cnn
from elastic.models.contract import TappedModel, Task
from elastic.models.mlp import mlp
from elastic.probes.engine_selection import choose_engine
from elastic.probes.update_response import update_responses
from support import oracles

#: A check of the engine, as a probe records it.
CHECKED = {"error": 2e-6, "engine": 1.0}


@dataclass(frozen=True, eq=False)
class Case:
    """A float64 network, J stepped and M observed samples of K classes; ``both`` of them are in both sets.

    The observed samples of every class are of two fine classes, but for the last class, which is of one.
    """

    model: TappedModel
    stepped: torch.Tensor
    observed: torch.Tensor
    stepped_labels: torch.Tensor
    observed_labels: torch.Tensor
    classes: int
    layer: str
    loss: str = "cross_entropy"
    both: int = 0

    def same(self, a: int, m: int) -> bool:
        return a == m and a < self.both

    @property
    def same_matrix(self) -> torch.Tensor:
        J, M = len(self.stepped), len(self.observed)
        return torch.tensor([[self.same(a, m) for m in range(M)] for a in range(J)])

    def responses(self, engine="auto", **options):
        """Return what the probe reads; of an engine by its name, the trial is that of the case's first question."""
        if isinstance(engine, str) and "memory_budget" not in options:
            engine = self.chosen_engine(engine, options.get("lr") is not None)
        return update_responses(
            self.model, build_loss(self.loss), (self.stepped, self.stepped_labels),
            (self.observed, self.observed_labels), classes=self.classes, same=self.same_matrix, engine=engine,
            **options,
        )  # fmt: skip

    @cache  # noqa: B019
    def chosen_engine(self, engine: str, finite: bool):
        layer = self.model.layer_of(build_loss(self.loss).layer)
        return choose_engine(self.model, self.observed[:1], engine=engine, finite=finite, layer=layer)

    @cache  # noqa: B019
    def readings(self):
        """Return what metrics of the group may ask for: measured once a case, and read by hundreds of tests."""
        with torch.no_grad():
            features = self.model.taps(self.observed)[self.layer].flatten(1)
        parts = [self.of_class(k) for k in range(self.classes)]
        losses = {}
        return {
            "update": self.responses(losses=losses)[self.layer],
            **losses,
            "fine_updates": [part and self.fine_update(*part) for part in parts],
            "fine_features": [part and self.fine_features(features, *part) for part in parts],
            "fine_inputs": [part and self.fine_features(self.observed.flatten(1), *part) for part in parts],
            "probe_check": torch.tensor(CHECKED["error"], dtype=torch.float64),
            "engine_code": torch.tensor(CHECKED["engine"], dtype=torch.float64),
            "geodesic_distances": self.geodesic_distances,
        }

    @property
    def geodesic_distances(self) -> torch.Tensor:
        """Distances [J, M] of samples that lie on a circle of length 5, at multiples of √2."""
        places = [2**0.5 * torch.arange(len(part), dtype=torch.float64) for part in (self.stepped, self.observed)]
        apart = (places[0][:, None] - places[1][None] - 0.3).abs() % 5
        return torch.minimum(apart, 5 - apart)

    @property
    def fine_labels(self) -> torch.Tensor:
        members = self.observed_labels[:, None] == torch.arange(self.classes - 1)
        return (members * members.cumsum(0) % 2).sum(1)

    def of_class(self, k: int):
        """Return positions of the class's observed samples and their fine classes, None if these are all one."""
        members = (self.observed_labels == k).nonzero().flatten()
        fine = self.fine_labels[members]
        return (members, fine) if len(fine.unique()) > 1 else None

    def fine_update(self, members, fine):
        x, text = self.observed[members], self.observed_labels[members]
        same = torch.eye(len(members), dtype=torch.bool)
        return update_responses(
            self.model, build_loss(self.loss), (x, text), (x, fine), classes=2, groups=fine, same=same
        )[self.layer]

    @staticmethod
    def fine_features(features, members, fine):
        rows = features[members].double()
        return FineFeatures(rows @ rows.T, fine)

    @property
    def unmeasured(self) -> set[str]:
        """Readings that a loss of a whole batch does not have."""
        return {"loss_update", "output_update"} if self.loss == "supervised_contrastive" else set()

    @property
    def loss_rates_of_pairs(self):
        """Return −⟨∇ℓ(m), ∇ℓ(a)⟩ of each pair, gradients by all parameters."""

        def flat(x, y):
            loss = build_loss(self.loss).per_sample(self.model.taps(x[None])[self.model.output], y[None]).sum()
            result = torch.autograd.grad(loss, list(self.model.parameters()), allow_unused=True, materialize_grads=True)
            return torch.cat([g.flatten() for g in result])

        steps, samples = (
            torch.stack([flat(x, y) for x, y in zip(*pair, strict=True)])
            for pair in ((self.stepped, self.stepped_labels), (self.observed, self.observed_labels))
        )
        return -(steps @ samples.T).detach().numpy()

    @cache  # noqa: B019
    def gradient(self, a: int):
        """Return the gradient that is stepped along on a."""
        loss = build_loss(self.loss)
        read = self.model.layer_of(loss.layer)
        return oracles.share_gradient(self.model, read, loss.per_sample, self.stepped, self.stepped_labels, a)

    @cache  # noqa: B019
    def moved(self, layer: str, lr: float | None = None):
        """Return the slow twins' (moved [J, M, d], own [J, d])."""

        def movement(a, x):
            arguments = (self.model, layer, self.gradient(a), x)
            return oracles.first_order_movement(*arguments) if lr is None else oracles.finite_movement(*arguments, lr)

        moved = np.array([[movement(a, x) for x in self.observed] for a in range(len(self.stepped))])
        return moved, np.array([movement(a, self.stepped[a]) for a in range(len(self.stepped))])

    @cached_property
    def among(self):
        """Return the slow twins' (movements [M, M, d] of the observed samples under steps on them, loss rates [M])."""
        loss = build_loss(self.loss)
        read, gradients = self.model.layer_of(loss.layer), []
        for a in range(len(self.observed)):  # stepped on among those that the network is told alike
            (members,) = (self.observed_labels == self.observed_labels[a]).nonzero(as_tuple=True)
            batch, place = (self.observed[members], self.observed_labels[members]), members.tolist().index(a)
            gradients.append(oracles.share_gradient(self.model, read, loss.per_sample, *batch, place))
        moved = [[oracles.first_order_movement(self.model, self.layer, g, x) for x in self.observed] for g in gradients]
        return np.array(moved), [oracles.loss_rate(g) for g in gradients]

    def ask(self, oracle):
        """Call an oracle with the quantities that its parameters name."""
        moved, own = self.moved(self.layer)
        with torch.no_grad():
            features = self.model.taps(self.observed)[self.layer].flatten(1).numpy()
        known = {
            "inputs": self.observed.flatten(1).numpy(), "fine": self.fine_labels.tolist(),
            "moved": moved, "own": own, "features": features, "stepped": self.stepped_labels.tolist(),
            "observed": self.observed_labels.tolist(), "same": self.same, "classes": self.classes,
            "checked": CHECKED, "distances": self.geodesic_distances.tolist(),
            "loss_rates": [oracles.loss_rate(self.gradient(a)) for a in range(len(self.stepped))],
        }  # fmt: skip
        needed = inspect.signature(oracle).parameters
        if "among" in needed:
            known["among"] = self.among
        if "loss_rates_of_pairs" in needed:
            known["loss_rates_of_pairs"] = self.loss_rates_of_pairs
        if "moved_outputs" in needed:
            known["moved_outputs"] = self.moved(self.model.output)[0]
            with torch.no_grad():
                known["outputs"] = self.model.taps(self.observed)[self.model.output].numpy()
        return oracle(**{name: known[name] for name in inspect.signature(oracle).parameters})


def settled(model: nn.Module) -> TappedModel:
    """In evaluation mode and float64, its batch norms with statistics of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.double().eval()


def dense(layer: str, *, loss: str = "cross_entropy", both: int = 0, seed: int = 0, **options) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = settled(mlp(Task((5,), 3), widths=[7, 6], **options))
        x = torch.randn(18, 5, dtype=torch.float64)
    y = torch.arange(18) % 3
    # The first ``both`` stepped samples are the first observed ones too.
    observed = torch.cat([torch.arange(both), torch.arange(6, 18)])
    return Case(model, x[:6], x[observed], y[:6], y[observed], 3, layer, loss, both)


def convolutional(layer: str, *, norm: str = "batch", loss: str = "cross_entropy") -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = settled(cnn(Task((1, 4, 4), 2), channels=[2, 3], norm=norm))
        x = torch.randn(10, 1, 4, 4, dtype=torch.float64)
    y = torch.arange(10) % 2
    return Case(model, x[:4], x[4:], y[:4], y[4:], 2, layer, loss)


CASES = {
    "hidden": dense("hidden_1"),
    "penultimate_gelu": dense("penultimate", activation="gelu"),
    "logits_squared": dense("logits", loss="mse"),
    "shared_samples": dense("penultimate", both=5),
    "batch_norm": dense("penultimate", norm="batch"),
    "convolution": convolutional("conv_1"),
    "contrastive": dense("penultimate", loss="supervised_contrastive", both=5),
    "contrastive_batch_norm": dense("logits", loss="supervised_contrastive", norm="batch"),
    "contrastive_convolution": convolutional("conv_1", loss="supervised_contrastive"),
}
