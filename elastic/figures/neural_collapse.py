"""Figure of NC1 to NC4 and accuracy over the epochs, as in papyan2020prevalence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from elastic.analysis.reading import read, select
from elastic.errors import NotMeasured
from elastic.figures.contract import (
    all_positive,
    caption,
    figure,
    first_setting,
    interval_words,
    is_positive,
    letter_panels,
    literal,
    measured,
    panels,
)
from elastic.figures.layers import chosen_layers
from elastic.figures.page import LETTERS, in_rows, width_of
from elastic.figures.splits import at_splits, draw_splits, legend_of
from elastic.figures.training_course import mark_fitted


@dataclass(frozen=True)
class Panel:
    """One panel: its variable and title, and for wide panels the rest of the title and the label of the y axis."""

    variable: str
    title: str
    more: str
    label: str


#: Panels in the order of the definition of neural collapse. Those that a cube lacks are left out.
PANELS = (
    Panel("training/accuracy", "accuracy", "", "share of samples"),
    Panel("collapse/nc1", "NC1", "variability", "tr(Σ$_W$ Σ$_B$⁺)/K"),
    Panel("collapse/nc2_equinorm", "NC2 norms", "", "std/mean ‖μ$_k$−μ$_G$‖"),
    Panel("collapse/nc2_equiangle", "NC2 angles", "", "mean |cos + 1/(K−1)|"),
    Panel("collapse/nc3_duality", "NC3", "self-duality", "‖W/‖W‖ − M/‖M‖‖²"),
    Panel("collapse/nc4_mismatch", "NC4", "nearest mean", "share that differs"),
)


#: Width in inches per panel above which panels have labels and long titles.
WIDE = 2.2


@figure()
def neural_collapse(
    cube: xr.DataTree,
    *,
    layer: str | None = None,
    splits: Sequence[str] | None = None,
    where: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw neural collapse, NC1 to NC4, and the accuracy over the epochs, on training and on test samples.

    One panel each, as in [papyan2020prevalence]: accuracy; NC1, the within-class variability; NC2, the deviation of the
    norms of the class means from equality, and of their angles from those of a simplex; NC3, the distance of the
    classifier from the class means; NC4, the share of samples for which the nearest class mean and the network decide
    differently. All except the accuracy converge to 0.
    A dotted line marks the first epoch with zero training error in all seeds. Panels of variables that the study did
    not record are left out.

    Parameters
    ----------
    cube
        Cube of a study with the group ``collapse``.
    layer
        Layer of the features; by default the last hidden one, the input of the classifier.
    splits
        Splits, one line each; all by default.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube has none of NC1 to NC4, or lacks the split, layer or label.
    """
    shown, setting = panels_of(cube, layer, splits, where)
    drawn, grid, columns = panels(len(shown), 2.2, least=1.6, most=3)
    wide = width_of(drawn) > WIDE * columns
    estimates = []
    for axes, (panel, values) in zip(grid, shown.items(), strict=True):
        estimates += draw_splits(axes, values, log=is_positive(values))
        axes.set_title(f"{panel.title} {panel.more}".rstrip() if wide else panel.title, loc="left")
        axes.set(xlabel=axes.get_xlabel() if wide else "epoch", ylabel=panel.label if wide else "")
        fitted = mark_fitted(axes, cube, where)
    for axes in grid[: -columns or None]:
        axes.set_xlabel("")
    letter_panels(grid)
    drawn.legend(**in_rows(*legend_of(grid), width_of(drawn) * LETTERS, 5), loc="outside upper center", columnspacing=1)
    words = interval_words(*estimates, log=all_positive(list(shown.values())))
    caption(drawn, layer_words(shown), words, setting, fitted)
    return drawn


def panels_of(
    cube: xr.DataTree, layer: str | None, splits: Sequence[str] | None, where: Mapping[str, Any] | None
) -> tuple[dict[Panel, xr.DataArray], str]:
    """Return the values [seed, epoch, split] of each panel that the cube has, and a description of their setting.

    Raises
    ------
    NotMeasured
        If it has none of NC1 to NC4, or lacks something requested by name.
    """
    panels: dict[Panel, xr.DataArray] = {}
    setting = ""
    for panel in PANELS:
        try:
            values, setting = first_setting(read(cube, panel.variable, split=None, where=where))
            if "layer" in values.dims:
                values = at_layer(values, layer)
            panels[panel] = measured(at_splits(values, splits), "epoch", "split")
        except NotMeasured:
            if panel.variable == "collapse/nc1" and (layer is not None or splits is not None or where):
                raise
    if not any(panel.variable.startswith("collapse/") for panel in panels):
        hint = "a protocol with probes.collapse"
        raise NotMeasured("NC1 to NC4", "be variables of the cube", "none of them", hint)
    return panels, setting


def at_layer(values: xr.DataArray, layer: str | None) -> xr.DataArray:
    """Select a layer; by default the last hidden one of each run."""
    if layer is not None:
        return select(values, "layer", layer)
    try:
        return select(values, "layer", "penultimate")
    except NotMeasured:
        return chosen_layers(values).isel(layer=-1)


def layer_words(panels: Mapping[Panel, xr.DataArray]) -> str:
    """Describe the layer of the features for the caption."""
    layers = {str(values["layer"].item()) for values in panels.values() if "layer" in values.coords}
    return f"features of layer {', '.join(map(literal, sorted(layers)))}" if layers else ""
