"""Names of the cube: groups, dims, states and what no axis of a study may be called."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Status(IntEnum):
    """State of one run at one epoch, as the cube's ``status`` says it.

    >>> [f"{state.name.lower()}={state.value}" for state in Status]
    ['missing=0', 'done=1', 'diverged=2']
    """

    MISSING = 0
    DONE = 1
    DIVERGED = 2


#: Each group's dims after the study's axes and ``epoch``, in the order in which a variable has them.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "training": ("split",),
    "collapse": ("split", "layer", "class", "other_class", "component"),
    "elasticity": ("layer", "stepped_class", "observed_class"),
}

#: Dims whose labels are classes.
CLASS_DIMS: frozenset[str] = frozenset({"class", "other_class", "stepped_class", "observed_class"})

#: ``long_name`` of every coordinate that is not an axis of the study.
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

STATUS = "status"

STATUS_ATTRS: Mapping[str, object] = {
    "long_name": "state of the run at this epoch",
    "units": "1",
    "flag_values": [state.value for state in Status],
    "flag_meanings": " ".join(state.name.lower() for state in Status),
}

#: What no axis of a study may be called: the cube uses these names itself. (Nor may an axis have the name of a
#: variable: `elastic.cube.assemble` refuses it.)
RESERVED: frozenset[str] = frozenset(COORDINATES) | frozenset(GROUPS) | {STATUS}
