"""Very deep convolutional networks without skip connections, for small images."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from elastic.models.contract import Stages, Task, model
from elastic.models.images import Norm, image_shape, normalization

#: Convolutions of each of the five stages, by depth.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2)}

#: Channels of the stages, in units of the first one's.
GROWTH = (1, 2, 4, 8, 8)


@model()
def vgg(
    task: Task,
    *,
    depth: Literal[11, 13] = 11,
    width: Annotated[int, Field(ge=1, le=4096)] = 64,
    norm: Norm = "batch",
    bias: bool = True,
) -> Stages:
    """VGG for small images: 3×3 convolutions in five stages, one linear layer instead of three.

    Layers: ``conv_1`` … ``conv_n`` (convolution, normalisation, ReLU; the last of a stage after its 2×2 max-pooling,
    while the image has two rows and columns left), ``penultimate`` (average over the image), ``logits``. The published
    network has two more linear layers, of 4,096 units, made for images of 224×224.
    Weights have torch's default initialisation. Source: simonyan2015very.

    Parameters
    ----------
    task
        Shape (channels, height, width) of the inputs and number of classes K.
    depth
        Depth of the published network: 11 (8 convolutions) or 13 (10 convolutions).
    width
        Channels of the first stage; 64 as published.
    norm
        Normalisation after each convolution: ``batch``, ``group`` (groups of 8 channels) or ``none``.
    bias
        Whether convolutions and the last linear layer have a bias.

    Raises
    ------
    ModelError
        If the inputs are not images.

    Examples
    --------
    >>> net = vgg(Task((3, 32, 32), classes=10))
    >>> net.layers[0], net.layers[7:], f"{sum(p.numel() for p in net.parameters()):,}"
    ('conv_1', ('conv_8', 'penultimate', 'logits'), '9,231,114')
    """
    planes, *sides = image_shape(task, "vgg")
    side, stages, number = min(sides), dict[str, nn.Module](), 0
    for convolutions, growth in zip(CONVOLUTIONS[depth], GROWTH, strict=True):
        for last in range(convolutions - 1, -1, -1):
            number += 1
            out = width * growth
            pooled = last == 0 and side >= 2
            stages[f"conv_{number}"] = nn.Sequential(
                nn.Conv2d(planes, out, 3, padding=1, bias=bias),
                *normalization(norm, out),
                nn.ReLU(),
                *([nn.MaxPool2d(2)] if pooled else []),
            )
            planes, side = out, side // 2 if pooled else side
    stages["penultimate"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages["logits"] = nn.Linear(planes, task.outputs, bias=bias)
    return Stages(stages)
