"""Preparation of the train and test samples of one run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.data.imbalance import take_imbalanced
from elastic.data.label_noise import randomize_labels
from elastic.data.superclasses import merge_classes
from elastic.data.transforms import choose_classes, split, standardize, take_per_class
from elastic.data.unseen import keep_aside
from elastic.errors import DataError, ElasticError
from elastic.protocol.yaml_scalars import UNPRINTABLE
from elastic.registry import registry, shorten

Normalize = Literal["standardize", "none"]

_DATA_SET, _SPLIT, _PER_CLASS, _IMBALANCE, _LABEL_NOISE = range(5)


@dataclass(frozen=True)
class Prepared:
    """The data of a run.

    Attributes
    ----------
    train, test
        Samples with float32 inputs; each part has every class.
    digest
        SHA-256 of all parts' inputs, labels and class names, fine ones too.
    unseen
        Samples of held-out classes, neither trained on nor tested, with their own labels; None if there are none.
    """

    train: Samples
    test: Samples
    digest: str
    unseen: Samples | None = None


def prepare(
    name: str,
    options: Mapping[str, Any],
    *,
    per_class: int | None = None,
    classes: Sequence[int | str] | None = None,
    superclasses: Mapping[str, Sequence[int | str]] | None = None,
    test_fraction: float | None = None,
    imbalance: Mapping[str, Any] | None = None,
    label_noise: float = 0.0,
    normalize: Normalize = "standardize",
    seed: int = 0,
    unseen: Sequence[int | str] | None = None,
) -> Prepared:
    """Load a data set, select classes, split it, select samples, add label noise and normalise it.

    Each random step has its own generator, derived from ``seed``: selecting fewer samples does not change the split.
    The global random state is neither read nor changed.

    Parameters
    ----------
    name
        Registered name of the data set.
    options
        Options of the data set in the protocol.
    per_class
        Number of random train samples of each class (each fine class, if there are super-classes); None keeps all. The
        test split is never subsampled.
    classes
        Names of the classes to keep, in their new order; None keeps all.
    superclasses
        Groups of classes that become one class each (see `merge_classes`), in place of ``classes``.
    test_fraction
        Share of each class drawn for testing. None keeps the authors' split, or draws 0.2 if there is none.
    imbalance
        Options of `take_imbalanced`, which subsamples classes of the train split.
    label_noise
        Share of the train samples with random labels.
    normalize
        ``standardize`` (mean 0 and standard deviation 1 of all train pixels together) or ``none``.
    seed
        Nonnegative integer.
    unseen
        Names of held-out classes (see `keep_aside`): all of their samples, normalised like the others.

    Raises
    ------
    UnknownName, OptionError
        If the data set is unknown, or its options are invalid.
    DataError
        If the data are missing, damaged, not finite, or too few for the requested options.

    Examples
    --------
    >>> data = prepare("digits", {}, per_class=20, classes=[3, 8])
    >>> len(data.train), len(data.test), data.train.classes
    (40, 72, (3, 8))
    """
    samples = _load(name, options, draws(seed, _DATA_SET))
    if classes is not None and superclasses is not None:
        raise DataError("`data.classes`", "be left out if data.superclasses is given", f"{list(classes)}",
                        "leaving it out: the classes in no super-class are not kept anyway")  # fmt: skip
    aside: Samples | None = None
    if unseen is not None:
        classes, aside = keep_aside(samples, unseen, classes=classes, superclasses=superclasses)
    if classes is not None:
        samples = choose_classes(samples, classes)
    if superclasses is not None:
        samples = merge_classes(samples, superclasses)
    train, test = split(samples, test_fraction, draws(seed, _SPLIT))
    if per_class is not None:
        train = take_per_class(train, per_class, draws(seed, _PER_CLASS))
    if imbalance is not None:
        train = take_imbalanced(train, draws(seed, _IMBALANCE), **imbalance)
    if label_noise > 0:
        train = randomize_labels(train, label_noise, draws(seed, _LABEL_NOISE))
    if normalize == "standardize" and not samples.fixed:
        aside = None if aside is None else standardize(train, aside)[1]
        train, test = standardize(train, test)
    train, test = _float32(train), _float32(test)
    if aside is None:
        return Prepared(train, test, _digest(train, test))
    aside = _float32(aside)
    return Prepared(train, test, _digest(train, test, aside), aside)


def _load(name: str, options: Mapping[str, Any], generator: torch.Generator) -> Samples:
    entry = registry("data").get(name)
    complete = entry.complete(options)
    try:
        samples: Samples = entry.function(generator, **complete)
    except ElasticError:
        raise
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
        raise DataError(f"data `{name}`", "load", found, f"other options (elastic show {name})") from error
    _check_parts(f"data `{name}`", samples)
    if len(samples.classes) < 2:
        raise DataError(f"data `{name}`", "have two classes or more", f"{list(samples.classes)}", "other data")
    _check_labels(f"data `{name}`", samples)
    return samples


def _check_parts(data: str, samples: object) -> None:
    """Raise a DataError unless a data set returned Samples whose tensors have one row for each label."""
    if not isinstance(samples, Samples):
        hint = "Samples(inputs, labels, classes) of elastic.data.contract"
        raise DataError(data, "return Samples", type(samples).__name__, hint)
    for name in ("labels", "inputs", "is_test", "fine_labels", "targets", "geodesic"):
        part = getattr(samples, name)
        if part is None and name not in ("labels", "inputs"):
            continue
        if not isinstance(part, Tensor):
            raise DataError(f"{data}: `{name}`", "be a tensor", type(part).__name__, f"torch.as_tensor({name})")
        if part.requires_grad:
            raise DataError(f"{data}: `{name}`", "need no gradient", "requires_grad", f"{name}.detach()")
        flat = name not in ("inputs", "targets")
        if part.ndim == 0 or (flat and part.ndim != 1) or len(part) != len(samples.labels):
            expected = "have one value for each sample" if flat else "have one row for each label"
            found = f"shape {tuple(part.shape)} beside labels of shape {tuple(samples.labels.shape)}"
            raise DataError(f"{data}: `{name}`", expected, found, f"another shape of `{name}`")
        if name == "is_test" and part.dtype != torch.bool:
            raise DataError(f"{data}: `{name}`", "be boolean (torch.bool)", f"{part.dtype}", "is_test.bool()")


def _check_labels(data: str, samples: Samples) -> None:
    """Raise a DataError unless labels are class indices, and class names are distinct strings or integers.

    Names become coordinates of a cube, which must be printable.
    """
    names = (*samples.classes, *samples.fine_classes)
    for name in names:
        if type(name) not in (str, int):
            raise DataError(f"{data}: a class's name", "be a text or an integer", shorten(name), "another name")
        if isinstance(name, str) and UNPRINTABLE.search(name):
            raise DataError(f"{data}: a class's name", "be of printable characters", shorten(name), "another name")
    for labels, classes in ((samples.labels, samples.classes), (samples.fine_labels, samples.fine_classes)):
        if labels is None:
            continue
        if len({*map(str, classes)}) < len(classes):
            raise DataError(f"{data}: the classes", "have different names", shorten(list(classes)), "other names")
        if labels.dtype != torch.int64:
            raise DataError(f"{data}: the labels", "be integers (torch.int64)", f"{labels.dtype}", "labels.long()")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(classes):
            found = f"{int(labels.min())} to {int(labels.max())}"
            raise DataError(f"{data}: the labels", f"be 0 to {len(classes) - 1}", found, "one name for each label")


def draws(seed: int, step: int) -> torch.Generator:
    """Return the generator of one step, independent of those of other steps and seeds.

    `prepare` has the steps 0 (the data set), 1 (the split), 2 (samples per class), 3 (imbalance) and 4 (label noise).
    """
    state = np.random.SeedSequence(seed, spawn_key=(step,)).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def _float32(samples: Samples) -> Samples:
    inputs = samples.inputs.float()
    if not inputs.isfinite().all():
        raise DataError("the inputs", "be finite in float32", "entries that are not", "normalize: standardize")
    return replace(samples, inputs=inputs)


def _digest(*parts: Samples) -> str:
    """Return the SHA-256 of types, shapes, bytes (little-endian) and class names (fine ones, if any)."""
    total = hashlib.sha256(json.dumps(parts[0].classes).encode())
    if parts[0].fine_classes:
        total.update(json.dumps(parts[0].fine_classes).encode())
    for part in parts:
        if part.geodesic is not None:
            total.update(np.ascontiguousarray(part.geodesic.numpy().astype("<f8", copy=False)).data)
        labels = [part.labels, *([] if part.fine_labels is None else [part.fine_labels])]
        for array in (
            part.inputs.numpy().astype("<f4", copy=False),
            *(row.numpy().astype("<i8", copy=False) for row in labels),
        ):
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()
