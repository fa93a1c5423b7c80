"""Slow twins of the metrics of unseen and of fine classes, in plain numpy loops; the linear probe by scipy."""

from __future__ import annotations

import numpy as np
import scipy

from support import oracles_of_errors as errors


def few_shot(fit, fit_labels, held, held_labels, supports):
    collected = []
    for support in supports.values():
        right = []
        for episode in support:
            means = [np.mean([fit[i] for i in chosen], axis=0) for chosen in episode]
            names = [fit_labels[chosen[0]] for chosen in episode]
            for h, label in zip(held, held_labels, strict=True):
                right.append(names[int(np.argmin([np.linalg.norm(h - mean) for mean in means]))] == label)
        collected.append(np.mean(right))
    return np.array(collected)


def linear_probe(fit, fit_labels, held, held_labels, penalty):
    """Softmax regression of three classes or more on the features as they are, by scipy's optimiser."""
    mean = fit.mean(axis=0)
    scale = np.sqrt(np.mean([np.sum((h - mean) ** 2) for h in fit]))
    x, names = (fit - mean) / scale, np.unique(fit_labels)
    result = (fit_labels[:, None] == names).astype(float)

    def objective(flat):
        weights = flat.reshape(x.shape[1] + 1, len(names))
        logits = x @ weights[:-1] + weights[-1]
        lse = scipy.special.logsumexp(logits, axis=1)
        value = np.mean(lse - (logits * result).sum(axis=1)) + penalty / 2 * np.sum(weights[:-1] ** 2)
        slope = (np.exp(logits - lse[:, None]) - result) / len(x)
        return value, np.concatenate([x.T @ slope + penalty * weights[:-1], slope.sum(axis=0)[None]]).ravel()

    exactly = {"method": "L-BFGS-B", "options": {"gtol": 1e-10, "ftol": 0, "maxcor": 50, "maxiter": 10_000}}
    best = scipy.optimize.minimize(objective, np.zeros((x.shape[1] + 1) * len(names)), jac=True, **exactly).x
    weights = best.reshape(x.shape[1] + 1, len(names))
    decided = names[((held - mean) / scale @ weights[:-1] + weights[-1]).argmax(axis=1)]
    return np.mean(decided == held_labels)


def nc5_orthogonality(seen, seen_labels, fit, held):
    other = np.mean(np.concatenate([fit, held]), axis=0)
    means = [seen[seen_labels == k].mean(axis=0) for k in np.unique(seen_labels)]
    return np.mean([abs(m @ other) / np.linalg.norm(m) / np.linalg.norm(other) for m in means])


def response_unseen(moved, stepped, observed):
    def mean(j, u):
        pairs = [
            np.linalg.norm(moved[a][m]) for a in np.flatnonzero(stepped == j) for m in np.flatnonzero(observed == u)
        ]
        return np.mean(pairs)

    return np.array([[mean(j, u) for u in np.unique(observed)] for j in np.unique(stepped)])


def relative_similarity_unseen(moved, own, stepped, observed):
    own_sizes = [np.mean([np.linalg.norm(own[a]) for a in np.flatnonzero(stepped == j)]) for j in np.unique(stepped)]
    return response_unseen(moved, stepped, observed) / np.array(own_sizes)[:, None]


def kernel_similarity_unseen(moved, own, stepped, observed):
    def ratio(j, u):
        steps, seen = np.flatnonzero(stepped == j), np.flatnonzero(observed == u)
        return np.mean([moved[a][m] @ own[a] for a in steps for m in seen]) / np.mean([own[a] @ own[a] for a in steps])

    return np.array([[ratio(j, u) for u in np.unique(observed)] for j in np.unique(stepped)])


def response_unseen_stderr(moved, stepped, observed):
    """As of all classes, with the unseen ones observed only and the others stepped only."""
    own, labels = np.ones((len(stepped), 1)), (np.unique(stepped), np.unique(observed))
    pairs = errors.Pairs(moved, own, stepped, observed, lambda a, m: False, None)
    return errors.ends(pairs, errors.Pairs.response, errors.nothing, labels)[1]
