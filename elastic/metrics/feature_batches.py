"""Features of all layers batch by batch, as a stream that can be read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from torch import Tensor

from elastic.errors import DegenerateInput

#: Features [b, …] of one batch by layer.
Features = Mapping[str, Tensor]
#: Function that starts a new pass over the batches: (features by layer, labels [b] int64 in 0..K-1).
FeatureStream = Callable[[], Iterable[tuple[Features, Tensor]]]


def labelled_batches(stream: FeatureStream, classes: int) -> Iterator[tuple[Features, Tensor]]:
    """Yield the non-empty batches, with labels int64.

    Raises
    ------
    DegenerateInput
        For a label outside 0..K-1.
    """
    for features, labels in stream():
        if len(labels) == 0:
            continue
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= classes:
            wrong = str(low if low < 0 else high)
            raise DegenerateInput("`labels`", f"lie in 0..{classes - 1}", wrong, "labels numbered from 0")
        yield features, labels.long()
