"""Cubes with known numbers, for figures."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

POSITIVE = {"value_bounds": ["0.0", "inf"]}


def cube_of(
    seeds=3, epochs=(0, 1, 4, 16, 64), layers=5, classes=3, groups=("collapse", "elasticity", "training"), axes=None
):
    """Return a cube: nc1 falls in depth and training, seeds differ by a little, accuracy is 1 from epoch 16 on.

    axes: {name: values}, before the seed; along an axis nc1 grows threefold from value to value.
    """
    generator = np.random.default_rng(0)
    axes = {**(axes or {}), "seed": list(range(seeds))}
    names = ["input", *(f"hidden_{k}" for k in range(1, layers - 2)), "penultimate", "logits"][-layers:]
    shape = [len(labels) for labels in axes.values()]
    depth, steps = np.arange(layers), np.log1p(np.array(epochs, dtype=float))
    fall = np.exp(1 - 0.25 * steps[:, None] * depth)
    scale = 3.0 ** np.arange(shape[0]).reshape(-1, *[1] * len(shape[1:])) if len(shape) > 1 else np.ones(1)
    noise = np.exp(0.1 * generator.normal(size=(*shape, len(epochs), 2, layers)))
    nc1 = scale[..., None, None, None] * fall[:, None, :] * noise
    marks = np.array([f"class {k}" if classes < 0 else k for k in range(abs(classes))])
    similar = 0.2 + 0.6 * np.eye(len(marks)) * generator.uniform(0.5, 1, size=(*shape, len(epochs), layers, 1, 1))
    accuracy = np.broadcast_to(np.minimum(1.0, steps / np.log1p(16.0))[:, None], (*shape, len(epochs), 2)).copy()
    epoch, split, layer = ("epoch", list(epochs)), ("split", ["train", "test"]), ("layer", names)
    coords = {**axes, **dict([epoch])}
    dims = (*axes, "epoch")
    every = {
        "collapse": xr.Dataset(
            {
                "nc1": ((*dims, "split", "layer"), nc1, {**POSITIVE, "formula": "tr(Σ_W Σ_B⁺)/K"}),
                "ncc_accuracy": ((*dims, "split", "layer"), 1 / (1 + nc1), {"value_bounds": ["0.0", "1.0"]}),
            },
            coords={**coords, **dict([split, layer])},
        ),
        "elasticity": xr.Dataset(
            {
                "locality": ((*dims, "layer"), 1 + 1 / nc1[..., 0, :], POSITIVE),
                "relative_similarity": ((*dims, "layer", "stepped_class", "observed_class"), similar, POSITIVE),
            },
            coords={**coords, **dict([layer]), "stepped_class": marks, "observed_class": marks},
        ),
        "training": xr.Dataset({"accuracy": ((*dims, "split"), accuracy)}, coords={**coords, **dict([split])}),
    }
    return xr.DataTree.from_dict({f"/{name}": every[name] for name in groups})


@pytest.fixture(name="cube_of", scope="session")
def _cube_of():
    return cube_of


@pytest.fixture
def cube():
    return cube_of()


@pytest.fixture
def swept():
    return cube_of(axes={"weight_decay": [0.0, 0.005]})
