"""Geometry of convolutions: patches of images, and images under the kernels of many stepped samples."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional


class Geometry:
    """Stride, padding, dilation and groups of a convolution in two dimensions (one has height 1)."""

    def __init__(self, weight: Tensor, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1) -> None:
        spatial = weight.ndim - 2
        self.kernel = self._pair(tuple(weight.shape[2:]), 1, spatial)
        self.stride, self.dilation = self._pair(stride, 1, spatial), self._pair(dilation, 1, spatial)
        self.groups, self.out, self.width = groups, weight.shape[0], weight[0].numel()
        self.padding = self._pad(padding, spatial)

    @staticmethod
    def _pair(numbers: Any, alone: int, spatial: int) -> tuple[int, int]:
        given = (numbers,) * spatial if isinstance(numbers, int) else tuple(numbers) * (spatial // len(numbers))
        return (alone, given[0]) if spatial == 1 else (given[0], given[1])

    def _pad(self, padding: Any, spatial: int) -> tuple[int, int, int, int]:
        """Return padding left, right, above and below."""
        if padding == "same":  # an odd one is added behind, as in torch
            above, left = (d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True))
            return left // 2, left - left // 2, above // 2, above - above // 2
        above, left = self._pair(0 if padding == "valid" else padding, 0, spatial)
        return left, left, above, above

    @property
    def way(self) -> tuple[Any, ...]:
        """Properties that distinguish two convolutions with the same weight."""
        return "patches", self.stride, self.padding, self.dilation, self.groups

    def padded(self, x: Tensor) -> Tensor:
        """Return images [n, i, h, w], padded."""
        x = x if x.ndim == 4 else x.unsqueeze(2)
        return functional.pad(x, self.padding) if any(self.padding) else x

    def patches(self, x: Tensor) -> Tensor:
        """Return [n, groups · width, positions] of images [n, i, …]."""
        return functional.unfold(self.padded(x), self.kernel, self.dilation, stride=self.stride)

    def prefers_kernels(self, inputs: Tensor, gradients: Tensor) -> bool:
        """Whether kernels are cheaper than patches against patches (which support one group only)."""
        positions = gradients.flatten(3).shape[3] * gradients.shape[1]
        return self.groups > 1 or positions * (self.width + self.out) > self.width * self.out

    def convolve(self, x: Tensor, kernels: Tensor, shift: Tensor | None = None) -> Tensor:
        """Return [n, c, out, h, w]: images under the kernels [c, out, i, h, w] and biases [c, out] of c samples."""
        c = len(kernels)
        stacked = kernels.unflatten(1, (self.groups, -1)).transpose(0, 1).flatten(0, 2)
        if shift is not None:
            shift = shift.unflatten(1, (self.groups, -1)).transpose(0, 1).flatten()
        left, right, above, below = self.padding
        symmetric = left == right and above == below
        x = x if x.ndim == 4 else x.unsqueeze(2)
        x, padding = (x, (above, left)) if symmetric else (self.padded(x), (0, 0))
        y = functional.conv2d(x, stacked, shift, self.stride, padding, self.dilation, self.groups)
        outputs: Tensor = y.unflatten(1, (self.groups, c, -1)).transpose(1, 2).flatten(2, 3)
        return outputs
