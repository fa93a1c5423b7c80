"""Merging of classes into super-classes for training, while fine labels are kept for measuring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from elastic.data.contract import Samples
from elastic.data.transforms import choose_classes
from elastic.errors import DataError

FIELD = "`data.superclasses`"


def merge_classes(samples: Samples, superclasses: Mapping[str, Sequence[str | int]]) -> Samples:
    """Relabel samples by super-class; the original classes become fine labels.

    The setting of he2020local: a network is trained on a primary and an auxiliary super-class, and its local elasticity
    shows whether it distinguishes the fine classes inside them.

    Parameters
    ----------
    samples
        Samples of any classes; those in no super-class are dropped.
    superclasses
        Fine classes of each super-class by name. Super-classes are sorted alphabetically (the order of keys in a file
        is irrelevant); fine classes are ordered by super-class and then as given.

    Raises
    ------
    DataError
        If there are fewer than two super-classes, one is empty, or a class is unknown or given twice.

    Examples
    --------
    >>> samples = Samples(torch.zeros(5, 1), torch.tensor([0, 1, 2, 3, 1]), ("cat", "dog", "oak", "elm"))
    >>> merged = merge_classes(samples, {"tree": ["elm"], "animal": ["cat", "dog"]})
    >>> merged.classes, merged.labels.tolist()
    (('animal', 'tree'), [0, 0, 1, 0])
    >>> merged.fine_classes, merged.fine_labels.tolist()
    (('cat', 'dog', 'elm'), [0, 1, 2, 1])
    """
    groups = {name: list(superclasses[name]) for name in sorted(superclasses)}
    example = "{primary: [5, 8], auxiliary: [4, 9]}"
    if len(groups) < 2 or not all(groups.values()):
        raise DataError(FIELD, "be two super-classes or more, each of one class or more", f"{groups}", example)
    members = [fine for group in groups.values() for fine in group]
    if len({*members}) < len(members):
        repeated = next(fine for fine in members if members.count(fine) > 1)
        raise DataError(FIELD, "hold each class once", f"{repeated!r} twice", example)
    chosen = choose_classes(samples, members, field=FIELD)
    owner = torch.arange(len(groups)).repeat_interleave(torch.tensor([len(group) for group in groups.values()]))
    return replace(
        chosen,
        labels=owner[chosen.labels],
        classes=tuple(groups),
        fine_labels=chosen.labels,
        fine_classes=chosen.classes,
    )
