"""How collapse and locality run through the layers, epoch by epoch."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, NullFormatter, ScalarFormatter

from elastic.figures.contract import figure, first_setting, over_seeds

#: Epochs drawn, evenly chosen from those probed.
EPOCHS = 5


@figure()
def depth_profile(cube: xr.DataTree) -> Figure:
    """Draw nc1 and locality against depth, a line an epoch with its range over the seeds."""
    panels = [
        ("collapse", "nc1", "NC1  tr(Σ$_W$Σ$_B^+$)/K, train"),
        ("elasticity", "locality", "locality  own class / other classes"),
    ]
    panels = [p for p in panels if p[0] in cube.children and p[1] in cube[p[0]].dataset]
    if not panels:
        raise KeyError("no nc1 and no locality")
    drawn = Figure(figsize=(4.6 * max(1, len(panels)), 3.5), layout="constrained")
    for number, (group, variable, label) in enumerate(panels, start=1):
        axes = drawn.add_subplot(1, len(panels), number)
        values = first_setting(cube[group].dataset[variable])
        values = values.sel(split="train") if "split" in values.dims else values
        draw_profiles(axes, values)
        axes.set(yscale="log", ylabel=label)
        axes.yaxis.set_major_formatter(LogFormatterSciNotation() if variable == "nc1" else ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter() if variable == "nc1" else ScalarFormatter())
        if variable == "locality":
            axes.axhline(1, color="0.4", linewidth=0.8, linestyle=":", zorder=1)
    drawn.axes[0].legend(title="epoch", ncols=2)
    return drawn


def draw_profiles(axes: Axes, values: xr.DataArray) -> None:
    """Draw values [seed, epoch, layer] against the layers, from early (light) to late (dark) epochs."""
    epochs = values["epoch"].values
    chosen = epochs[np.unique(np.linspace(0, len(epochs) - 1, EPOCHS).round().astype(int))]
    positions = np.arange(values.sizes["layer"])
    for shade, epoch in zip(np.linspace(0.85, 0.0, len(chosen)), chosen, strict=True):
        colour = colormaps["viridis"](shade)
        mean, least, greatest = over_seeds(values.sel(epoch=epoch))
        axes.fill_between(positions, least, greatest, color=colour, alpha=0.2, linewidth=0)
        axes.plot(positions, mean, color=colour, marker="o", markersize=3.5, linewidth=1.4, label=str(epoch))
    names = [str(layer).replace("hidden_", "h").replace("conv_", "c") for layer in values["layer"].values]
    axes.set_xticks(positions, names, rotation=35, ha="right")
