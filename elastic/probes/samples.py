"""Choice of the probed samples: drawn once from a run's seed, independently of training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from elastic.data.contract import Samples
from elastic.data.preparation import draws
from elastic.data.transforms import choose_disjoint, choose_per_class
from elastic.errors import DegenerateInput
from elastic.registry import shorten

#: Draws of a run, independent of those of training. The splits of collapse have COLLAPSE_DRAW, COLLAPSE_DRAW + 2, …
COLLAPSE_DRAW, ELASTICITY_DRAW = 10, 11


def collapse_samples(samples: Mapping[str, Samples], per_class: int | None, seed: int) -> dict[str, Samples]:
    """Return the samples of each split on which collapse is measured.

    Parameters
    ----------
    samples
        By split, "train" first.
    per_class
        Samples of each (fine) class; None: all of them.
    seed
        Of the draw.

    Raises
    ------
    DegenerateInput
        If the train split, whose class means are used for every split, has no samples of a class.
    """
    if absent := samples["train"].absent_classes():
        elsewhere = any(set(absent) - set(part.absent_classes()) for part in samples.values())
        other = "train samples of those that occur" if elsewhere else "a model with one output a class that occurs"
        hint = f"{other}, or no probe of collapse and of weights"
        expected = "hold samples of every class, as there is no mean of none"
        raise DegenerateInput("`train`", expected, f"none of {shorten(absent)}", hint)
    chosen = {}
    for number, (split, part) in enumerate(samples.items()):
        index = choose_per_class(part.strata[0].cpu(), per_class, draws(seed, COLLAPSE_DRAW + 2 * number))
        chosen[split] = part.take(index.to(part.labels.device))
    return chosen


def elasticity_draws(
    part: Samples, stepped: int, observed: int, seed: int, *, most: int | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Return the positions of stepped and observed samples, in draws of doubled size up to the most allowed.

    Parameters
    ----------
    part
        Samples to draw from.
    stepped, observed
        Samples of each (fine) class in the first draw.
    seed
        Of the draws.
    most
        Most samples of each class in the last draw; None: there is one draw.
    """
    sizes = [(stepped, observed)]
    while most is not None and max(stepped, observed) * 2 <= most:
        stepped, observed = 2 * stepped, 2 * observed
        sizes.append((stepped, observed))
    labels, place = part.strata[0].cpu(), part.labels.device
    chosen = [choose_disjoint(labels, *size, draws(seed, ELASTICITY_DRAW)) for size in sizes]
    return [(first.to(place), second.to(place)) for first, second in chosen]
