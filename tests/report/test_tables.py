"""The report tells when a layer collapsed by each definition, and does not take a run that is missing for a failure."""

from pathlib import Path

import numpy as np
import xarray as xr

from elastic.report.context import Context
from elastic.report.tables import onsets, quantities

EPOCHS, LAYERS = [0, 1, 10, 100], ["input", "hidden_1", "penultimate", "logits"]

#: hidden_1 makes half of its fall first, and comes to the levels last.
COURSES = np.array([[9.0, 2.0, 8.0, 9.0], [9.0, 0.9, 8.0, 9.0], [9.0, 0.7, 0.4, 9.0], [9.0, 0.3, 0.01, 9.0]])


def cube(*seeds):
    nc1 = xr.DataArray(
        np.stack(seeds)[None], dims=("decay", "seed", "epoch", "layer"),
        coords={"decay": [0.1], "seed": range(len(seeds)), "epoch": EPOCHS, "layer": LAYERS},
    )  # fmt: skip
    status = xr.DataArray(np.zeros(nc1.shape[:3], dtype=int), dims=nc1.dims[:3]).assign_coords(decay=[0.1])
    return xr.DataTree.from_dict(
        {"/training": xr.Dataset({"status": status}), "/collapse": xr.Dataset({"nc1": nc1})},
    )


def context(*seeds, tree=None):
    return Context(
        name="small", digest="", folder=Path(), recorded=False, protocol={}, text="", provenance={},
        axes={"seed": range(len(seeds))}, cube=cube(*seeds) if tree is None else tree,
        runs=(), reports=(), verdicts=(), unchecked="",
    )  # fmt: skip


def test_the_order_of_layers_hangs_on_the_definition():
    (table,) = onsets(context(COURSES, COURSES))
    assert [name for name, _ in table.columns] == ["half of its fall", "nc1 ≤ 0.5", "nc1 ≤ 0.1"]
    assert dict(table.rows) == {"hidden_1": ("10", "100", "never"), "penultimate": ("100", "10", "100")}
    assert table.caption == "decay = 0.1: median over 2 seeds [range]"


def test_a_run_without_a_value_has_not_failed_to_collapse():
    (table,) = onsets(context(COURSES, np.full_like(COURSES, np.nan)))
    assert dict(table.rows)["penultimate"] == ("100", "10", "100")


def test_without_nc1_there_is_no_table():
    without = cube(COURSES)
    without["collapse"] = without["collapse"].dataset.rename(nc1="nc2_equinorm")
    assert onsets(context(tree=without)) == []


def test_quantities_are_the_variables_with_a_formula_but_for_those_of_training():
    tree = cube(COURSES)
    tree["collapse"]["nc1"].attrs = {"long_name": "NC1", "formula": "tr(Σ_W Σ_B⁺)/K < 1 - b", "units": "1"}
    tree["training"]["status"].attrs = {"formula": "0, 1 or 2"}
    (quantity,) = quantities(context(tree=tree))
    formula = "tr(Σ<sub>W</sub> Σ<sub>B</sub>⁺)/K &lt; 1 − b"
    assert (quantity.name, quantity.formula, quantity.source) == ("nc1", formula, "")
