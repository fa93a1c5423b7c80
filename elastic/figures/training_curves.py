"""Figure of loss and accuracy over the epochs, on training and test samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from elastic.analysis.reading import read
from elastic.errors import NotMeasured
from elastic.figures.contract import (
    caption,
    figure,
    first_setting,
    interval_words,
    letter_panels,
    measured,
    panels,
)
from elastic.figures.page import LETTERS, in_rows, width_of
from elastic.figures.splits import at_splits, draw_splits, legend_of
from elastic.figures.training_course import mark_fitted

#: Panels: training variables and their axis labels.
PANELS = {"loss": "loss", "accuracy": "accuracy"}


@figure()
def training_curves(
    cube: xr.DataTree, *, splits: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
) -> Figure:
    """Draw loss and accuracy over the epochs, on training and on test samples.

    The loss is on a logarithmic axis if it is positive throughout. A dotted line marks the first epoch with zero
    training error in all seeds.

    Parameters
    ----------
    cube
        Cube of a study.
    splits
        Splits, one line each; all recorded ones by default.
    where
        Labels to select on the study's axes, {axis: label}; of every other axis the first.

    Raises
    ------
    NotMeasured
        If the cube has neither loss nor accuracy, or lacks the split or label.
    """
    shown: dict[str, xr.DataArray] = {}
    for name in PANELS:
        try:
            values, setting = first_setting(read(cube, f"training/{name}", split=None, where=where))
            shown[name] = measured(at_splits(values, splits), "epoch", "split")
        except NotMeasured:
            if splits is not None or where:
                raise
    if not shown:
        hint = "a Recorder that is given samples (train=, test=)"
        raise NotMeasured("loss and accuracy", "be variables of the cube", "neither", hint)
    drawn, grid, _ = panels(len(shown), 2.7)
    estimates, logs, fitted = [], set(), ""
    for axes, (name, values) in zip(grid, shown.items(), strict=True):
        # Some losses can be negative, so that the variable declares no lower bound: the values decide.
        log = name == "loss" and not bool((values <= 0).any())
        estimates += draw_splits(axes, values, log=log)
        logs.add(log)
        axes.set_ylabel(PANELS[name])
        fitted = mark_fitted(axes, cube, where)
    letter_panels(grid)
    drawn.legend(**in_rows(*legend_of(grid), width_of(drawn) * LETTERS, 5), loc="outside upper center", columnspacing=1)
    caption(drawn, interval_words(*estimates, log=logs.pop() if len(logs) == 1 else None), setting, fitted)
    return drawn
