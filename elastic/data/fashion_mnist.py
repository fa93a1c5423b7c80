"""Fashion-MNIST: photographs of clothes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from elastic.data.contract import Samples, dataset
from elastic.data.idx import read_folder
from elastic.data.source import Source
from elastic.releases import Added

#: Folder of Debian's package ``dataset-fashion-mnist``.
DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"

#: Type of the option ``resize``, which is left out of digests while it is null, as in earlier releases.
Resize = Annotated[int | None, Added("0.1.0", before=None), Field(ge=1, le=28)]


#: The licence is that of the file LICENSE in the authors' repository, which Debian calls Expat
#: (/usr/share/doc/dataset-fashion-mnist/copyright).
SOURCE = Source(
    "apt-get install dataset-fashion-mnist, or the four IDX files of github.com/zalandoresearch/fashion-mnist",
    "MIT",
    "H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv:1708.07747 (2017)",
)


@dataset(source=SOURCE)
def fashion_mnist(generator: torch.Generator, *, folder: str = DEBIAN_FOLDER, resize: Resize = None) -> Samples:
    """60,000 train and 10,000 test images of clothes: 10 classes, [1, 28, 28] of 0 … 255, or smaller.

    The classes are T-shirt, trousers, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle boot, named 0 … 9.
    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST", arXiv:1708.07747 (2017).

    Parameters
    ----------
    generator
        Not used: nothing is random.
    folder
        Folder with the four IDX files of the authors (see `idx`).
    resize
        Height and width to shrink images to, bilinearly with antialiasing; null: 28, unchanged. The law of
        equi-separation was found on images of 10 × 10 (he2023law).

    Raises
    ------
    DataError
        If a file is missing or damaged.
    """
    samples = read_folder(
        Path(folder).expanduser(),
        hint="apt-get install dataset-fashion-mnist, or `folder` with the files of "
        "github.com/zalandoresearch/fashion-mnist",
    )
    return samples if resize is None else replace(samples, inputs=shrunk(samples.inputs, resize))


def shrunk(images: Tensor, size: int) -> Tensor:
    """Resize images [n, channels, height, width], bilinearly with antialiasing.

    >>> shrunk(torch.tensor([[[[0.0, 4.0], [8.0, 4.0]]]]), 1).item()         # the mean of the four
    4.0
    """
    parts = images.split(4096)  # a float64 copy of all images would take 400 MB
    return torch.cat([interpolate(part, (size, size), mode="bilinear", antialias=True) for part in parts])
