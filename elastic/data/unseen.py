"""Held-out classes, on which no network is trained and for which it has no output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from elastic.data.contract import Samples
from elastic.errors import DataError

FIELD = "`data.unseen`"


def keep_aside(
    samples: Samples,
    unseen: Sequence[str | int],
    *,
    classes: Sequence[str | int] | None = None,
    superclasses: Mapping[str, Sequence[str | int]] | None = None,
) -> tuple[list[str | int] | None, Samples]:
    """Separate the held-out classes from those for training.

    Parameters
    ----------
    samples
        Samples of all classes.
    unseen
        Names of the held-out classes, in their new order.
    classes
        Names of the training classes; None: all others.
    superclasses
        Super-classes for training, in place of ``classes``.

    Returns
    -------
    tuple
        ``classes``, None if there are super-classes; and the samples of the held-out classes from both splits of the
        authors, labelled 0 … U−1.

    Raises
    ------
    DataError
        If a class is unknown, given twice, or also a training class; or if fewer than two are left for training.

    Examples
    --------
    >>> samples = Samples(torch.zeros(5, 1), torch.tensor([0, 1, 2, 3, 1]), ("cat", "dog", "oak", "elm"))
    >>> trained, unseen = keep_aside(samples, ["elm", "dog"])
    >>> trained, unseen.classes, unseen.labels.tolist()
    (['cat', 'oak'], ('elm', 'dog'), [1, 0, 1])
    """
    if not unseen or len({*unseen}) < len(unseen):
        raise DataError(FIELD, "be one class or more, each once", f"{list(unseen)}", "[8, 9]")
    members = classes or [name for group in (superclasses or {}).values() for name in group]
    for name in unseen:
        if name not in samples.classes:
            known = ", ".join(repr(known) for known in samples.classes[:20])
            raise DataError(FIELD, "be classes of the data set", repr(name), f"some of {known}")
        if name in members:
            where = "data.classes" if classes else "data.superclasses"
            raise DataError(FIELD, f"be other classes than {where}", repr(name), "a class once")
    kept = list(classes) if classes else [name for name in samples.classes if name not in unseen]
    if superclasses is None and len(kept) < 2:
        raise DataError(FIELD, "leave two classes or more to train on", f"{kept}", "fewer classes")
    position = torch.full((len(samples.classes),), -1)
    for new, name in enumerate(unseen):
        position[samples.classes.index(name)] = new
    labels = position[samples.labels]
    aside = samples.take(labels >= 0)
    aside = replace(aside, labels=labels[labels >= 0], classes=tuple(unseen), is_test=None)
    return (None if superclasses is not None else kept), aside
