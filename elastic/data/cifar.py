"""CIFAR-10 and CIFAR-100: small colour photographs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from elastic.data.contract import Samples, dataset
from elastic.data.safe_pickle import read_plain_pickle
from elastic.data.source import Source
from elastic.errors import DataError
from elastic.registry import shorten

#: Entries of an image: 3 colours × 32 rows × 32 columns.
ENTRIES = 3 * 32 * 32


def _source(file: str) -> Source:
    """Return where one of the two comes from. The page of the authors asks for the citation and states no licence."""
    cite = "A. Krizhevsky, Learning multiple layers of features from tiny images, technical report (2009)"
    return Source(f"{file} of www.cs.toronto.edu/~kriz/cifar.html, unpacked", cite=cite)


@dataset(source=_source("cifar-10-python.tar.gz"))
def cifar10(generator: torch.Generator, *, folder: str) -> Samples:
    """50,000 train and 10,000 test photographs of 10 classes, [3, 32, 32] of 0 … 255.

    The classes are named as in ``batches.meta``: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck.
    Nothing is downloaded. The files are pickles, read without executing code.
    Source: krizhevsky2009learning.

    Parameters
    ----------
    generator
        Not used: nothing is random.
    folder
        Folder ``cifar-10-batches-py``, as unpacked from the authors' ``cifar-10-python.tar.gz``.

    Raises
    ------
    DataError
        If a file is missing, damaged, or contains code.
    """
    root = Path(folder).expanduser()
    parts = [_part(root / f"data_batch_{number}", "labels") for number in range(1, 6)]
    return _samples(parts, _part(root / "test_batch", "labels"), _names(root / "batches.meta", "label_names"))


@dataset(source=_source("cifar-100-python.tar.gz"))
def cifar100(generator: torch.Generator, *, folder: str, labels: Literal["fine", "coarse"] = "fine") -> Samples:
    """50,000 train and 10,000 test photographs of 100 classes (or 20 groups of them), [3, 32, 32] of 0 … 255.

    Nothing is downloaded. The files are pickles, read without executing code.
    Source: krizhevsky2009learning.

    Parameters
    ----------
    generator
        Not used: nothing is random.
    folder
        Folder ``cifar-100-python``, as unpacked from the authors' ``cifar-100-python.tar.gz``.
    labels
        Classes: the 100 ``fine`` or the 20 ``coarse`` ones.

    Raises
    ------
    DataError
        If a file is missing, damaged, or contains code.
    """
    root = Path(folder).expanduser()
    key = f"{labels}_labels"
    return _samples(
        [_part(root / "train", key)], _part(root / "test", key), _names(root / "meta", f"{labels}_label_names")
    )


Part = tuple[np.ndarray, list[int]]


def _part(path: Path, key: str) -> Part:
    """Return the images [n, 3072] and the labels of a file."""
    content = _read(path, "data", key)
    data, labels = content["data"], content[key]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(data), ENTRIES):
        found = f"{getattr(data, 'dtype', type(data).__name__)} {getattr(data, 'shape', '')}"
        raise _damaged(path, f"hold images as bytes [n, {ENTRIES}]", found)
    wrong = ("no list",) if not isinstance(labels, list) else [label for label in labels if not _is_position(label)]
    if wrong:
        raise _damaged(path, f"hold {key} as a list of integers from 0", shorten(wrong[0]))
    if len(labels) != len(data):
        raise _damaged(path, f"hold one label for each of {len(data)} images", f"{len(labels)}")
    return data, labels


def _is_position(label: Any) -> bool:
    """Return whether a label is a nonnegative 64-bit integer, but not a boolean."""
    return type(label) is int and 0 <= label < 2**31


def _names(path: Path, key: str) -> tuple[str, ...]:
    names = _read(path, key)[key]
    if not isinstance(names, list) or not all(isinstance(name, (bytes, str)) for name in names):
        raise _damaged(path, f"hold {key} as a list of names", type(names).__name__)
    return tuple(name.decode("latin1") if isinstance(name, bytes) else name for name in names)


def _read(path: Path, *keys: str) -> dict[str, Any]:
    if not path.exists():
        hint = "`data.folder` with the unpacked python version of the data set"
        raise DataError(f"`{path.parent}`", f"hold {path.name}", "no such file", hint)
    content = read_plain_pickle(path)
    for key in keys:
        if key not in content:
            raise _damaged(path, f"hold {key!r}", shorten(sorted(content)))
    return content


def _samples(train: Sequence[Part], test: Part, classes: tuple[str, ...]) -> Samples:
    images = np.concatenate([*(data for data, _ in train), test[0]])
    labels = torch.tensor([label for _, given in (*train, test) for label in given])
    if int(labels.max()) >= len(classes):
        raise DataError("the labels", f"be below {len(classes)}, one for each name", f"{int(labels.max())}",
                        "files of one data set")  # fmt: skip
    inputs = torch.from_numpy(images.reshape(-1, 3, 32, 32)).float()
    is_test = torch.arange(len(inputs)) >= len(inputs) - len(test[1])
    return Samples(inputs, labels, classes, is_test)


def _damaged(path: Path, expected: str, found: str) -> DataError:
    return DataError(f"`{path}`", expected, found, "a fresh copy of the file")
