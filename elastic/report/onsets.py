"""When each layer collapsed, as numbers: by its own fall, and by levels that all layers have in common."""

from __future__ import annotations

from collections.abc import Iterator

import xarray as xr

from elastic.analysis.onset import onset_epoch
from elastic.analysis.reading import hidden_layers, read, settings_of
from elastic.display.numbers import epochs_of_seeds
from elastic.errors import NotMeasured
from elastic.report.tables import SETTINGS, Table

#: Levels of nc1 beside half of a layer's own fall. The order of layers can be another one by either.
LEVELS = (0.5, 0.1)


def onsets(cube: xr.DataTree) -> Iterator[Table]:
    """Yield the epochs from which each hidden layer has collapsed, for the first `SETTINGS` settings of a cube.

    Columns: `onset_epoch` of nc1 at half of the fall, and at each of `LEVELS`. Runs and layers without a value are
    left out; a cell is the median over seeds with their range, "never" within the training.
    """
    for where in list(settings_of(cube))[:SETTINGS]:
        try:
            nc1 = hidden_layers(read(cube, "nc1", where=where))
        except NotMeasured:
            return
        there = nc1.notnull().any("epoch")
        found = [onset_epoch(nc1, fraction=0.5), *(onset_epoch(nc1, threshold=level) for level in LEVELS)]
        columns = [("half of its fall", "of log nc1"), *((f"nc1 ≤ {level:g}", "for good") for level in LEVELS)]
        rows = [
            (layer, tuple(epochs_of_seeds(_seeds(onset, there, k)) for onset in found))
            for k, layer in enumerate(map(str, nc1["layer"].values))
            if bool(there.isel(layer=k).any())
        ]
        if rows:
            setting = ", ".join(f"{axis} = {label}" for axis, label in where.items())
            counted = f"median over {nc1.sizes['seed']} seeds [range]" if nc1.sizes["seed"] > 1 else "one seed"
            yield Table(f"{setting}: {counted}" if setting else counted, tuple(columns), tuple(rows))


def _seeds(onset: xr.DataArray, there: xr.DataArray, layer: int) -> list[float]:
    values: list[float] = onset.isel(layer=layer).values[there.isel(layer=layer).values].tolist()
    return values
