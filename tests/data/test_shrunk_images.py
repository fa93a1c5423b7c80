"""Images at another size: the means of what they cover, and no change where none is asked for."""

import numpy as np
import torch

from elastic.data.fashion_mnist import shrunk
from elastic.protocol import load_protocol

TEXT = {
    "name": "shrunk", "title": "Small images", "cites": ["he2023law"],
    "data": {"name": "fashion_mnist"}, "model": {"name": "mlp", "widths": [3]},
    "optimizer": {"name": "sgd", "lr": 0.1}, "training": {"epochs": 1}, "axes": {"seed": [0]},
}  # fmt: skip


def test_the_weights_are_those_of_a_triangle_as_wide_as_the_step():
    image = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = 28 / 10
    centres, pixels = (np.arange(10) + 0.5) * step, np.arange(28) + 0.5
    weights = np.clip(1 - np.abs(pixels - centres[:, None]) / step, 0, None)
    weights /= weights.sum(1, keepdims=True)
    expected = weights @ image.numpy() @ weights.T
    np.testing.assert_allclose(shrunk(image, 10).numpy(), expected, atol=1e-12)


def test_a_constant_image_stays_constant():
    assert torch.allclose(shrunk(torch.full((1, 1, 28, 28), 7.0), 9), torch.tensor(7.0))


def test_images_as_they_are_keep_the_digest_of_earlier_studies():
    plain, asked = load_protocol(TEXT), load_protocol(TEXT | {"data": {"name": "fashion_mnist", "resize": None}})
    assert plain.digest == asked.digest
    other = load_protocol(TEXT | {"data": {"name": "fashion_mnist", "resize": 10}})
    assert other.digest != plain.digest
