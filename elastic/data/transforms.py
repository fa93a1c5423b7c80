"""Transformations of data sets: pure functions from samples or labels to samples or indices.

All random choices use the generator that the caller passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import frexp, isfinite, sqrt

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.errors import DataError


def choose_classes(samples: Samples, classes: Sequence[str | int], *, field: str = "`data.classes`") -> Samples:
    """Select the samples of some classes, relabelled 0 … K−1 in the given order; errors name ``field``.

    Raises
    ------
    DataError
        If a class is unknown or given twice, or fewer than two are given.

    Examples
    --------
    >>> samples = Samples(torch.zeros(4, 1), torch.tensor([0, 1, 2, 1]), ("cat", "dog", "owl"))
    >>> choose_classes(samples, ["owl", "dog"]).labels.tolist()
    [1, 0, 1]
    """
    if len(classes) < 2 or len({*classes}) < len(classes):
        raise DataError(field, "be two classes or more, each once", f"{list(classes)}", "[0, 1]")
    position = torch.full((len(samples.classes),), -1)
    for new, name in enumerate(classes):
        if name not in samples.classes:
            known = ", ".join(repr(known) for known in samples.classes[:20])
            raise DataError(field, "be classes of the data set", repr(name), f"some of {known}")
        position[samples.classes.index(name)] = new
    labels = position[samples.labels]
    kept = samples.take(labels >= 0)
    return replace(kept, labels=labels[labels >= 0], classes=tuple(classes))


def split(samples: Samples, test_fraction: float | None, generator: torch.Generator) -> tuple[Samples, Samples]:
    """Split samples into train and test.

    Without a ``test_fraction`` the authors' split is kept; if there is none, the fraction is 0.2. A random split is
    stratified: of each class (each fine class, if there are super-classes) the rounded fraction is test, and each split
    gets at least one sample.

    Raises
    ------
    DataError
        If the fraction is not between 0 and 1, or a class would be missing from a split.
    """
    if test_fraction is None and samples.is_test is not None:
        is_test = samples.is_test
    else:
        fraction = 0.2 if test_fraction is None else test_fraction
        if not 0 < fraction < 1:
            raise DataError("`data.test_fraction`", "lie between 0 and 1", f"{fraction}", "test_fraction: 0.2")
        is_test = _stratified(samples.strata[0], fraction, generator)
    parts = {"train": samples.take(~is_test), "test": samples.take(is_test)}
    for part, taken in parts.items():
        strata, names = taken.strata
        counts = torch.bincount(strata, minlength=len(names))
        if not counts.all():
            name = names[int(counts.argmin())]
            raise DataError("the data", f"have a {part} sample of each class", f"none of class {name!r}",
                            "other `data.classes`, or a `data.test_fraction`")  # fmt: skip
    train, test = (replace(part, is_test=None) for part in parts.values())
    return train, test


def take_per_class(samples: Samples, per_class: int, generator: torch.Generator) -> Samples:
    """Select ``per_class`` random samples of each class (each fine class, if any), preserving the order.

    Raises
    ------
    DataError
        If a class has fewer.
    """
    strata, names = samples.strata
    counts = torch.bincount(strata, minlength=len(names))
    if not 1 <= per_class <= int(counts.min()):
        rarest = names[int(counts.argmin())]
        expected = f"be 1 to {int(counts.min())}, the number of train samples of class {rarest!r}"
        raise DataError("`data.per_class`", expected, f"{per_class}", f"per_class: {int(counts.min())}")
    return samples.take(choose_per_class(strata, per_class, generator))


def choose_per_class(
    labels: Tensor, per_class: int | None, generator: torch.Generator, *, sizes: Sequence[int] | None = None
) -> Tensor:
    """Return sorted indices of ``per_class`` random samples of each class.

    Parameters
    ----------
    labels
        [n] integers.
    per_class
        Number per class; all if None or if the class has fewer.
    generator
        Generator of one permutation per class, in the order of the labels.
    sizes
        Number for each class, if they differ.

    Examples
    --------
    >>> labels = torch.tensor([7, 3, 7, 3, 7])
    >>> labels[choose_per_class(labels, 2, torch.Generator())].bincount()[[3, 7]].tolist()
    [2, 2]
    """
    shuffled = _shuffled_classes(labels, generator)
    wanted = [per_class] * len(shuffled) if sizes is None else sizes
    return torch.cat([members[:size] for members, size in zip(shuffled, wanted, strict=True)]).sort().values


def choose_disjoint(labels: Tensor, first: int, second: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return sorted indices of ``first`` random samples of each class, and of ``second`` different ones.

    If a class has fewer than first + second samples, the second draw takes the remaining samples, then samples of the
    first draw. Neither draw contains a sample twice: a class with fewer than ``first`` (or ``second``) samples
    contributes all of them.

    Examples
    --------
    >>> stepped, observed = choose_disjoint(torch.tensor([0, 0, 0, 1, 1]), 1, 2, torch.Generator())
    >>> len(stepped), len(observed), set(observed[:2].tolist()) & set(stepped.tolist())
    (2, 4, set())
    """
    drawn = _shuffled_classes(labels, generator)
    ones = [members[:first] for members in drawn]
    others = [torch.cat([members[first:], members[:first]])[:second] for members in drawn]
    return torch.cat(ones).sort().values, torch.cat(others).sort().values


def standardize(train: Samples, test: Samples) -> tuple[Samples, Samples]:
    """Subtract the train split's mean from both splits and divide by its standard deviation, both scalars.

    The mean is over all samples and pixels, the deviation that of the population. Both are summed in float64 and
    rounded, the mean to a 2⁻²⁸th of the deviation, the deviation to float32, so that the result does not depend on the
    order of summation, which varies with the number of threads.

    Raises
    ------
    DataError
        If all train inputs are the same number, or too large to be squared.

    Examples
    --------
    >>> train = Samples(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]), (0, 1))
    >>> [part.inputs.flatten().tolist() for part in standardize(train, train)]
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    count = train.inputs.numel()
    mean = sum(float(chunk.sum()) for chunk in _float64_chunks(train)) / count
    variance = sum(float((chunk - mean).square().sum()) for chunk in _float64_chunks(train)) / count
    deviation = float(torch.tensor(sqrt(variance), dtype=torch.float32))
    if not (deviation > 0 and isfinite(deviation)):
        found = f"mean {mean:g} and standard deviation {deviation:g}"
        raise DataError("the train inputs", "vary, in the range of float32", found, "other data, or normalize: none")
    quantum = 2.0 ** (frexp(deviation)[1] - 28)
    mean = round(mean / quantum) * quantum
    first, second = (
        replace(part, inputs=torch.cat([((chunk - mean) / deviation).float() for chunk in _float64_chunks(part)]))
        for part in (train, test)
    )
    return first, second


def _float64_chunks(samples: Samples) -> Iterator[Tensor]:
    """Yield the inputs in float64 in chunks, because a complete copy would need too much memory."""
    return (chunk.double() for chunk in samples.inputs.split(4096))


def _stratified(labels: Tensor, fraction: float, generator: torch.Generator) -> Tensor:
    """Return the mask [n] of the test split."""
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for members in _shuffled_classes(labels, generator):
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        is_test[members[:count]] = True
    return is_test


def _shuffled_classes(labels: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Return the indices of each class, in random order."""
    members = [(labels == label).nonzero().flatten() for label in labels.unique()]
    return [positions[torch.randperm(len(positions), generator=generator)] for positions in members]
