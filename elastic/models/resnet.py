"""Residual networks for small images."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from elastic.models.contract import Stages, Task, model
from elastic.models.images import Norm, image_shape, normalization

#: Basic blocks of each of the four stages, by depth.
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3×3 convolutions whose output is added to the block's input, then ReLU.

    If the shape changes, the input passes a 1×1 convolution of the same stride first.
    """

    def __init__(self, planes: int, out: int, stride: int, norm: Norm) -> None:
        super().__init__()
        bias = norm == "none"
        self.body = nn.Sequential(
            nn.Conv2d(planes, out, 3, stride, padding=1, bias=bias),
            *normalization(norm, out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=bias),
            *normalization(norm, out),
        )
        same = stride == 1 and planes == out
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(planes, out, 1, stride, bias=bias), *normalization(norm, out))
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features [n, out, h/stride, w/stride] of inputs [n, planes, h, w]."""
        return torch.relu(self.body(inputs) + self.shortcut(inputs))


@model()
def resnet(
    task: Task,
    *,
    depth: Literal[18, 34] = 18,
    width: Annotated[int, Field(ge=1, le=4096)] = 64,
    norm: Norm = "batch",
    bias: bool = True,
) -> Stages:
    """Residual network of basic blocks, with the 3×3 stem for 32×32 images (no pooling before the blocks).

    Layers: ``stem``, ``stage_1_block_1`` … ``stage_4_block_n`` (after the addition and its ReLU), ``penultimate``
    (average over the image), ``logits``. Stages 2 to 4 halve the image and double the channels.
    Weights have torch's default initialisation. Source: he2016deep.

    Parameters
    ----------
    task
        Shape (channels, height, width) of the inputs and number of classes K.
    depth
        Number of convolutions and linear layers on the longest path: 18 or 34.
    width
        Channels of the stem and the first stage; 64 as published.
    norm
        Normalisation after each convolution: ``batch``, ``group`` (groups of 8 channels) or ``none`` (convolutions then
        have biases).
    bias
        Whether the last linear layer has a bias.

    Raises
    ------
    ModelError
        If the inputs are not images.

    Examples
    --------
    >>> net = resnet(Task((3, 32, 32), classes=10))
    >>> net.layers[:3], net.layers[-2:], f"{sum(p.numel() for p in net.parameters()):,}"
    (('stem', 'stage_1_block_1', 'stage_1_block_2'), ('penultimate', 'logits'), '11,173,962')
    """
    planes, _, _ = image_shape(task, "resnet")
    stem = nn.Conv2d(planes, width, 3, padding=1, bias=norm == "none")
    stages: dict[str, nn.Module] = {"stem": nn.Sequential(stem, *normalization(norm, width), nn.ReLU())}
    planes = width
    for stage, blocks in enumerate(BLOCKS[depth], start=1):
        out = width * 2 ** (stage - 1)
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            stages[f"stage_{stage}_block_{block}"] = BasicBlock(planes, out, stride, norm)
            planes = out
    stages["penultimate"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    stages["logits"] = nn.Linear(planes, task.outputs, bias=bias)
    return Stages(stages)
