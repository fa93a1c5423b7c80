"""Small cases of the group `tangent_kernel`, and the slow twins of its metrics from the samples' own gradients."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import torch

from elastic.metrics.tangent_kernel import TangentKernel


@dataclass(frozen=True)
class Case:
    """gradients [R, n, P] of n samples along R directions, and labels [n] of K classes."""

    gradients: np.ndarray
    labels: np.ndarray
    exact: bool
    classes: int = 3

    def readings(self):
        grams = self.gradients @ self.gradients.transpose(0, 2, 1)
        return {"tangent_kernel": TangentKernel(torch.as_tensor(grams), torch.as_tensor(self.labels), 3, self.exact)}

    def ask(self, oracle):
        known = {"gradients": self.gradients, "labels": self.labels, "exact": self.exact}
        return oracle(**{name: known[name] for name in inspect.signature(oracle).parameters})


def theta(gradients, exact, i, j):
    found = [gradient[i] @ gradient[j] for gradient in gradients]
    return np.sum(found) if exact else np.mean(found)


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


def drawn(seed, directions, exact, counts=(3, 3, 3)):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), counts)
    centres = rng.normal(size=(directions, 3, 7))
    return Case(centres[:, labels] + rng.normal(size=(directions, len(labels), 7)), labels, exact)


CASES = {
    "exact": drawn(0, 4, True),
    "estimated": drawn(1, 5, False),
    "unequal": drawn(2, 3, True, counts=(2, 3, 5)),
}
