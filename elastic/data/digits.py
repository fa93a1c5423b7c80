"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from elastic.data.contract import Samples, dataset


@dataset()
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
    bunch = load_digits()
    inputs = torch.from_numpy(bunch.images).float().unsqueeze(1)
    return Samples(inputs, torch.from_numpy(bunch.target).long(), tuple(range(10)))
