"""Fashion-MNIST: photographs of clothes."""

from __future__ import annotations

from pathlib import Path

import torch

from elastic.data.contract import Samples, dataset
from elastic.data.idx import read_folder

#: Where Debian's package ``dataset-fashion-mnist`` puts the files.
DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"


@dataset()
def fashion_mnist(generator: torch.Generator, *, folder: str = DEBIAN_FOLDER) -> Samples:
    """60,000 train and 10,000 test images of clothes: 10 classes, [1, 28, 28] of 0 … 255.

    The classes are T-shirt, trousers, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot, named 0 … 9.
    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST", arXiv:1708.07747 (2017).

    Parameters
    ----------
    generator
        Not used: nothing is random.
    folder
        Folder with the four IDX files of the authors (see `idx`).

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    return read_folder(
        Path(folder).expanduser(),
        hint="apt-get install dataset-fashion-mnist, or `folder` with the files of "
        "github.com/zalandoresearch/fashion-mnist",
    )
