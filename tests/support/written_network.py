"""A network of one hidden layer written out in NumPy with its own gradient, to train beside elastic.

Layers ``hidden`` (tanh) and ``logits``, cross-entropy, all in float64. It shares no code with the package.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

CLASSES, WIDTH, PER_CLASS, INPUTS = 3, 5, 6, 4
NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")


def data(counts=(PER_CLASS,) * CLASSES):
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(CLASSES), counts)
    return rng.normal(size=(CLASSES, INPUTS))[labels] + 0.5 * rng.normal(size=(len(labels), INPUTS)), labels


def start():
    rng = np.random.default_rng(5)
    shapes = ((WIDTH, INPUTS), (WIDTH,), (CLASSES, WIDTH), (CLASSES,))
    return [rng.normal(size=shape) * 0.7 for shape in shapes]


def features(theta, x):
    w1, b1, w2, b2 = theta
    hidden = np.tanh(x @ w1.T + b1)
    return {"hidden": hidden, "logits": hidden @ w2.T + b2}


def gradient(theta, x, labels):
    """Gradient of the mean cross-entropy, by hand."""
    hidden, logits = features(theta, x).values()
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    delta = (p / p.sum(axis=1, keepdims=True) - np.eye(CLASSES)[labels]) / len(x)
    back = (delta @ theta[2]) * (1 - hidden**2)
    return [back.T @ x, back.sum(0), delta.T @ hidden, delta.sum(0)]


def gram(theta, x, labels, layer):
    h = features(theta, x)[layer]
    means = np.array([h[labels == k].mean(axis=0) for k in range(CLASSES)])
    centred = means - means.mean(axis=0)
    return centred @ centred.T


def variances(theta, x, labels, layer):
    h = features(theta, x)[layer]
    return np.array([((h[labels == k] - h[labels == k].mean(axis=0)) ** 2).sum(1).mean() for k in range(CLASSES)])


def along(quantity, theta, step, size=1e-5):
    """Derivative of a quantity along a step, by a central difference."""
    there, back = ([p + sign * size * s for p, s in zip(theta, step, strict=True)] for sign in (1, -1))
    return (quantity(there) - quantity(back)) / (2 * size)


def train(x, labels, *, steps, lr, momentum=0.0, decay=0.0, nesterov=False):
    """Return the parameters before each step and after the last, of plain gradient descent."""
    theta, velocity, path = start(), None, []
    for number in range(steps + 1):
        path.append(theta)
        g = [part + decay * p for part, p in zip(gradient(theta, x, labels), theta, strict=True)]
        velocity = g if velocity is None else [momentum * v + part for v, part in zip(velocity, g, strict=True)]
        update = [part + momentum * v for part, v in zip(g, velocity, strict=True)] if nesterov else velocity
        rate = lr(number) if callable(lr) else lr
        theta = [p - rate * u for p, u in zip(theta, update, strict=True)]
    return path


def module():
    return nn.Sequential(nn.Linear(INPUTS, WIDTH), nn.Tanh(), nn.Linear(WIDTH, CLASSES)).double()


def load(net, theta):
    net.load_state_dict({name: torch.as_tensor(part) for name, part in zip(NAMES, theta, strict=True)})
