"""What a data set is, and how one is added.

A data set is one function under `dataset`. It is handed a seeded generator (most ignore it), takes its options
as keyword-only parameters and returns `Samples`. Everything else (class subsets, samples per class, splits,
normalisation) is done for all data sets alike in `elastic.data.preparation`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from elastic.registry import registry

#: Reads ``(generator, *, options) -> Samples``.
DataFunction = Callable[..., "Samples"]


@dataclass(frozen=True)
class Samples:
    """Labelled inputs.

    Attributes
    ----------
    inputs
        [n, …] floating point, as stored; images are [n, channels, height, width], vectors [n, features].
    labels
        [n] int64, positions in ``classes``.
    classes
        The K class names in the order of their positions.
    is_test
        [n] bool where the data's authors made a split of their own, otherwise None.
    fixed
        Whether the inputs mean what they are, so that no normalisation may change them.
    """

    inputs: Tensor
    labels: Tensor
    classes: tuple[str | int, ...]
    is_test: Tensor | None = None
    fixed: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Samples:
        """Return the samples at the positions ``index`` [m] (or under the mask [n])."""
        is_test = None if self.is_test is None else self.is_test[index]
        return Samples(self.inputs[index], self.labels[index], self.classes, is_test, self.fixed)


def dataset(name: str | None = None) -> Callable[[DataFunction], DataFunction]:
    """Register a function ``(generator: torch.Generator, *, options) -> Samples`` as a data set."""
    return registry("data").register(name)
