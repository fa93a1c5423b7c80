"""Training sets with random labels."""

from __future__ import annotations

from dataclasses import replace

import torch

from elastic.data.contract import Samples


def randomize_labels(samples: Samples, fraction: float, generator: torch.Generator) -> Samples:
    """Replace the labels of a random share of the samples by labels drawn uniformly from all classes.

    The drawn label may be the true one, so that with K classes a share of fraction·(1 − 1/K) is wrong on average; at
    fraction 1 labels are independent of inputs. Samples relabelled at a smaller fraction get the same labels at a
    larger one. Fine labels stay unchanged: the network is not trained on them. Source: zhang2017understanding.

    Parameters
    ----------
    fraction
        Share of the samples, rounded; 0 changes none.

    Examples
    --------
    >>> samples = Samples(torch.zeros(1000, 1), torch.zeros(1000, dtype=torch.int64), (0, 1))
    >>> noisy = randomize_labels(samples, 0.5, torch.Generator().manual_seed(0))
    >>> 200 < int(noisy.labels.sum()) < 300      # half of 500
    True
    """
    order = torch.randperm(len(samples), generator=generator)
    drawn = torch.randint(len(samples.classes), (len(samples),), generator=generator)
    chosen = order[: round(fraction * len(samples))]
    labels = samples.labels.clone()
    labels[chosen] = drawn[chosen]
    return replace(samples, labels=labels)
