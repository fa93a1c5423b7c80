"""Handwritten digits of scikit-learn."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import torch

from elastic.data.contract import Samples, dataset
from elastic.data.source import Source

#: scikit-learn's description of the data (sklearn/datasets/descr/digits.rst) names this source and no licence. The UCI
#: repository, which they are taken from, distributes its data sets under CC BY 4.0.
SOURCE = Source(
    "comes with scikit-learn (sklearn.datasets.load_digits)",
    "CC-BY-4.0",
    "E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998)",
)


@dataset(source=SOURCE)
def digits(generator: torch.Generator) -> Samples:
    """The 1,797 handwritten digits bundled with scikit-learn: 10 classes, images [1, 8, 8] of 0 … 16.

    They are the test part of Alpaydin and Kaynak's "Optical Recognition of Handwritten Digits" (UCI, 1998).

    Parameters
    ----------
    generator
        Not used: nothing is random.

    Examples
    --------
    >>> samples = digits(torch.Generator())
    >>> samples.inputs.shape, samples.classes
    (torch.Size([1797, 1, 8, 8]), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    """
    rows = torch.from_numpy(_rows())
    return Samples(rows[:, :-1].float().reshape(-1, 1, 8, 8), rows[:, -1].long(), tuple(range(10)))


@cache
def _rows() -> np.ndarray:
    """Read the digits [1797, 65]: 64 pixels and the class; once a process, as nothing writes to what is returned.

    Reads the file of the installed package directly, because importing scikit-learn is slow.
    """
    package = importlib.util.find_spec("sklearn")
    for folder in package.submodule_search_locations or () if package else ():
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
