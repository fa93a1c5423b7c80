"""Features of classes that a network is not trained on, in two disjoint parts for measuring transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.data.preparation import draws
from elastic.errors import ModelError
from elastic.metrics.transfer import TransferFeatures
from elastic.models.contract import TappedModel
from elastic.probes.evaluation import probed
from elastic.probes.features import FeatureStream, bytes_of, flat_taps

#: Draws of a run, independent of those of training and of other probes (`elastic.probes.samples`).
HALVES_DRAW, EPISODE_DRAW, STEPPED_DRAW, FINE_DRAW = 21, 23, 25, 27


def halves(labels: Tensor, per_class: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """Return sorted positions of two random halves of each class; for an odd number the first half has one more.

    Parameters
    ----------
    labels
        [n].
    per_class
        Samples of each class in both halves together; None: all.
    seed
        Of the draw.

    Examples
    --------
    >>> first, second = halves(torch.tensor([0, 0, 0, 1, 1]), None, seed=0)
    >>> len(first), len(second), sorted([*first.tolist(), *second.tolist()])
    (3, 2, [0, 1, 2, 3, 4])
    """
    generator = draws(seed, HALVES_DRAW)
    parts: tuple[list[Tensor], list[Tensor]] = ([], [])
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)][:per_class]
        cut = (len(members) + 1) // 2
        parts[0].append(members[:cut])
        parts[1].append(members[cut:])
    first, second = (torch.cat(part).sort().values for part in parts)
    return first, second


def episodes(labels: Tensor, shots: Sequence[int], count: int, seed: int, option: str) -> dict[int, Tensor]:
    """Return the support samples of each number of shots: {s: [count, classes, s] positions}.

    Parameters
    ----------
    labels
        [n]; classes are in the order of their labels.
    shots
        Numbers of samples of each class.
    count
        Episodes, each of all classes.
    seed
        Of the draws.
    option
        Subject of an error.

    Raises
    ------
    ModelError
        If a class has fewer samples than shots.

    Examples
    --------
    >>> labels = torch.tensor([4, 4, 7, 7, 7])
    >>> {s: tuple(chosen.shape) for s, chosen in episodes(labels, [1, 2], 3, seed=0, option="`shots`").items()}
    {1: (3, 2, 1), 2: (3, 2, 2)}
    """
    members = [(labels == label).nonzero().flatten() for label in labels.unique()]
    fewest = min((len(positions) for positions in members), default=0)
    generator, drawn = draws(seed, EPISODE_DRAW), {}
    for s in shots:
        if s > fewest:
            expected = f"be at most {fewest}, the samples of the rarest class from which they are drawn"
            raise ModelError(option, expected, str(s), f"shots: [{max(fewest, 1)}], or more samples per class")
        drawn[s] = torch.stack([
            torch.stack([m[torch.randperm(len(m), generator=generator)[:s]] for m in members]) for _ in range(count)
        ])  # fmt: skip
    return drawn


def features_of(model: TappedModel, inputs: Tensor, memory_budget: int) -> dict[str, Tensor]:
    """Return the features [n, d] of the input and of every layer, in batches within the memory budget."""
    labels = torch.zeros(len(inputs), dtype=torch.int64, device=inputs.device)
    batches = [features for features, _ in FeatureStream(model, inputs, labels, memory_budget=memory_budget)()]
    return {layer: torch.cat([batch[layer] for batch in batches]) for layer in batches[0]}


def check_features_budget(model: TappedModel, samples: Samples, count: int, memory_budget: int, option: str) -> None:
    """Raise a ModelError if the features of all layers of so many samples take more than the memory budget."""
    with torch.no_grad(), probed(model) as state:
        needed = count * bytes_of(flat_taps(model, samples.inputs[:1], state))
    if needed > memory_budget:
        expected = f"be so few that their features, {needed} bytes, fit into the memory budget"
        raise ModelError(
            option, expected, f"{count} samples and {memory_budget} bytes", "a smaller number, or memory_budget"
        )


def transfer_features(
    fit: tuple[Mapping[str, Tensor], Tensor],
    held: tuple[Mapping[str, Tensor], Tensor],
    supports: Mapping[int, Tensor],
    penalty: float,
) -> dict[str, TransferFeatures]:
    """Return each layer's features in two parts, from (features by layer, labels) of each part."""
    (fitted, fit_labels), (others, held_labels) = fit, held
    return {
        layer: TransferFeatures(fitted[layer], fit_labels, others[layer], held_labels, supports, penalty)
        for layer in fitted
    }
