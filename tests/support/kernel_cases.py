"""Small cases of the group `tangent_kernel`, and the slow twins of its metrics from the samples' own gradients."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import torch

from elastic.metrics.kernel_invariant import LastLayer
from elastic.metrics.tangent_kernel import TangentKernel


@dataclass(frozen=True)
class Case:
    """gradients [R, n, P] of n samples along R directions, labels [n] of K classes, features [n, d], weights [O, d]."""

    gradients: np.ndarray
    labels: np.ndarray
    exact: bool
    features: np.ndarray
    weights: np.ndarray
    classes: int = 3
    unmeasured: tuple[str, ...] = ()

    def readings(self):
        grams = self.gradients @ self.gradients.transpose(0, 2, 1)
        kernel = TangentKernel(torch.as_tensor(grams), torch.as_tensor(self.labels), 3, self.exact)
        members = np.eye(3)[self.labels]
        means = members.T @ self.features / members.sum(axis=0)[:, None]
        residual = self.features - means[self.labels]
        numbers = (self.weights, means, residual.T @ residual, members.sum(axis=0))
        return {"tangent_kernel": kernel, "last_layer": LastLayer(*map(torch.as_tensor, numbers), kernel)}

    def ask(self, oracle):
        known = {
            "gradients": self.gradients,
            "labels": self.labels,
            "exact": self.exact,
            "features": self.features,
            "weights": self.weights,
        }
        return oracle(**{name: known[name] for name in inspect.signature(oracle).parameters})


def theta(gradients, exact, i, j):
    collected = [gradient[i] @ gradient[j] for gradient in gradients]
    return np.sum(collected) if exact else np.mean(collected)


def mean_of(gradients, labels, exact, chosen):
    n = range(len(labels))
    return np.mean([theta(gradients, exact, i, j) for i in n for j in n if chosen(i, j)])


def kernel_same_sample(gradients, labels, exact):
    return mean_of(gradients, labels, exact, lambda i, j: i == j)


def kernel_same_class(gradients, labels, exact):
    return mean_of(gradients, labels, exact, lambda i, j: i != j and labels[i] == labels[j])


def kernel_other_class(gradients, labels, exact):
    return mean_of(gradients, labels, exact, lambda i, j: labels[i] != labels[j])


def stderr(gradients, labels, exact, statistic):
    if exact:
        return 0.0
    each = [statistic(gradient[None], labels, False) for gradient in gradients]
    return np.std(each, ddof=1) / np.sqrt(len(each))


def kernel_same_class_stderr(gradients, labels, exact):
    return stderr(gradients, labels, exact, kernel_same_class)


def kernel_other_class_stderr(gradients, labels, exact):
    return stderr(gradients, labels, exact, kernel_other_class)


def kernel_block(gradients, labels, exact):
    def block(j, k):
        return mean_of(gradients, labels, exact, lambda a, b: a != b and labels[a] == j and labels[b] == k)

    return np.array([[block(j, k) for k in range(3)] for j in range(3)])


def kernel_target_alignment(gradients, labels, exact):
    n = range(len(labels))
    kernel = np.array([[theta(gradients, exact, i, j) for j in n] for i in n])
    target = np.array([[float(labels[i] == labels[j]) for j in n] for i in n])
    return np.vdot(kernel, target) / np.linalg.norm(kernel) / np.linalg.norm(target)


def kernel_nc1(gradients, labels):
    """From the feature map itself: the gradients along all directions, one after the other."""
    features = np.concatenate(list(gradients), axis=1)
    means = np.array([features[labels == k].mean(axis=0) for k in range(3)])
    within = np.mean([np.sum((h - means[k]) ** 2) for h, k in zip(features, labels, strict=True)])
    return within / np.mean([np.sum((m - means.mean(axis=0)) ** 2) for m in means])


def kernel_block_residual(gradients, labels, exact):
    n = range(len(labels))
    means = [of(gradients, labels, exact) for of in (kernel_same_sample, kernel_same_class, kernel_other_class)]
    missed = whole = 0.0
    for i in n:
        for j in n:
            entry = theta(gradients, exact, i, j)
            missed += (entry - means[0 if i == j else 1 if labels[i] == labels[j] else 2]) ** 2
            whole += entry**2
    return np.sqrt(missed / whole)


def terms(gradients, labels, exact, features, weights):
    """WᵀW and the terms of the parts of H, sample by sample, for equal classes."""
    n, d = features.shape
    m = np.bincount(labels)[0]
    same, within, other = (
        of(gradients, labels, exact) / d for of in (kernel_same_sample, kernel_same_class, kernel_other_class)
    )
    single, of_class = same - within, same - within + m * (within - other)
    sizes = (of_class + n * other, of_class, single)
    assert min(sizes) > 0
    overall = np.mean([features[labels == k].mean(axis=0) for k in range(3)], axis=0)
    means = [features[labels == k].mean(axis=0) for k in labels]
    parts = zip(*[(overall, mean - overall, h - mean) for h, mean in zip(features, means, strict=True)], strict=True)
    collected = [sum(np.outer(p, p) for p in part) / size for part, size in zip(parts, sizes, strict=True)]
    return [sum(np.outer(w, w) for w in weights), *collected]


def features_terms(gradients, labels, exact, features):
    """What WᵀW is compared with, as the authors write it: class means with their mean in them, and α for the mean."""
    n, d = features.shape
    m = n // 3
    same, within, other = (
        of(gradients, labels, exact) / d for of in (kernel_same_sample, kernel_same_class, kernel_other_class)
    )
    smallest, of_class = same - within, same - within + m * (within - other)
    alpha = other / (smallest / m + within + 2 * other)
    means = np.array([features[labels == k].mean(axis=0) for k in range(3)])
    mean, deviations = means.mean(axis=0), features - means[labels]
    between = m * means.T @ means / of_class + deviations.T @ deviations / smallest
    return between - alpha * 9 * m * np.outer(mean, mean) / of_class


def kernel_invariant_trace(gradients, labels, exact, features, weights):
    return np.trace(weights.T @ weights - features_terms(gradients, labels, exact, features))


def kernel_invariant_norm(gradients, labels, exact, features, weights):
    return np.linalg.norm(weights.T @ weights - features_terms(gradients, labels, exact, features))


def kernel_invariant_alignment(gradients, labels, exact, features, weights):
    one, other = weights.T @ weights, features_terms(gradients, labels, exact, features)
    return np.trace(one.T @ other) / np.linalg.norm(one) / np.linalg.norm(other)


def kernel_invariant_weights(weights):
    return np.sum(weights**2)


def kernel_invariant_mean(gradients, labels, exact, features, weights):
    return np.trace(terms(gradients, labels, exact, features, weights)[1])


def kernel_invariant_between(gradients, labels, exact, features, weights):
    return np.trace(terms(gradients, labels, exact, features, weights)[2])


def kernel_invariant_within(gradients, labels, exact, features, weights):
    return np.trace(terms(gradients, labels, exact, features, weights)[3])


def drawn(seed, directions, exact, counts=(3, 3, 3)):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), counts)
    centres = rng.normal(size=(directions, 3, 7))
    gradients = centres[:, labels] + rng.normal(size=(directions, len(labels), 7))
    # Of unequal classes there is no invariant.
    unmeasured = () if len(set(counts)) == 1 else ("last_layer",)
    features, weights = rng.normal(size=(len(labels), 4)), rng.normal(size=(3, 4))
    return Case(gradients, labels, exact, features, weights, unmeasured=unmeasured)


CASES = {
    "exact": drawn(0, 4, True),
    "estimated": drawn(1, 5, False),
    "unequal": drawn(2, 3, True, counts=(2, 3, 5)),
}
