"""Input validation and normalisation layers shared by the models of images."""

from __future__ import annotations

from typing import Literal

from torch import nn

from elastic.errors import ModelError
from elastic.models.contract import Task

#: Normalisation after a convolution.
Norm = Literal["batch", "group", "none"]


def image_shape(task: Task, model: str, *, least: int = 1) -> tuple[int, int, int]:
    """Return (channels, height, width) of the inputs.

    Raises
    ------
    ModelError
        If the inputs are not images, or their shorter side is below ``least``.

    Examples
    --------
    >>> image_shape(Task((3, 32, 32), 10), "resnet")
    (3, 32, 32)
    """
    hint = "model: {name: mlp, widths: [256, 256]}"
    if len(task.input_shape) != 3:
        found = f"inputs of shape {task.input_shape}"
        raise ModelError(f"the data of model `{model}`", "be images (channels, height, width)", found, hint)
    planes, height, width = task.input_shape
    if min(height, width) < least:
        found = f"{height}×{width}"
        raise ModelError(f"the images of model `{model}`", f"have sides of {least} pixels or more", found, hint)
    return planes, height, width


def normalization(norm: Norm, planes: int) -> list[nn.Module]:
    """Return the normalisation layer of ``planes`` channels, if any; groups have 8 channels, or all.

    >>> normalization("group", 16)[0].num_groups, normalization("none", 16)
    (2, [])
    """
    if norm == "batch":
        return [nn.BatchNorm2d(planes)]
    if norm == "group":
        return [nn.GroupNorm(planes // 8 if planes % 8 == 0 else 1, planes)]
    return []
