"""Small cases of the group `class_steps`: points that move, and the slow twins of its metrics by moving them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import numpy as np
import torch

from elastic.metrics.class_steps import ClassSteps
from elastic.metrics.step_rule import StepRule

#: Central differences of what is quadratic in the points are exact but for rounding.
SIZE = 1e-3


@dataclass(frozen=True)
class Case:
    """points [n, d] of three classes, moves [4, n, d] by the step on each class and by decay, shares [3]."""

    points: np.ndarray
    moves: np.ndarray
    labels: np.ndarray
    shares: np.ndarray
    classes: int = 3

    def readings(self):
        collected = {"gram": gram(self.points, self.labels), "within": variance(self.points, self.labels)}
        members = np.eye(3)[self.labels] / np.bincount(self.labels)
        means = members.T @ self.points
        centred = means - means.mean(axis=0)
        shifts = members.T @ self.moves
        half = (shifts - shifts.mean(axis=1, keepdims=True)) @ centred.T
        rates = half + half.transpose(0, 2, 1)
        within = 2 * ((self.points - means[self.labels]) * self.moves).sum(axis=2) @ members
        collected |= {
            "gram_rates": rates[:3],
            "gram_decay": rates[3],
            "within_rates": within[:3],
            "within_decay": within[3],
        }
        tensors = {name: torch.as_tensor(value) for name, value in {**collected, "shares": self.shares}.items()}
        return {
            "class_steps": ClassSteps(**tensors),
            "step_rule": StepRule(torch.as_tensor(self.shares), 0.5, True, 7.0),
        }

    def ask(self, oracle):
        return oracle(**{name: getattr(self, name) for name in inspect.signature(oracle).parameters})


def gram(points, labels):
    means = np.array([points[labels == k].mean(axis=0) for k in range(3)])
    return np.array([[np.dot(one - means.mean(axis=0), two - means.mean(axis=0)) for two in means] for one in means])


def variance(points, labels):
    return np.array(
        [np.mean(np.sum((h - h.mean(axis=0)) ** 2, axis=1)) for h in (points[labels == k] for k in range(3))]
    )


def rate(quantity, points, move, labels):
    return (quantity(points + SIZE * move, labels) - quantity(points - SIZE * move, labels)) / (2 * SIZE)


def mean_gram(points, labels):
    return gram(points, labels)


def mean_gram_response(points, moves, labels, shares):
    return rate(gram, points, sum(share * move for share, move in zip(shares, moves, strict=False)), labels)


def mean_gram_decay_response(points, moves, labels):
    return rate(gram, points, moves[3], labels)


def between_response(points, moves, labels):
    return np.array([np.diag(rate(gram, points, move, labels)) for move in moves[:3]])


def class_variance(points, labels):
    return variance(points, labels)


def class_variance_response(points, moves, labels):
    return np.array([rate(variance, points, move, labels) for move in moves[:3]])


def class_variance_decay_response(points, moves, labels):
    return rate(variance, points, moves[3], labels)


def step_share(shares):
    return shares


def step_momentum():
    return 0.5


def step_nesterov():
    return 1.0


def steps_per_epoch():
    return 7.0


def drawn(seed, counts):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), counts)
    return Case(
        rng.normal(size=(len(labels), 4)), rng.normal(size=(4, len(labels), 4)), labels, rng.dirichlet(np.ones(3))
    )


CASES = {"equal": drawn(0, (3, 3, 3)), "unequal": drawn(1, (2, 3, 5))}
