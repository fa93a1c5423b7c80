"""Small cases of the groups `unseen` and `fine_classes`: features in two parts, and movements drawn at random."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import torch

from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.transfer import TransferFeatures
from elastic.metrics.unseen import UnseenUpdate
from elastic.metrics.update import UpdateResponse
from support import oracles, transfer_oracles

#: Classes, of which as many are unseen as trained, and numbers of shots.
K = 3


@dataclass(frozen=True)
class Case:
    """fit and held [n, d] with labels, seen [n, d] with labels, moved [J, M, d], own [J, d] with classes of both."""

    arrays: dict[str, np.ndarray]
    supports: dict[int, np.ndarray]
    classes: int = K
    penalty: float = 1e-3

    def tensor(self, name):
        return torch.as_tensor(self.arrays[name])

    @property
    def transfer(self):
        parts = [self.tensor(name) for name in ("fit", "fit_labels", "held", "held_labels")]
        return TransferFeatures(*parts, {s: torch.as_tensor(of) for s, of in self.supports.items()}, self.penalty)

    @property
    def update(self):
        moved, own, stepped = self.tensor("moved"), self.tensor("own"), self.tensor("stepped")
        nothing = torch.zeros(len(stepped), 2 * K, dtype=torch.float64)
        return UpdateResponse(
            classes=2 * K, stepped=stepped, observed=self.tensor("observed") + K,
            counted=torch.ones(moved.shape[:2], dtype=torch.bool), norms=moved.norm(dim=2),
            products=(moved * own[:, None]).sum(dim=2), own_norms=own.norm(dim=1), shift_norms=nothing,
            shift_along_mean=nothing, within_rates=nothing, within_variances=nothing, loss_rates=nothing[:, 0],
        )  # fmt: skip

    def readings(self):
        """Return every reading of both groups, by name."""
        whole = torch.cat([self.tensor("fit"), self.tensor("held")])
        labels = torch.cat([self.tensor("fit_labels"), self.tensor("held_labels")])
        return {
            "unseen_update": UnseenUpdate(self.update, K),
            "unseen_statistics": ClassStatistics.of(whole, labels),
            "unseen_transfer": self.transfer,
            "unseen_mean": whole.mean(0),
            "seen_statistics": ClassStatistics.of(self.tensor("seen"), self.tensor("seen_labels")),
            "fine_transfer": [self.transfer, self.transfer],
            "fine_statistics": [ClassStatistics.of(self.tensor("held"), self.tensor("held_labels"))],
        }

    def ask(self, oracle):
        """Call an oracle with the fields that its parameters name."""
        known = {**self.arrays, "supports": self.supports, "penalty": self.penalty}
        known["features"] = np.concatenate([self.arrays["fit"], self.arrays["held"]])
        known["labels"] = np.concatenate([self.arrays["fit_labels"], self.arrays["held_labels"]])
        return oracle(**{name: known[name] for name in inspect.signature(oracle).parameters})


def of_held(oracle):
    """Return an oracle of features and labels for the held samples alone."""
    return lambda held, held_labels: oracle(held, held_labels)


#: Slow twins by the names of the metrics.
ORACLES = {
    **{name: getattr(transfer_oracles, name) for name in dir(transfer_oracles) if name.endswith("unseen")},
    "response_unseen_stderr": transfer_oracles.response_unseen_stderr,
    "nc5_orthogonality": transfer_oracles.nc5_orthogonality,
    "unseen_few_shot_accuracy": transfer_oracles.few_shot,
    "unseen_linear_probe_accuracy": transfer_oracles.linear_probe,
    "fine_few_shot_accuracy": transfer_oracles.few_shot,
    "fine_linear_probe_accuracy": transfer_oracles.linear_probe,
    "fine_cdnv_mean": of_held(oracles.cdnv_mean),
    "unseen_cdnv": oracles.cdnv,
    "unseen_cdnv_mean": oracles.cdnv_mean,
    "unseen_nc1": oracles.nc1,
}  # fmt: skip


def drawn(*, d=6, each=6, seed=0, offset=0.0, spread=1.0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(K, d))
    labels = np.repeat(np.arange(K), each)
    arrays = {
        name: centres[labels] + spread * rng.normal(size=(len(labels), d)) + offset for name in ("fit", "held", "seen")
    }
    arrays |= dict.fromkeys(("fit_labels", "held_labels", "seen_labels"), labels)
    stepped, observed = np.repeat(np.arange(K), 2), np.repeat(np.arange(K), 3)
    arrays |= {"moved": rng.normal(size=(len(stepped), len(observed), d)), "own": rng.normal(size=(len(stepped), d)),
               "stepped": stepped, "observed": observed}  # fmt: skip
    supports = {
        s: np.array([[rng.permutation(np.flatnonzero(labels == k))[:s] for k in range(K)] for _ in range(4)])
        for s in range(1, K + 1)
    }
    return Case(arrays, supports)


CASES = {
    "narrow": drawn(d=2, seed=1),
    "wide": drawn(d=40, seed=2),
    "offset": drawn(seed=3, offset=100.0),
    "apart": drawn(seed=4, spread=0.1),
}
