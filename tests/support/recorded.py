"""Studies as `elastic.Recorder` leaves them: no protocol, fractional epochs, layers that a user named."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import xarray as xr

from elastic.cube import seal
from elastic.cube.portable import portable
from elastic.study import RunStatus, Study
from elastic.study.recorded import run_digest

#: Fractional epochs in place of those of the small study, and the names of submodules in place of its layers.
EPOCHS = {0: 0.0, 1: 0.25, 2: 1 / 3, 3: 1.0, 4: 1.5, 5: 2.0, 6: 2.5}
LAYERS = {
    "input": "<input>",
    "hidden_1": "layer4.1.relu",
    "penultimate": "bert.encoder.layer.11.output.LayerNorm & $x$",
    "logits": "fc",
}

SETTINGS = {
    "model": {"class": "ResNet", "parameters": 11_173_962},
    "layers": list(LAYERS.values()),
    "loss": "cross_entropy",
    "epochs": None,
    "probes": {"collapse": {"per_class": 20, "splits": ["train"]}, "elasticity": {"stepped_per_class": 2}},
    "weight_decay": [0.0, 0.0005],
    "augmentation": True,
}


class Recorded(Study):
    """A recorded study whose runs have ended, or are in another state; there is no planned end."""

    state = "done"

    def __init__(self, folder, tree=None):
        super().__init__(folder)
        self.tree = tree  # its cube, if that is not on disk

    @property
    def cube(self):
        return super().cube if self.tree is None else self.tree.copy()

    def runs(self):
        seconds = {"training": 1.5} if self.state != "under way" else {}
        return [RunStatus(c["coordinates"], c["digest"], self.state, 2.5, None, seconds) for c in self.cells]


def relabelled(group: xr.Dataset) -> xr.Dataset:
    """Return a group of the small study as a training loop of one's own records it."""
    group = group.assign_coords(epoch=[EPOCHS[int(epoch)] for epoch in group["epoch"].values])
    if "layer" in group.dims:
        names = [LAYERS[str(name)] for name in group["layer"].values]
        group = group.assign_coords(layer=("layer", np.array(names), group["layer"].attrs))
    if "accuracy" in group:
        attrs = {"long_name": "norm of the gradient", "units": "1"}
        group = group.assign(grad_norm=group["accuracy"].isel(split=0, drop=True).assign_attrs(attrs))
        for variable in group.data_vars.values():
            variable.attrs = {key: value for key, value in variable.attrs.items() if key not in ("formula", "source")}
        group["grad_norm"].attrs = attrs
    return group


def recorded(
    cube: xr.DataTree, folder: Path, *, change=None, settings=SETTINGS, kind=Recorded, sealed=True, **asked
) -> Recorded:
    """Write a recorded study into a folder and open it.

    Parameters
    ----------
    cube
        Of the small study.
    change
        Of a group, which it returns or leaves out (None), after it is relabelled.
    sealed
        Whether the cube is on disk, as after the last run; if not, the study holds it as it would be opened: to seal
        and open one takes a second.
    asked
        Of the study: title, question, cites, claims.
    """
    groups = {name: relabelled(node.to_dataset()) for name, node in cube.children.items()}
    groups = {name: change(group) if change else group for name, group in groups.items()}
    tree = {f"/{name}": group for name, group in groups.items() if group is not None}
    seeds = groups["training"]["seed"].values.tolist()
    axes = {str(dim): groups["training"][dim].values.tolist() for dim in groups["training"]["status"].dims[:-2]}
    versions = {"python": "3.11.7", "versions": {"torch": "2.13.0", "numpy": "2.4.6"}, "machine": "Linux"}
    facts = {
        "recorded": 1, "name": "mine", "coordinates": [*axes, "seed"], "title": "", "question": "", "cites": [],
        "claims": [], **asked, "provenance": {"elastic_version": "0.2.0", **versions},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(facts))
    for labels in product(*axes.values(), seeds):
        coordinates = dict(zip([*axes, "seed"], labels, strict=True))
        run = folder / "runs" / run_digest(coordinates)
        run.mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({"coordinates": coordinates, "settings": settings}))
    study = kind(folder)
    whole = xr.DataTree.from_dict({"/": xr.Dataset(attrs={**cube.attrs, "digest": study.digest}), **tree})
    if sealed:
        seal(whole, folder)
    else:
        study.tree = portable(whole).load()
    return study
