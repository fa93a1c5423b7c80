"""Class statistics of a stream with unknown classes: their names are collected in the first pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from elastic.arrays import Array
from elastic.errors import DegenerateInput
from elastic.metrics.class_statistics import ClassReading, read_around_means
from elastic.metrics.feature_batches import Features
from elastic.metrics.moments import LayerMoments, vectors

#: Starts a new pass over the batches: (features by layer, labels [b], numbers or strings).
NamedStream = Callable[[], Iterable[tuple[Features, Array]]]
#: Kinds of NumPy's types that are comparable.
KINDS = {"b": "numbers", "i": "numbers", "u": "numbers", "f": "numbers", "U": "strings"}


class ClassNames:
    """The sorted names of the classes found so far.

    Examples
    --------
    >>> names = ClassNames()
    >>> names.meet(np.array([7, 3])), names.meet(np.array([5, 3])), names.meet(np.array([5]))
    (tensor([], dtype=torch.int64), tensor([0, 2]), None)
    >>> names.values.tolist(), names.positions(np.array([7, 3])).tolist()
    ([3, 5, 7], [2, 0])
    """

    def __init__(self) -> None:
        self.values: Array = np.empty(0)

    def __len__(self) -> int:
        return len(self.values)

    def meet(self, labels: Array) -> Tensor | None:
        """Add the names in labels; return the new positions of earlier names, None if no name is new.

        Raises
        ------
        DegenerateInput
            If labels are strings in one batch and numbers in another.
        """
        known = self.values
        if len(known) and KINDS.get(known.dtype.kind, known.dtype.kind) != KINDS.get(
            labels.dtype.kind, labels.dtype.kind
        ):
            found = f"{known.dtype.name} in one batch, {labels.dtype.name} in another"
            raise DegenerateInput("`labels`", "be all numbers or all strings", found, "strings")
        self.values = np.unique(np.concatenate([known, labels]) if len(known) else labels)
        return None if len(self.values) == len(known) else torch.as_tensor(np.searchsorted(self.values, known))

    def positions(self, labels: Array) -> Tensor:
        """Return the positions [b] of labels among the names.

        Raises
        ------
        DegenerateInput
            If a label is none of them: it did not occur in any earlier pass.
        """
        places = np.searchsorted(self.values, labels).clip(max=len(self.values) - 1)
        if unknown := labels[self.values[places] != labels].tolist():
            found = f"class {unknown[0]!r} in the second pass alone"
            raise DegenerateInput("`labels`", "be the same in both passes", found, "fixed samples (inputs, labels)")
        return torch.as_tensor(places.astype(np.int64))


def read_named_classes(
    stream: NamedStream, *, rank_tolerance: float | None = None
) -> tuple[npt.NDArray[Any], Mapping[str, ClassReading]]:
    """Return the sorted class names, and the result of `read_classes` for every layer.

    Parameters
    ----------
    stream
        Called twice; yields the same samples each time.
    rank_tolerance
        As in `read_classes`.

    Raises
    ------
    DegenerateInput
        As in `read_classes`, and if layers change their width.

    Examples
    --------
    >>> h, y = torch.tensor([[-1.5], [-0.5], [0.5], [1.5]]), np.array(["dog", "dog", "cat", "cat"])
    >>> names, readings = read_named_classes(lambda: [({"h": h[:2]}, y[:2]), ({"h": h[2:]}, y[2:])])
    >>> names.tolist(), readings["h"].statistics.means.tolist()
    (['cat', 'dog'], [[1.0], [-1.0]])
    """
    names, layers = ClassNames(), dict[str, LayerMoments]()
    for features, labels in stream():
        moved = names.meet(labels)
        codes = names.positions(labels)
        for name, values in features.items():
            if name not in layers:
                layers[name] = LayerMoments(name, values, len(names))
            elif moved is not None:
                layers[name].widen(moved, len(names))
            _check_width(layers[name], values)
            layers[name].add(vectors(values), codes)
    if not layers:
        raise DegenerateInput("`loader`", "give samples", "none", "a loader of at least one batch")
    if len(names) < 2:
        raise DegenerateInput("`labels`", "name at least 2 classes", str(len(names)), "data of two or more classes")
    batches = ((features, names.positions(labels)) for features, labels in stream())
    return names.values, read_around_means(layers, batches, rank_tolerance=rank_tolerance)


def _check_width(layer: LayerMoments, features: Tensor) -> None:
    width, expected = features[0].numel(), len(layer.origin)
    if width != expected:
        found, hint = f"{width} features after {expected}", "inputs padded to one length, or a layer of one width"
        raise DegenerateInput(f"features of layer {layer.name!r}", "be as many in every batch", found, hint)
