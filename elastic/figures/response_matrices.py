"""Which class moves which: the class × class relative similarities, layer by layer."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from elastic.figures.contract import figure, first_setting


@figure()
def response_matrices(cube: xr.DataTree) -> Figure:
    """Draw the relative similarity of every two classes at the first and the last probed epoch, mean over seeds."""
    values = first_setting(cube["elasticity"].dataset["relative_similarity"]).mean("seed").isel(epoch=[0, -1])
    rows, columns = values.sizes["epoch"], values.sizes["layer"]
    drawn = Figure(figsize=(1.55 * columns + 0.9, 1.75 * rows + 0.5), layout="constrained")
    grid = drawn.subplots(rows, columns, squeeze=False)
    top = float(np.nanmax(values))
    for (row, column), axes in np.ndenumerate(grid):
        shown = values.isel(epoch=row, layer=column).transpose("stepped_class", "observed_class")
        axes.imshow(shown, vmin=0, vmax=top, cmap="magma")
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        if row == 0:
            axes.set_title(str(values["layer"].values[column]).replace("_", " "), fontsize=9)
        if column == 0:
            axes.set_ylabel(f"epoch {int(values['epoch'][row])}\nstepped class", fontsize=9)
        if row == rows - 1:
            axes.set_xlabel("observed class", fontsize=9)
    bar = drawn.colorbar(grid[0, 0].images[0], ax=grid, shrink=0.8, pad=0.01)
    bar.set_label("relative similarity")
    return drawn
