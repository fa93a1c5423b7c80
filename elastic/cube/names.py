"""Names in the cube: groups, dims, states, and names reserved from axes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Status(IntEnum):
    """State of one run at one epoch, as in the cube's ``status``.

    >>> [f"{state.name.lower()}={state.value}" for state in Status]
    ['missing=0', 'done=1', 'diverged=2']
    """

    MISSING = 0
    DONE = 1
    DIVERGED = 2


#: The group that every epoch's record holds; all others come from probes, at the probed epochs.
TRAINING = "training"

#: Dims of the groups of layouts that do not declare theirs: those that versions before 0.2 wrote.
UNDECLARED: Mapping[str, tuple[str, ...]] = {
    TRAINING: ("split",),
    "collapse": ("split", "layer", "class", "other_class", "component"),
    "elasticity": ("layer", "stepped_class", "observed_class"),
}

#: Dims whose labels are classes.
CLASS_DIMS: frozenset[str] = frozenset({"class", "other_class", "stepped_class", "observed_class"})

#: ``long_name`` of the coordinates that are no axes of the study; a group that a new probe declares may have others.
COORDINATES: Mapping[str, str] = {
    "epoch": "epochs of training done (0: before training)",
    "split": "samples used in training, or held out",
    "layer": "layer by name, in the order of depth",
    "class": "class",
    "other_class": "class it is compared with",
    "component": "singular value, from the greatest on",
    "stepped_class": "class of the sample on which a step is taken",
    "observed_class": "class of the sample whose features are watched",
    "depth": "layers passed since the input (input: 0)",
    "role": "place of the layer in the network: input, hidden or output",
    "width": "features of the layer",
    "samples": "samples of the class in the split",
}

#: Coordinates along a dim that are named after it where an axis of the study has their name: {name: other name}.
ALONG_DIMS: Mapping[str, str] = {
    "depth": "layer_depth",
    "width": "layer_width",
    "role": "layer_role",
    "samples": "class_samples",
}

STATUS = "status"

#: First attribute of a cube's root: ``xarray.open_dataset`` reads the root alone, which shows nothing but attributes.
HOW_TO_OPEN: Mapping[str, str] = {"how_to_open": "use xarray.open_datatree: the numbers are in its groups"}

STATUS_ATTRS: Mapping[str, object] = {
    "long_name": "state of the run at this epoch",
    "units": "1",
    "flag_values": [state.value for state in Status],
    "flag_meanings": " ".join(state.name.lower() for state in Status),
}

#: Reserved names, which no axis of a study may have. (Names of groups, dims and variables that a probe declares are
#: reserved, too; `elastic.cube.assemble` raises for them.)
RESERVED: frozenset[str] = frozenset(COORDINATES) | frozenset(ALONG_DIMS.values()) | frozenset(UNDECLARED) | {STATUS}
