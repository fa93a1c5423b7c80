"""Folders in the layout of MNIST: four IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from elastic.data.contract import Samples, dataset
from elastic.data.idx_file import read_idx
from elastic.data.source import OWN
from elastic.errors import DataError


@dataset(source=OWN)
def idx(generator: torch.Generator, *, folder: str) -> Samples:
    """Images of a folder in the layout of MNIST, as [n, 1, height, width] of 0 … 255.

    The folder holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the same with ``t10k``, each plain
    or with ``.gz`` (the plain one takes precedence). The authors' split into train and t10k is kept.

    Parameters
    ----------
    generator
        Not used: nothing is random.
    folder
        Folder with the four IDX files.

    Raises
    ------
    DataError
        If a file is missing or damaged, or images and labels differ in number; the message names the file.
    """
    return read_folder(Path(folder).expanduser(), hint="another `folder`")


def read_folder(folder: Path, hint: str) -> Samples:
    """Read a folder of four IDX files (see `idx`); ``hint`` is the error's hint for a missing one."""
    train, train_labels = _read_part(folder, "train", hint)
    test, test_labels = _read_part(folder, "t10k", hint)
    if train.shape[1:] != test.shape[1:]:
        found = f"{train.shape[1:]} and {test.shape[1:]}"
        raise DataError(f"`{folder}`", "have train and t10k images of one size", found, "files of one data set")
    classes, labels = np.unique(np.concatenate([train_labels, test_labels]), return_inverse=True)
    inputs = torch.from_numpy(np.concatenate([train, test])).float().unsqueeze(1)
    is_test = torch.arange(len(inputs)) >= len(train)
    return Samples(inputs, torch.from_numpy(labels).long(), tuple(classes.tolist()), is_test)


def _read_part(folder: Path, part: str, hint: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    images_file = _find(folder, f"{part}-images-idx3-ubyte", hint)
    labels_file = _find(folder, f"{part}-labels-idx1-ubyte", hint)
    images, labels = read_idx(images_file, dimensions=3), read_idx(labels_file, dimensions=1)
    if len(images) != len(labels):
        expected = f"hold one label for each of the {len(images)} images of {images_file.name}"
        raise DataError(f"`{labels_file}`", expected, f"{len(labels)} labels", "files of one data set")
    return images, labels


def _find(folder: Path, name: str, hint: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    found = "no such folder" if not folder.is_dir() else "no such file"
    raise DataError(f"`{folder}`", f"hold {name} or {name}.gz", found, hint)
