"""Slow twins of what steps do to losses and outputs: inner products of parameter gradients, and loops over pairs."""

from __future__ import annotations

import numpy as np

from support import oracles


def table(values, stepped, observed, same, classes):
    """Mean over the pairs of each two classes of numbers (or vectors) [J][M]."""
    return oracles.class_by_class(
        lambda j, k: np.mean([values[a][m] for a, m in oracles.pairs_of(j, k, stepped, observed, same)], axis=0),
        classes,
    )


def clustered(values, stepped, observed, same, classes):
    """Two-way clustered standard error of that mean of numbers [J][M], by `oracles.response_stderr_clustered`.

    That one takes norms of movements: of numbers that are shifted to be positive, the error is the same.
    """
    shifted = (np.asarray(values) - np.min(values))[..., None]
    return oracles.response_stderr_clustered(shifted, stepped, observed, same, classes)


def loss_response(loss_rates_of_pairs, stepped, observed, same, classes):
    return table(loss_rates_of_pairs, stepped, observed, same, classes)


def loss_response_stderr(loss_rates_of_pairs, stepped, observed, same, classes):
    return clustered(loss_rates_of_pairs, stepped, observed, same, classes)


def effects(loss_rates_of_pairs, same):
    rates = np.abs(loss_rates_of_pairs)
    return [[rates[a][m] for a in range(len(rates)) if not same(a, m)] for m in range(len(rates[0]))]


def local_stability(loss_rates_of_pairs, same):
    return max(np.mean(of_sample) for of_sample in effects(loss_rates_of_pairs, same))


def uniform_stability(loss_rates_of_pairs, same):
    return max(max(of_sample) for of_sample in effects(loss_rates_of_pairs, same))


def logit_response(moved_outputs, stepped, observed, same, classes):
    return table(moved_outputs, stepped, observed, same, classes)


def logit_response_stderr(moved_outputs, stepped, observed, same, classes):
    each = [clustered(moved_outputs[..., o], stepped, observed, same, classes) for o in range(moved_outputs.shape[-1])]
    return np.stack(each, axis=-1)


def squeezed_probability(moved_outputs, outputs, stepped, observed, same, classes):
    """Central difference of the softmax probability of the class that is the most likely one before the step."""

    def most_likely(z, place):
        return np.exp(z[place] - z.max()) / np.exp(z - z.max()).sum()

    def rate(a, m, h=1e-5):
        place, way = int(np.argmax(outputs[m])), moved_outputs[a][m]
        return (most_likely(outputs[m] + h * way, place) - most_likely(outputs[m] - h * way, place)) / (2 * h)

    rates = [[rate(a, m) for m in range(len(observed))] for a in range(len(stepped))]
    return table(rates, stepped, observed, same, classes)
