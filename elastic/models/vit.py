"""Vision transformers."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from elastic.errors import ModelError
from elastic.models.contract import Stages, Task, model
from elastic.models.images import image_shape


class Tokens(nn.Module):
    """Converts images to tokens: a class token and one token per patch, with learned position embeddings."""

    def __init__(self, planes: int, patches: int, patch_size: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(planes, width, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, patches + 1, width) * 0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens [n, 1 + patches, width] of images [n, planes, h, w]."""
        patches = self.projection(images).flatten(2).transpose(1, 2)
        first = self.class_token.expand(len(images), -1, -1)
        return torch.cat([first, patches], dim=1) + self.position


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.entering = nn.Linear(width, 3 * width)
        self.leaving = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens [n, t, width], each a mixture of all."""
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.entering(tokens).chunk(3, dim=-1)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        left: Tensor = self.leaving(mixed.transpose(1, 2).flatten(2))
        return left


class EncoderBlock(nn.Module):
    """Attention and a two-layer perceptron, each with pre-normalisation and a residual connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.LayerNorm(width, eps=1e-6), Attention(width, heads))
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width, eps=1e-6), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens [n, t, width]."""
        tokens = tokens + self.attention(tokens)
        moved: Tensor = tokens + self.perceptron(tokens)
        return moved


class ClassToken(nn.Module):
    """The class token, normalised."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return features [n, width] of tokens [n, t, width]."""
        features: Tensor = self.norm(tokens)[:, 0]
        return features


@model()
def vit(
    task: Task,
    *,
    patch_size: Annotated[int, Field(ge=1, le=1024)] = 4,
    width: Annotated[int, Field(ge=1, le=8192)] = 192,
    depth: Annotated[int, Field(ge=1, le=100)] = 6,
    heads: Annotated[int, Field(ge=1, le=256)] = 3,
    bias: bool = True,
) -> Stages:
    """Vision transformer with a class token and normalisation before each part of a block.

    Layers: ``tokens`` (patches and positions), ``block_1`` … ``block_n`` (all tokens, flattened), ``penultimate`` (the
    normalised class token), ``logits``. Weights start as torch initialises its modules. Source: dosovitskiy2021image.

    Parameters
    ----------
    task
        Shape (channels, height, width) of the inputs and number of classes K.
    patch_size
        Side of the square patches; it divides the image's sides.
    width
        Dimension of a token; a multiple of ``heads``.
    depth
        Number of blocks.
    heads
        Number of attention heads of each block.
    bias
        Whether the last linear layer has a bias.

    Raises
    ------
    ModelError
        If the inputs are not images that patches tile, or heads do not divide the width.

    Examples
    --------
    >>> net = vit(Task((3, 224, 224), classes=1000), patch_size=16, width=384, depth=12, heads=6)    # ViT-S/16
    >>> f"{sum(p.numel() for p in net.parameters()):,}"
    '22,050,664'
    """
    planes, height, across = image_shape(task, "vit")
    if height % patch_size or across % patch_size:
        found = f"{patch_size} for images of {height}×{across}"
        raise ModelError("`patch_size`", "divide the sides of the images", found, "patch_size: 4, or 7 for 28×28")
    if width % heads:
        raise ModelError("`heads`", f"divide the width {width}", str(heads), "heads: 3 for width: 192")
    patches = (height // patch_size) * (across // patch_size)
    stages: dict[str, nn.Module] = {"tokens": Tokens(planes, patches, patch_size, width)}
    stages |= {f"block_{number}": EncoderBlock(width, heads) for number in range(1, depth + 1)}
    stages["penultimate"] = ClassToken(width)
    stages["logits"] = nn.Linear(width, task.outputs, bias=bias)
    return Stages(stages)
