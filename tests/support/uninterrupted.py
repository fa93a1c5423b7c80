"""What commands may say of a study: the numbers of an uninterrupted serial run, each under its own labels, or NaN.

Numbers are read by plain xarray, NumPy and csv; nothing here opens a study.
"""

from __future__ import annotations

import csv
import math

import numpy as np
import xarray as xr

MISSING = 0


def numbers(cube, only=None):
    """Return every variable with a seed, or those of one name, by group and name."""
    return {
        f"{node.path}/{name}": values.load()
        for node in cube.subtree
        for name, values in node.to_dataset(inherit=False).data_vars.items()
        if "seed" in values.dims and only in (None, name)
    }


def sealed(folder):
    """Return what plain xarray reads in a sealed cube."""
    with plainly(folder) as cube:
        return numbers(cube)


def plainly(folder):
    """Open a sealed cube with plain xarray, lazily."""
    return xr.open_datatree(folder / "cube.zarr", engine="zarr", chunks=None, decode_timedelta=False)


def assert_equal(found, expected):
    """The same variables, labels and numbers."""
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        xr.testing.assert_equal(found[name], values)


def assert_within(found, expected):
    """What counts as recorded has exactly the numbers of the reference at the same labels; all else is NaN."""
    for name, values in found.items():
        there = found[f"{name.rpartition('/')[0]}/status"] != MISSING
        truth = expected[name].sel(seed=values["seed"]).reindex(epoch=values["epoch"])
        blank = MISSING if name.endswith("/status") else np.nan
        np.testing.assert_array_equal(values.values, truth.where(there, blank).values, err_msg=name)


def assert_reads_within(cube, expected, names=("/training/loss", "/training/status", "/collapse/nc1")):
    """Every number that a cube still gives, however long it has been open, is that of the reference; or it raises."""
    for name in names:
        try:
            values = cube[name].copy().load()
            status = cube[f"{name.rpartition('/')[0]}/status"].copy().load()
        except Exception:
            continue
        assert_within({name: values, f"{name.rpartition('/')[0]}/status": status}, expected)


def masked(reference, found):
    """Return the reference as far as a cube has recorded it, at the cube's seeds and epochs."""
    groups = {"/": reference.to_dataset()}
    for path, group in ((node.path, node.to_dataset(inherit=False)) for node in reference.children.values()):
        if f"{path}/status" not in found:
            continue
        status = found[f"{path}/status"]
        part = group.sel(seed=status["seed"]).reindex(epoch=status["epoch"])
        kept = part.where(status != MISSING).assign(status=status)
        groups[path] = kept.transpose(*group.dims)
    return xr.DataTree.from_dict(groups)


def assert_table_within(path, expected, *, may_be_empty=False):
    """Every row of training-split.csv has the numbers of the reference."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows or may_be_empty
    for row in rows:
        at = {"seed": int(row["seed"]), "split": row["split"], "epoch": float(row["epoch"])}
        for name in ("loss", "accuracy"):
            value = float(row[name] or "nan")
            assert math.isnan(value) or value == float(expected[f"/training/{name}"].sel(at)), (row, name)


def recorded_epochs(run):
    """Return the epochs that the files of a run hold, told by their names and by NumPy."""
    journal = run / "journal"
    single = {float(path.stem) for path in journal.glob("[0-9]*.npz")}
    if (journal / "records.npz").exists():
        with np.load(journal / "records.npz") as records:
            single |= set(records["epochs"].tolist())
    return single


def assert_status(results, folder, cells, *, damaged):
    """A status has every run under its own coordinates and as far as its files go.

    Parameters
    ----------
    told
        As ``elastic status --json`` prints it.
    folder
        Of the study.
    cells
        {name of a run's folder: its coordinates}.
    damaged
        Whether the files may be other ones than were written.
    """
    assert {run["cell"]: run["coordinates"] for run in results["runs"]}.items() <= cells.items()
    for run in [] if damaged else results["runs"]:
        there = recorded_epochs(folder / "runs" / run["cell"])
        assert run["epoch"] == max(there, default=None)
        # A training loop may end before the last epoch that it planned.
        assert run["state"] != "done" or results["recorded"] or run["epoch"] == run["epochs"]
    if results["sealed"]:
        assert (folder / "manifest.sha256").exists()
