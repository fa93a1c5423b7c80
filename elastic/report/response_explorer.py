"""Interactive chart of update responses: a class × class matrix for every layer and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import altair as alt
import numpy as np
import xarray as xr

from elastic.analysis.epochs import epoch_number
from elastic.analysis.reading import read
from elastic.display.average import average_words, is_positive, over_seeds
from elastic.errors import NotMeasured
from elastic.figures.style import SEQUENTIAL
from elastic.report.context import Context
from elastic.report.downsampling import by_setting, measured, rounded, thin
from elastic.report.vega import (
    WIDTH,
    Explorer,
    Layers,
    choice,
    compiled,
    dark_colours,
    drop_down,
    epoch_axis,
    epoch_slider,
    now,
    place_colour,
    room,
    table,
)

#: Most labels per dim, and most values; a matrix of more than 30 classes is not readable.
MOST = {"stepped_class": 30, "observed_class": 30, "layer": 24, "epoch": 16, "setting": 12}
BUDGET = 300_000

#: Number of characters above which the names of observed classes are rotated.
UPRIGHT = 3

#: Colours of the selected observed class, of the stepped class itself, and of all others.
CHOSEN, OWN, OTHERS = place_colour(5), place_colour(1), "var(--chart-others, #BBBBBB)"
ROLES = {"observed class": CHOSEN, "stepped class itself": OWN, "other classes": OTHERS}

#: Columns of the file in which the reader saves the selected setting and layer.
TABLE = {
    "data": "responses",
    "where": {"g": "setting", "l": "layer"},
    "of": [
        ["setting", "g", "settings"],
        ["layer", "l", "layers"],
        ["epoch", "e", "epochs"],
        ["stepped_class", "s", "stepped"],
    ],
    "along": ["observed_class", "observed"],
    "values": [["relative_similarity", "v"]],
}

LEAD = (
    "How far a step of SGD on a sample of one class moves samples of every class, relative to the stepped sample "
    "itself (relative similarity). Choose a cell with the pointer, or its classes in the lists: "
    "the second chart shows their course over training."
)


def response_explorer(context: Context) -> Explorer | None:
    """Return the chart of ``relative_similarity``, or None if the cube lacks it."""
    try:
        values = by_setting(read(context.cube, "elasticity/relative_similarity"))
    except NotMeasured:
        return None
    values = measured(values, "epoch", "layer")
    if values.size == 0:
        return None
    log = is_positive(values)
    seeds = average_words(values.notnull().sum("seed").values.ravel(), log=log)
    kept, left_out = thin(values, MOST, BUDGET * values.sizes["seed"])
    kept = over_seeds(kept, log=log)["estimate"]
    controls = ("setting", "layer", "probe", "pair_s", "pair_o")
    letters = _longest(kept["stepped_class"])
    rows = {"responses": _rows(kept)}
    spec = compiled(_chart(kept, seeds), _params(kept), controls, rows, letters, {"table": TABLE})
    return Explorer("responses", "Which class moves which", LEAD, spec, tuple(left_out), dark_colours([]))


def _chart(values: xr.DataArray, seeds: str) -> alt.ConcatChart:
    names, epochs = _names(values), _epochs(values)
    first = 1 if len(names["observed_class"]) > 1 else 0
    pair = alt.selection_point(
        name="pair",
        fields=["s", "o"],
        on="@cells_0_marks:click",  # the view "cells", as Altair numbers it; other clicks keep the selection
        clear=False,
        value=[{"s": 0, "o": first}],
        bind={
            "s": drop_down("Stepped class", names["stepped_class"]),
            "o": drop_down("Observed class", names["observed_class"]),
        },  # type: ignore[arg-type]  # one widget a field: Altair's hints know only one for all
    )
    data = table("responses").transform_filter("datum.g == setting && datum.l == layer")
    top = max(1.0, float(np.nanmax(values)))
    return alt.concat(
        _matrix(data, pair, top, seeds, upright=_longest(values["observed_class"]) > UPRIGHT),
        _course(data, epochs, top),
        columns=2,
        spacing=30,
        resolve=alt.Resolve(scale=alt.ScaleResolveMap(color="independent")),
    )


def _params(values: xr.DataArray) -> list[alt.Parameter]:
    names, epochs = _names(values), _epochs(values)
    start = max(0, len(names["layer"]) - 2)  # the penultimate layer: the output is the last
    return [
        room(),
        alt.param(name="layers", value=names["layer"]),
        alt.param(name="stepped", value=names["stepped_class"]),
        alt.param(name="observed", value=names["observed_class"]),
        alt.param(name="epochs", value=epochs),
        alt.param(name="settings", value=names["setting"]),
        choice("setting", "Setting", names["setting"]),
        choice("layer", "Layer", names["layer"], start),
        epoch_slider(epochs),
    ]


def _names(values: xr.DataArray) -> dict[str, list[str]]:
    dims = ("setting", "layer", "stepped_class", "observed_class")
    return {dim: [str(label) for label in values[dim].values] for dim in dims}


def _epochs(values: xr.DataArray) -> list[float]:
    return [epoch_number(epoch) for epoch in values["epoch"].values]


def _longest(labels: xr.DataArray) -> int:
    return max(len(str(label)) for label in labels.values)


def _rows(values: xr.DataArray) -> Iterator[dict[str, Any]]:
    """Yield one row per setting, layer, epoch and stepped class, by index: names never become code or keys."""
    ordered = values.transpose("setting", "layer", "epoch", "stepped_class", "observed_class").values
    for index in np.ndindex(ordered.shape[:-1]):
        yield {**dict(zip("gles", index, strict=True)), "v": rounded(ordered[index])}


def _unfolded(data: alt.Chart) -> alt.Chart:
    long = data.transform_calculate(o="sequence(length(datum.v))").transform_flatten(["v", "o"])
    return long.transform_filter("isValid(datum.v)").transform_calculate(
        epoch="epochs[datum.e]",
        stepped="stepped[datum.s]",
        observed="observed[datum.o]",
        sentence="'class ' + stepped[datum.s] + ' moves class ' + observed[datum.o] + ': ' + format(datum.v, '.3~g')",
    )


TOOLTIP = [
    alt.Tooltip("stepped:N", title="stepped class"),
    alt.Tooltip("observed:N", title="observed class"),
    alt.Tooltip("epoch:Q", title="epoch"),
    alt.Tooltip("v:Q", title="relative similarity", format=".3~g"),
]


def _matrix(data: alt.Chart, pair: alt.Parameter, top: float, seeds: str, *, upright: bool) -> Layers:
    def axis(names: str, chosen: str, angle: int) -> alt.Axis:
        bold = {"condition": {"test": f"datum.value == {chosen}", "value": "bold"}, "value": "normal"}
        return alt.Axis(
            labelExpr=f"{names}[datum.value]",
            labelFontWeight=bold,
            labelOverlap=True,
            labelAngle=angle,
            labelPadding=4,
            ticks=False,
            domain=False,
        )

    legend = alt.Legend(title="relative similarity", orient="bottom", gradientLength=180, gradientThickness=10)
    colour = alt.Color("v:Q", scale=alt.Scale(scheme=cast(Any, SEQUENTIAL), domain=[0, top]), legend=legend)
    title = alt.Title(alt.expr("'Epoch ' + epochs[probe] + ', ' + layers[layer]"), subtitle=seeds)
    channels = {
        "x": alt.X("o:O", title="observed class", axis=axis("observed", "pair_o", -90 if upright else 0)),
        "y": alt.Y("s:O", title="stepped class", axis=axis("stepped", "pair_s", 0)),
    }
    shown = _unfolded(data.transform_filter("datum.e == probe"))
    cells = (
        shown.mark_rect(cursor="pointer")
        .encode(**channels, color=colour, tooltip=TOOLTIP, description="sentence:N")
        .add_params(pair)
    )
    around = shown.transform_filter("datum.s == pair_s && datum.o == pair_o")
    outline = around.mark_rect(filled=False, stroke=CHOSEN, strokeWidth=3).encode(**channels)
    look: dict[str, Any] = {"title": title, "description": "Relative similarity, class by class"}
    return alt.layer(cells.properties(name="cells"), outline, name="matrix", width=WIDTH, height=WIDTH, **look)


def _course(data: alt.Chart, epochs: list[float], top: float) -> Layers:
    role = "datum.o == pair_o ? 'observed class' : datum.o == datum.s ? 'stepped class itself' : 'other classes'"
    lines = _unfolded(data.transform_filter("datum.s == pair_s")).transform_calculate(role=role)
    columns = alt.expr("childWidth < 320 ? 1 : 3")
    legend = alt.Legend(title=None, orient="bottom", columns=columns, symbolType="stroke", symbolStrokeWidth=3)
    colour = alt.Color("role:N", scale=alt.Scale(domain=list(ROLES), range=list(ROLES.values())), legend=legend)
    y = alt.Y("v:Q", title="relative similarity", scale=alt.Scale(domain=[0, top]), axis=alt.Axis(tickCount=5))
    channels = {
        "x": epoch_axis(epochs),
        "y": y,
        "detail": "o:N",
        "color": colour,
        "tooltip": TOOLTIP,
        "description": "sentence:N",
    }
    others = lines.transform_filter("datum.role == 'other classes'").mark_line(strokeWidth=1, point={"size": 8})
    chosen = lines.transform_filter("datum.role != 'other classes'").mark_line(strokeWidth=2.5, point={"size": 35})
    title = alt.Title(
        alt.expr("'A step on class ' + stepped[pair_s] + ' moves class ' + observed[pair_o]"),
        subtitle="same layer, over training",
    )
    look: dict[str, Any] = {"title": title, "description": "Course over training"}
    drawn = others.encode(**channels), chosen.encode(**channels)
    return alt.layer(*drawn, now(), name="course", width=WIDTH, height=0.8 * WIDTH, **look)
