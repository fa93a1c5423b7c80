"""Cubes whose truth is known: many studies at once, along a dim `study`, and the verdicts that claims give on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from elastic.claims.contract import Evidence, evidence_of
from elastic.claims.decision import judge
from elastic.registry import registry

LAYERS = ["input", "hidden_1", "hidden_2", "hidden_3", "hidden_4", "penultimate", "logits"]
EPOCHS = [0, 1, 2, 3, 5, 8, 13, 22, 36, 60, 100]

#: Layers between the input and the logits, and their depths.
HIDDEN, DEPTHS = LAYERS[1:-1], np.arange(1.0, len(LAYERS) - 1)

RATIO, SHARE, COSINE = ["0.0", "inf"], ["0.0", "1.0"], ["-1.0", "1.0"]


def values(array, *dims, bounds=RATIO, **coords):
    """Return an array [study, seed, …] with the labels of the cube."""
    known = {"layer": HIDDEN, "epoch": EPOCHS, "seed": None, "study": None}
    labels = {dim: known[dim] for dim in dims if known.get(dim) is not None} | coords
    labelled = xr.DataArray(
        array, dims=("study", "seed", *dims), coords=labels, attrs={"value_bounds": bounds, "units": "1"}
    )
    if "layer" in dims:
        depth = [float(LAYERS.index(layer)) for layer in labelled["layer"].values]
        labelled = labelled.assign_coords(depth=("layer", depth))
    return labelled if "epoch" in dims else labelled.expand_dims(epoch=[EPOCHS[-1]], axis=2)


def cube(training=None, elasticity=None, **collapse):
    """Return a cube of these variables."""
    groups = {"collapse": collapse, "elasticity": elasticity or {}, "training": training or {}}
    return xr.DataTree.from_dict({f"/{name}": xr.Dataset(held) for name, held in groups.items() if held})


#: Names that a user's submodules have, in the place of those of built-in models.
OF_USERS = dict(zip(LAYERS, ["input", "layer1", "layer2", "layer3", "layer4", "pooled", "fc"], strict=True))


def named_by_user(of: xr.DataTree, names=OF_USERS) -> xr.DataTree:
    """Return a cube whose layers have the names of a user's, and their roles, as a recorded cube has."""
    groups = {}
    for name, group in of.children.items():
        held = group.to_dataset()
        if "layer" in held.dims:
            known = [str(layer) for layer in held["layer"].values]
            roles = [{"input": "input", "logits": "output"}.get(layer, "hidden") for layer in known]
            held = held.assign_coords(layer=[names.get(layer, layer) for layer in known], role=("layer", roles))
        groups[f"/{name}"] = held
    return xr.DataTree.from_dict(groups)


@dataclass(frozen=True)
class Rates:
    """Shares of studies in which a claim was supported, and refuted."""

    supported: float
    refuted: float


def evidence(of: xr.DataTree, name: str, **options) -> Evidence:
    """Return a claim's evidence on a cube."""
    entry = registry("claims").get(name)
    return evidence_of(entry, of, entry.complete(options))


def rates(of: xr.DataTree, name: str, *thresholds, **options) -> list[Rates]:
    """Return how often a claim is supported and refuted in the studies of a cube, each judged for itself.

    Of each set of thresholds: they do not change the effect, which is computed once, but where it has to lie.
    """
    whole = evidence(of, name, **options, **thresholds[0])
    settings = [dim for dim in whole.effect.dims if dim not in ("study", "seed")]
    tests, collected = int(np.prod([whole.effect.sizes[dim] for dim in settings])), []
    for options_at_edge in thresholds:
        one = evidence(of.isel(study=[0]), name, **options, **options_at_edge)
        xr.testing.assert_allclose(one.effect, whole.effect.isel(study=[0]))
        verdict = judge(replace(whole, region=one.region), tests=tests)["verdict"]
        supported, refuted = (verdict == "supported").all(settings), (verdict == "refuted").any(settings)
        collected.append(Rates(float(supported.mean()), float(refuted.mean())))
    return collected


def seen(of: xr.DataTree, name: str, **options) -> float:
    """Return the mean effect over all seeds of all studies, as readers are shown it: the truth of a simulation."""
    result = evidence(of, name, **options)
    return float(result.shown(float(result.effect.mean())))
