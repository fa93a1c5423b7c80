"""Made-up cubes whose collapse, locality and geometry follow laws that are known exactly."""

from __future__ import annotations

import numpy as np
import xarray as xr


def cube_of(*, seeds=3, epochs=(0, 1, 4, 16), hidden=4, classes=4, axes=None):
    """Return a cube with the groups collapse and elasticity.

    With training's progress p from 0 to 1, depth l from 0 (input) on and a factor f of the seed near 1: fuzziness is
    20 f exp(−f p l / 2), at the input half as much again and at the logits seven times as much; nc1 is that over K;
    locality is 1 + (p + 0.01) l, but falls with p in the first hidden layer; cosines and singular values go from a
    pattern (p = 0) towards a simplex (p = 1, last layer). On test samples, and from value to value of each of
    ``axes``, all is doubled but the locality, and the pattern of the cosines is halved.
    """
    axes = dict(axes or {})
    layers = ["input", *(f"hidden_{k}" for k in range(1, hidden)), "penultimate", "logits"]
    depth = along("layer", np.arange(len(layers)))
    coords = {**axes, "seed": range(seeds), "epoch": list(epochs), "split": ["train", "test"]}
    factor = along("seed", 1 + 0.1 * (np.arange(seeds) - (seeds - 1) / 2))
    progress = along("epoch", np.log1p(epochs) / np.log1p(epochs[-1]))
    double, off = along("split", [1.0, 2.0]), along("layer", [1.5, *[1.0] * hidden, 7.0])
    for axis, labels in axes.items():
        double = along(axis, 2.0 ** np.arange(len(labels))) * double
    fuzziness = 20 * factor * np.exp(-factor * progress * depth / 2) * off * double
    locality = (1 + (progress + 0.01) * depth).where(depth != 1, 3 - progress) + xr.zeros_like(fuzziness.isel(split=0))
    share = progress * depth / depth.max()
    collapse = {"fuzziness": fuzziness, "nc1": fuzziness / classes, **geometry(classes, share, factor, double)}
    groups = {"collapse": collapse, "elasticity": {"locality": locality.isel(layer=slice(1, None))}}
    return xr.DataTree.from_dict(
        {f"/{name}": labelled(xr.Dataset(group), coords, layers) for name, group in groups.items()}
    )


def labelled(group, coords, layers):
    """Return a group with the labels of its dims, its dims in a cube's order, and facts about its variables."""
    formulas = {"nc1": "tr(Σ_W Σ_B⁺)/K", "fuzziness": "D = tr(SS_W SS_B⁺)"}
    group = group.transpose(*coords, "layer", ..., missing_dims="ignore")
    group = group.assign_coords({dim: list(labels) for dim, labels in coords.items() if dim in group.dims})
    depth = np.arange(float(len(layers)))[-group.sizes["layer"] :]
    group = group.assign_coords(layer=layers[-len(depth) :], depth=("layer", depth))
    for name, values in group.data_vars.items():
        bounds = {"value_bounds": ["-1.0", "1.0"] if name == "class_cosine" else ["0.0", "inf"]}
        values.attrs = {**bounds, "formula": formulas.get(name, "")}
    return group


def geometry(K, share, factor, double):
    """Return cosines and spectra that go from a pattern to those of a simplex as ``share`` goes from 0 to 1."""
    number = np.arange(K)
    apart = np.abs(number[:, None] - number)
    classes = {"class": number, "other_class": number}
    pattern, eye = (xr.DataArray(square, classes) for square in (np.cos(3 * apart / K), np.eye(K)))
    simplex = -1 / (K - 1)
    cosines = (1 - share) * (1 - 0.2 * factor) / double * pattern + share * simplex
    rank = xr.DataArray((number[::-1]) / (K - 1), dims="component")
    centred = 5 * factor * double * ((1 - share) * 2 * rank + share * (rank > 0))
    return {
        "class_cosine": cosines * (1 - eye) + eye,
        "class_mean_spectrum_centred": centred.assign_coords(component=number + 1),
        "class_mean_spectrum": (centred + 5 * double).assign_coords(component=number + 1),
    }


def along(dim, values):
    return xr.DataArray(np.asarray(values, dtype=float), dims=dim)


def with_variable(cube, name, change):
    """Return the cube with ``change`` applied to one of its variables; None takes it out."""
    groups = {}
    for path, group in cube.children.items():
        dataset = group.to_dataset()
        if name in dataset:
            dataset = dataset.drop_vars(name) if change is None else dataset.assign({name: change(dataset[name])})
        groups[f"/{path}"] = dataset
    return xr.DataTree.from_dict(groups)
