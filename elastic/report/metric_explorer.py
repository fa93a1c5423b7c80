"""Interactive chart of metrics: training curves of every layer, and the profile over the layers at one epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import altair as alt
import numpy as np
import xarray as xr

from elastic.analysis.epochs import epoch_number
from elastic.analysis.reading import settings_axes
from elastic.cube.attributes import bounds_of
from elastic.display.average import is_positive, over_seeds
from elastic.display.layer_names import short_names
from elastic.report.context import Context
from elastic.report.downsampling import by_setting, measured, rounded, thin
from elastic.report.vega import (
    WIDTH,
    Explorer,
    Layers,
    choice,
    compiled,
    dark_colours,
    depth_colours,
    epoch_axis,
    epoch_slider,
    now,
    place_colour,
    room,
    table,
    tick_label,
)

#: Most labels per dim, and most values.
MOST = {"layer": 24, "epoch": 24, "setting": 12}
BUDGET = 40_000

#: Dims of variables with one training curve per layer.
DIMS = {"seed", "epoch", "layer"}

#: Characters of the longest tick label.
TICK = 5

#: Metrics listed first.
FIRST = ("nc1", "within_between_ratio", "locality")

#: Most layers of which every one is labelled below the profile.
NAMED = 12

#: Columns of the file in which the reader saves the selected metric and setting.
TABLE = {
    "data": "metrics",
    "where": {"g": "setting", "q": "metric"},
    "of": [["metric", "q", "labels"], ["setting", "g", "settings"], ["layer", "l", "layers"]],
    "along": ["epoch", "epochs"],
    "values": [["mean", "m"], ["lower", "a"], ["upper", "b"]],
}

LEAD = (
    "Every metric by layer: its course over training, and its profile over the layers at the chosen epoch. Bands and "
    "bars are 95 % intervals over the seeds; ratios and distances stand on a logarithmic axis, with geometric means."
)


@dataclass(frozen=True)
class Metric:
    """A metric in one split: its group and name in the list, and its values [setting, seed, epoch, layer]."""

    name: str
    group: str
    label: str
    log: bool
    bounds: tuple[float, float] | None
    values: xr.DataArray


def metric_explorer(context: Context) -> Explorer | None:
    """Return the chart of every metric with one value per layer, or None if the cube has none."""
    metrics = grouped(metrics_by_layer(context.cube))
    if not metrics:
        return None
    stack = xr.concat([m.values.reset_coords(drop=True) for m in metrics], "metric", join="outer")
    order = max((m.values["layer"].values.tolist() for m in metrics), key=len)
    layers = [*order, *(label for label in stack["layer"].values.tolist() if label not in order)]
    stack = measured(stack.sel(layer=layers), "epoch", "layer")
    kept, left_out = thin(stack, MOST, BUDGET * stack.sizes["seed"])
    extras = {"table": TABLE, "groups": {"of": "metric", "names": [metric.group for metric in metrics]}}
    rows = {"metrics": _rows(kept, metrics)}
    controls = ("metric", "setting", "probe")
    spec = compiled(_chart(kept), _params(kept, metrics), controls, rows, TICK, extras)
    dark = dark_colours([kept.sizes["layer"]])
    return Explorer("courses", "Metrics over training and depth", LEAD, spec, tuple(left_out), dark)


def grouped(metrics: Iterable[Metric]) -> list[Metric]:
    """Group metrics for the list: the most used ones first, then by group of the cube."""
    metrics = list(metrics)
    first = [replace(metric, group="most asked for") for metric in metrics if metric.name in FIRST]
    groups = list(dict.fromkeys(metric.group for metric in metrics))
    rest = [metric for metric in metrics if metric.name not in FIRST]
    return [*first, *(metric for group in groups for metric in rest if metric.group == group)]


def metrics_by_layer(cube: xr.DataTree) -> Iterator[Metric]:
    """Yield each variable with dims seed, epoch and layer and a finite value, for each split."""
    for group in cube.children.values():
        held = group.to_dataset()
        held = held.assign_coords(held.coords.to_dataset().load().coords)  # once, not with every variable
        for name, values in held.data_vars.items():
            if set(values.dims) - {"split"} - set(settings_axes(values)) != DIMS:
                continue
            read = values.compute()  # once: every use below would read the file again
            splits = read["split"].values.tolist() if "split" in read.dims else [None]
            for split in splits:
                part = read if split is None else read.sel(split=split, drop=True)
                if not bool(part.notnull().any()):
                    continue
                label = str(name) if split is None else f"{name} ({split})"
                among = str(group.name) if split is None else f"{group.name}, {split} samples"
                yield Metric(str(name), among, label, is_positive(part), bounds_of(part.attrs), by_setting(part))


def _rows(values: xr.DataArray, metrics: list[Metric]) -> Iterator[dict[str, Any]]:
    """Yield one row per metric, setting and layer, by index: mean (m), lower (a) and upper (b) bound by epoch."""
    averages = _averages(values, [(metric.log, metric.bounds) for metric in metrics])
    for number, (means, lowers, uppers) in sorted(averages.items()):
        for setting, layer in np.ndindex(means.shape[:2]):
            mean = rounded(means[setting, layer])
            if any(value is not None for value in mean):
                lower, upper = rounded(lowers[setting, layer]), rounded(uppers[setting, layer])
                yield {"q": number, "g": setting, "l": layer, "m": mean, "a": lower, "b": upper}


def _averages(
    values: xr.DataArray, kinds: Sequence[tuple[bool, tuple[float, float] | None]]
) -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return mean, lower and upper bound of each metric [setting, layer, epoch]; those of a kind are one average."""
    found: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for log, bounds in dict.fromkeys(kinds):
        alike = [number for number, kind in enumerate(kinds) if kind == (log, bounds)]
        averages = over_seeds(values.isel(metric=alike), log=log, bounds=bounds)
        averages = averages.transpose("metric", "setting", "layer", "epoch")
        mean, lower, upper = (averages[end].values for end in ("estimate", "lower", "upper"))
        found |= {number: (mean[i], lower[i], upper[i]) for i, number in enumerate(alike)}
    return found


def _chart(values: xr.DataArray) -> alt.ConcatChart:
    layers = [str(layer) for layer in values["layer"].values]
    names = "layers" if short_names(layers) == layers else "short"
    data = table("metrics").transform_filter("datum.g == setting && datum.q == metric")
    views = _course(data, _epochs(values), len(layers), names), _profile(data, len(layers), names)
    scales = alt.Resolve(scale=alt.ScaleResolveMap(y="shared", color="independent"))
    return alt.concat(*views, columns=2, spacing=30, resolve=scales)


def _params(values: xr.DataArray, metrics: list[Metric]) -> list[alt.Parameter]:
    epochs = _epochs(values)
    layers = [str(layer) for layer in values["layer"].values]
    short = short_names(layers)
    settings = [str(label) for label in values["setting"].values]
    return [
        room(),
        alt.param(name="labels", value=[metric.label for metric in metrics]),
        alt.param(name="logs", value=[metric.log for metric in metrics]),
        alt.param(name="layers", value=layers),
        *([] if short == layers else [alt.param(name="short", value=short)]),
        alt.param(name="epochs", value=epochs),
        alt.param(name="settings", value=settings),
        choice("metric", "Metric", [metric.label for metric in metrics]),
        choice("setting", "Setting", settings),
        epoch_slider(epochs),
    ]


def _epochs(values: xr.DataArray) -> list[float]:
    return [epoch_number(epoch) for epoch in values["epoch"].values]


def _unfolded(data: alt.Chart) -> alt.Chart:
    def scaled(field: str) -> str:
        return f"logs[metric] ? log(datum.{field}) / LN10 : datum.{field}"

    long = data.transform_calculate(e="sequence(length(datum.m))").transform_flatten(["m", "a", "b", "e"])
    long = long.transform_filter("isValid(datum.m)").transform_calculate(
        epoch="epochs[datum.e]", layer="layers[datum.l]", y=scaled("m")
    )
    return long.transform_calculate(
        lower=f"isValid(datum.a) ? ({scaled('a')}) : datum.y", upper=f"isValid(datum.b) ? ({scaled('b')}) : datum.y"
    )


def _y() -> alt.Y:
    power = tick_label("pow(10, datum.value)", "datum.value", (-2, 4), ".2~r")
    plain = tick_label("datum.value", "log(abs(datum.value)) / LN10", (-4, 6), "~g")
    label = f"logs[metric] ? ({power}) : ({plain})"
    return alt.Y("y:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(labelExpr=label, tickCount=6))


TOOLTIP = [
    alt.Tooltip("layer:N", title="layer"),
    alt.Tooltip("epoch:Q", title="epoch"),
    alt.Tooltip("m:Q", title="mean", format=".4~g"),
    alt.Tooltip("a:Q", title="95 % from", format=".4~g"),
    alt.Tooltip("b:Q", title="to", format=".4~g"),
]

#: Vega expression for the title of the y axis.
MEAN = "(logs[metric] ? ', geometric mean' : ', mean')"


def _course(data: alt.Chart, epochs: list[float], layers: int, names: str) -> Layers:
    columns = alt.expr("max(2, floor(childWidth / 105))")
    legend = alt.Legend(
        title=None,
        orient="bottom",
        columns=columns,
        labelExpr=f"{names}[datum.value]",
        labelLimit=80,
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolOpacity=1,
    )
    colour = alt.Color("l:O", scale=alt.Scale(range=depth_colours(layers), domain=list(range(layers))), legend=legend)
    x = epoch_axis(epochs)
    long = _unfolded(data)
    band = long.mark_area(opacity=0.16).encode(
        x=x, y=alt.Y("lower:Q", title=None), y2="upper:Q", color=colour, detail="l:O"
    )
    line = long.mark_line(strokeWidth=2, point={"size": 22}).encode(x=x, y=_y(), color=colour, tooltip=TOOLTIP)
    title = alt.Title(alt.expr(f"labels[metric] + {MEAN}"), subtitle="over training, by layer")
    size: dict[str, Any] = {"width": WIDTH, "height": 0.8 * WIDTH}
    return alt.layer(band, line, now(), name="course", title=title, description="Course", **size)


def _profile(data: alt.Chart, layers: int, names: str) -> Layers:
    label = f"{names}[datum.value]"
    axis = alt.Axis(labelExpr=label, labelAngle=-40, labelOverlap="greedy" if layers > NAMED else False)
    x = alt.X("l:O", title="layer", axis=axis, scale=alt.Scale(type="point", domain=list(range(layers)), padding=0.4))
    here = _unfolded(data).transform_filter("datum.e == probe")
    bars = here.mark_rule(strokeWidth=1.5, color=place_colour(1)).encode(
        x=x, y=alt.Y("lower:Q", title=None), y2="upper:Q"
    )
    line = here.mark_line(strokeWidth=2, color=place_colour(1), point={"size": 40, "color": place_colour(1)})
    title = alt.Title(alt.expr("'Epoch ' + epochs[probe]"), subtitle="by layer, from shallow to deep")
    line = line.encode(x=x, y=_y(), tooltip=TOOLTIP)
    look: dict[str, Any] = {"title": title, "description": "Profile over the layers"}
    return alt.layer(bars, line, name="profile", width=WIDTH, height=0.8 * WIDTH, **look)
