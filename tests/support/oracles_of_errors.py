"""Slow twins of what elasticity is known to: each sample is taken out, and everything computed again."""

from __future__ import annotations

import copy

import numpy as np
from scipy import stats

PRIOR = 30


class Pairs:
    """Movements' norms of pairs [J, M], NaN for a sample with itself; samples are left out by position."""

    def __init__(self, moved, own, stepped, observed, same, classes):
        self.table = np.linalg.norm(np.asarray(moved), axis=2)
        for a in range(len(stepped)):
            for m in range(len(observed)):
                if same(a, m):
                    self.table[a, m] = np.nan
        self.own = np.linalg.norm(np.asarray(own), axis=1)
        self.labels, self.classes = (np.array(stepped), np.array(observed)), classes

    def without(self, side, i):
        result = copy.copy(self)
        result.table = np.delete(self.table, i, axis=side)
        result.own = np.delete(self.own, i) if side == 0 else self.own
        labels = list(self.labels)
        labels[side] = np.delete(labels[side], i)
        result.labels = tuple(labels)
        return result

    def of_class(self, j, side):
        return np.flatnonzero(self.labels[side] == j)

    def norms(self, j, k):
        return self.table[np.ix_(self.of_class(j, 0), self.of_class(k, 1))]

    def response(self, j, k):
        result = self.norms(j, k)
        return np.mean(result[~np.isnan(result)])

    def similarity(self, j, k):
        return self.response(j, k) / np.mean(self.own[self.of_class(j, 0)])

    def locality(self):
        S = table(self, Pairs.similarity)
        outside = [S[j, k] for j in range(self.classes) for k in range(self.classes) if j != k]
        return np.mean(np.diag(S)) / np.mean(outside)


def left_out(pairs, value, label, side):
    """Logarithms of a value without each sample of a class on a side, less that of the whole."""
    whole = value(pairs)
    return [np.log(value(pairs.without(side, i)) / whole) for i in pairs.of_class(label, side)]


def logs_of(pairs, value, j, k, side):
    n = len(pairs.of_class((j, k)[side], side))
    return [max(log, -2 * np.log(n)) for log in left_out(pairs, lambda p: value(p, j, k), (j, k)[side], side)]


def jackknifed(logs):
    return (len(logs) - 1) * np.var(logs)


def variances(pairs, value, pair_excess, labels):
    """Variance of the logarithm and degrees of freedom of each pair of classes, of labels on both sides."""
    shape = tuple(map(len, labels))
    count = [np.array([len(pairs.of_class(label, side)) for label in labels[side]]) for side in (0, 1)]
    n = [np.broadcast_to(count[0][:, None], shape), np.broadcast_to(count[1], shape)]
    parts = []
    for side in (0, 1):
        each = [[jackknifed(logs_of(pairs, value, j, k, side)) for k in labels[1]] for j in labels[0]] * n[side]
        freedom = n[side] - 1.0
        whole = (each * freedom).sum() / freedom.sum()
        others = np.clip(sum(count[side] - 1) - freedom, 0, PRIOR)
        parts.append((freedom * each + others * whole) / (freedom + others) / n[side])
    independent = np.zeros(shape)
    for row, j in enumerate(labels[0]):
        for column, k in enumerate(labels[1]):
            excess = pairs.norms(j, k) / pairs.response(j, k) - 1 - pair_excess(pairs, j)[:, None]
            size = np.sum(~np.isnan(excess))
            independent[row, column] = np.nansum(np.square(excess)) / (size * (size - 1))
    both = np.maximum(parts[0] + parts[1] - independent, np.maximum(*parts))
    fewest = np.minimum(*n) - 1.0
    others = np.clip(min(sum(count[0] - 1), sum(count[1] - 1)) - fewest, 0, PRIOR)
    return both, stats.t.ppf(0.975, fewest + others)


def nothing(pairs, j):
    return np.zeros(len(pairs.of_class(j, 0)))


def own_excess(pairs, j):
    own = pairs.own[pairs.of_class(j, 0)]
    return own / np.mean(own) - 1


def table(pairs, value, labels=None):
    rows, columns = labels or (range(pairs.classes),) * 2
    return np.array([[value(pairs, j, k) for k in columns] for j in rows])


def ends(pairs, value, excess, labels=None):
    """Return lower end, standard error and upper end of each pair of classes."""
    V, t = variances(pairs, value, excess, labels or (range(pairs.classes),) * 2)
    whole = table(pairs, value, labels)
    return (
        whole * np.exp(np.minimum(V / 2 - t * np.sqrt(V), 0)),
        whole * (np.exp(V / 2 + t * np.sqrt(V)) - 1) / 2,
        whole * np.exp(V / 2 + t * np.sqrt(V)),
    )


def locality_ends(pairs):
    """Corrected locality, and the ends of its interval."""
    bias, parts = 0.0, []
    for side in (0, 1):
        for j in range(pairs.classes):
            logs = left_out(pairs, Pairs.locality, j, side)
            bias += (len(logs) - 1) * np.mean(logs)
            parts.append(jackknifed(logs))
    freedom = sum(parts) ** 2 / np.sum(np.square(parts))
    reach = stats.t.ppf(0.975, max(freedom, 1)) * np.sqrt(2 * sum(parts) + 4 * bias**2)
    corrected = pairs.locality() * np.exp(-bias)
    return corrected * np.exp(-reach), corrected, corrected * np.exp(reach)
