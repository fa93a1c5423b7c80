"""Convolutional networks without skip connections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from torch import nn

from elastic.errors import ModelError
from elastic.models.activations import ACTIVATIONS, Activation
from elastic.models.contract import Stages, Task, model
from elastic.models.images import Norm, image_shape, normalization


def _odd(number: int) -> int:
    if number % 2 == 0:
        raise ValueError("be odd, so that a kernel has a middle")
    return number


Channels = Annotated[int, Field(ge=1, le=100_000)]
KernelSize = Annotated[int, Field(ge=1, le=1_000), AfterValidator(_odd)]
Pool = Literal["max", "average", "none"]

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


@model()
def cnn(
    task: Task,
    *,
    channels: Annotated[list[Channels], Field(min_length=1, max_length=100)] = [32, 64, 128],  # noqa: B006 (only read)
    kernel_size: KernelSize = 3,
    activation: Activation = "relu",
    norm: Norm = "batch",
    bias: bool = True,
    pool: Pool = "max",
) -> Stages:
    """Plain convolutional network; features of a layer are its output after pooling.

    Layers: ``conv_1`` … ``conv_n`` (convolution of the same height and width, normalisation,
    activation, 2×2 pooling while the image has two rows and columns left), ``penultimate`` (the average of
    ``conv_n`` over the image, one number a channel), ``logits``. Weights start as torch initialises them.

    Parameters
    ----------
    task
        Shape (channels, height, width) of the inputs and number of classes K.
    channels
        Output channels of each convolution.
    kernel_size
        Side of the square kernels; odd, and at most the image's shorter side.
    activation
        Activation after each convolution.
    norm
        Normalisation after each convolution: ``batch``, ``group`` (groups of 8 channels) or ``none``.
    bias
        Whether the convolutions and the last linear layer have a bias.
    pool
        Pooling of each 2×2 block; ``none`` keeps height and width.

    Raises
    ------
    ModelError
        If the inputs are not images, or smaller than the kernel.

    Examples
    --------
    >>> import torch
    >>> net = cnn(Task((1, 8, 8), classes=10), channels=[4, 6])
    >>> [(layer, tuple(f.shape[1:])) for layer, f in net.taps(torch.zeros(2, 1, 8, 8)).items()]
    [('conv_1', (4, 4, 4)), ('conv_2', (6, 2, 2)), ('penultimate', (6,)), ('logits', (10,))]
    """
    planes, height, width = _image(task, kernel_size)
    stages: dict[str, nn.Module] = {}
    for position, planes_out in enumerate(channels, start=1):
        pooled = pool != "none" and min(height, width) >= 2
        stages[f"conv_{position}"] = nn.Sequential(
            nn.Conv2d(planes, planes_out, kernel_size, padding="same", bias=bias),
            *normalization(norm, planes_out),
            ACTIVATIONS[activation](),
            *([POOLS[pool](2)] if pooled else []),
        )
        planes = planes_out
        if pooled:
            height, width = height // 2, width // 2
    stages["penultimate"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages["logits"] = nn.Linear(planes, task.outputs, bias=bias)
    return Stages(stages)


def _image(task: Task, kernel_size: int) -> tuple[int, int, int]:
    """Return (channels, height, width) of the inputs, if a kernel fits into them."""
    planes, height, width = image_shape(task, "cnn")
    if min(height, width) < kernel_size:
        raise ModelError(
            "`kernel_size`", f"be at most the image's shorter side, {min(height, width)}", str(kernel_size),
            "a smaller kernel_size or model: {name: mlp, widths: [256, 256]}",
        )  # fmt: skip
    return planes, height, width
