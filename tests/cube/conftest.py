"""Small studies, made of numbers that tell where they came from."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from elastic.cube import Journal, Layout, Variable, write_layout

VARIABLES = (
    Variable("training", "loss", ("split",), {"long_name": "mean loss", "units": "nat", "source": "cover2006"}),
    Variable("training", "learning_rate", (), {"long_name": "learning rate", "units": "1"}),
    Variable("collapse", "nc1", ("split", "layer"), {"long_name": "nc1", "units": "1", "value_bounds": ["0.0", "inf"]}),
    Variable("collapse", "class_cosine", ("split", "layer", "class", "other_class"), {"long_name": "cosine"}),
    Variable("collapse", "nc4", ("split",), {"long_name": "belongs to the whole network"}),
    Variable("elasticity", "response", ("layer", "stepped_class", "observed_class"), {"long_name": "response"}),
    Variable("elasticity", "self_response", ("layer", "stepped_class"), {"long_name": "own response"}),
)


@pytest.fixture
def make_layout():
    """Return ``(hidden, epochs, probed, classes, variables) -> Layout`` of an MLP."""

    def make(*, hidden=1, epochs=4, probed=(0, 4), classes=(0, 1, 2), width=8, variables=VARIABLES):
        names = ["input", *(f"hidden_{i}" for i in range(1, hidden + 1)), "penultimate", "logits"]
        widths = [5, *[width] * hidden, 4, len(classes)]
        layers = [(name, depth, width) for depth, (name, width) in enumerate(zip(names, widths, strict=True))]
        counts = {"train": [10 + i for i in range(len(classes))], "test": [3] * len(classes)}
        return Layout(epochs, probed, layers, classes, ["train", "test"], counts, variables)

    return make


@pytest.fixture
def make_record():
    """Return ``(layout, epoch, seed) -> record``: random numbers, always the same ones."""

    def make(layout, epoch, seed=0):
        return {
            v.key: np.random.default_rng([zlib.crc32(v.key.encode()), epoch, seed]).normal(size=layout.shape(v))
            for v in layout.recorded(probed=layout.is_probed(epoch))
        }

    return make


@pytest.fixture
def write_run(make_record):
    """Return ``(folder, layout, epochs, seed) -> folder``: a run recorded as far as ``epochs`` go."""

    def write(folder, layout, epochs=None, seed=0):
        write_layout(folder, layout)
        journal = Journal(folder, writing=True)
        for epoch in range(layout.epochs + 1) if epochs is None else epochs:
            journal.append(epoch, make_record(layout, epoch, seed))
        return folder

    return write
