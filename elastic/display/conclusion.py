"""What a study says in the end, in sentences that are computed: every word hangs on an interval over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.analyses import Analyses
from elastic.analysis.depth_order import order_crossover
from elastic.analysis.epochs import epoch_label
from elastic.analysis.falls import epochs_above
from elastic.analysis.intervals import interval
from elastic.analysis.locality import tracking
from elastic.analysis.onset import LEAST_CHANGE
from elastic.analysis.persistence import depth_of
from elastic.analysis.reading import hidden_layers, settings_of
from elastic.analysis.slopes import slope
from elastic.display.average import over_seeds
from elastic.display.headline import measured_epochs
from elastic.display.markdown import inert
from elastic.display.numbers import with_interval
from elastic.errors import NotMeasured

#: Settings of the axes that are told; a study with more is to be read in its cube.
SETTINGS = 6

#: Share of the time before the crossover from which the order is said to be reversed throughout.
MOSTLY = 0.9

Where = Mapping[str, Any]

#: Writes a name or a value of the study into a sentence.
Spell = Callable[[object], str]


def conclusion(cube: xr.DataTree, spell: Spell = inert) -> str:
    """Return what a cube says of collapse and elasticity, as a list in Markdown.

    Parameters
    ----------
    cube
        As `elastic.open_study(…).cube`; runs may be under way.
    spell
        Writes names of layers and values of axes, which may hold any characters; `inert` for Markdown.

    Returns
    -------
    str
        Sentences for each of the first few settings of the axes: collapse with training, with depth, the order of
        the layers, locality beside collapse. "Falls" is said only if the 95 % interval over seeds leaves no
        other sign; with one seed there is no interval, and the sentence says so. What was not measured is left out.
    """
    settings = list(settings_of(cube))
    lines: list[str] = []
    for where in settings[:SETTINGS]:
        told = [f"- {sentence}" for sentence in _sentences(cube, where, spell)]
        if told and where:
            told.insert(0, f"\n**{', '.join(f'{spell(axis)} = {spell(value)}' for axis, value in where.items())}**\n")
        lines += told
    if len(settings) > SETTINGS:
        lines.append(f"\n… and {len(settings) - SETTINGS} more settings.")
    return "\n".join(lines).strip() or "Nothing is probed yet."


def _sentences(cube: xr.DataTree, where: Where, spell: Spell) -> Iterator[str]:
    for sentence in SENTENCES:
        try:
            told = sentence(Analyses(cube), where, spell)
        except NotMeasured:
            continue
        if told:
            yield told


def with_training(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Tell by how much nc1 of the hidden layers changed between the first and the last probe."""
    nc1 = hidden_layers(analyses.read("nc1", where=where))
    epochs = measured_epochs(nc1)
    if len(epochs) < 2 or not nc1.sizes["layer"]:
        return ""
    found = over_seeds(nc1.sel(epoch=epochs[-1]) / nc1.sel(epoch=epochs[0]), log=True)
    found = found.isel(layer=np.flatnonzero(found["count"] > 0))
    fell, rose = int((found["upper"] < 1 / LEAST_CHANGE).sum()), int((found["lower"] > LEAST_CHANGE).sum())
    counted = f"fell in {fell} and rose in {rose} of {found.sizes['layer']} hidden layers"
    known = bool(found["upper"].notnull().any())
    ends = [f"×{_told(found.isel(layer=i))} in {spell(found['layer'].values[i])}" for i in (0, -1)]
    factors = ", ".join(dict.fromkeys(ends))
    start, end = epoch_label(epochs[0]), epoch_label(epochs[-1])
    return f"From epoch {start} to {end}, nc1 {counted if known else 'changed (one seed)'}: {factors}."


def with_depth(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Tell how the separation fuzziness goes from one hidden layer to the next, at the last probe."""
    epoch = _last(analyses, "fuzziness", where)
    law = analyses.separation_law("fuzziness", where={**where, "epoch": epoch})
    found = over_seeds(law["ratio"], log=True)
    if not found["count"]:
        return ""
    how = _sided(found, 1.0, "falls with depth", "grows with depth", "is not shown to fall or grow with depth")
    squared = interval(law["r_squared"])["estimate"].item()
    each = f"×{_told(found)} from one hidden layer to the next"
    return f"At epoch {epoch_label(epoch)}, separation fuzziness {how}: {each} (R² {squared:.2f})."


def in_order(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Tell the order of the hidden layers by nc1: at the end, before it crosses, and in reaching a common level.

    Which layer comes first is elastic's own definition; papers state the order at the end of training.
    """
    nc1 = hidden_layers(analyses.read("nc1", where=where))
    epochs = measured_epochs(nc1)
    if not epochs or nc1.sizes["layer"] < 2:
        return ""
    slopes = analyses.depth_slope("nc1", where=where).sel(epoch=epochs)
    found = over_seeds(_exp(slopes.isel(epoch=-1, drop=True)), log=True)
    if not found["count"]:
        return ""
    increases = _sided(found, 1.0, "increases with depth", "decreases with depth", "is not shown to change with depth")
    last = f"At the last probed epoch, {epoch_label(epochs[-1])}, collapse {increases}: nc1 ×{_told(found)} per layer."
    return " ".join(filter(None, (last, _reversal(slopes), _common_level(nc1.sel(epoch=epochs)))))


def _reversal(slopes: xr.DataArray) -> str:
    """Tell until when nc1 rises with depth, by the slopes [epoch, seed] of its logarithm."""
    if slopes.sizes["epoch"] < 2:
        return ""
    slopes = slopes.isel(seed=np.flatnonzero(slopes.notnull().all("epoch")))
    seeds, found = slopes.sizes["seed"], order_crossover(slopes)
    crosses = (slopes.isel(epoch=-1, drop=True) <= 0) & (slopes > 0).any("epoch")
    count = int(crosses.sum())
    if not count:
        always, never = bool((slopes > 0).all()), not bool((slopes > 0).any())
        return "The order is reversed throughout." if always else "The order is never reversed." if never else ""
    first, second = slopes["epoch"].values[:2]
    if count == seeds and bool((found["crossover"] < second).all()):
        return f"Only at epoch {first:g} is the order reversed: nc1 rises with depth."
    at = over_seeds(1 + found["crossover"].where(crosses), log=True) - 1
    share = float(found["reversed_share"].where(crosses).mean())
    estimate, lower, upper = (float(at[name].clip(min=0)) for name in ("estimate", "lower", "upper"))
    epoch = with_interval(estimate, lower, upper)
    how = "is reversed" if share > MOSTLY else f"is reversed for {share:.0%} of the time (in log epochs)"
    of = "" if count == seeds else f", in {count} of {seeds} seeds,"
    return f"Before epoch {epoch}{of} the order {how}: nc1 rises with depth."


def _common_level(nc1: xr.DataArray) -> str:
    """Tell whether deeper layers come earlier to the level at which the least collapsed layer ends, seed by seed."""
    level = nc1.isel(epoch=-1, drop=True).max("layer")
    falls = (nc1.max("epoch") >= LEAST_CHANGE * level).all("layer")
    times = xr.apply_ufunc(np.log, epochs_above(nc1.where(falls), level))
    found = over_seeds(_exp(-slope(times, depth_of(nc1), "layer")), log=True)
    if not found["count"]:
        return ""
    common = f"a common level (nc1 {with_interval(float(over_seeds(level, log=True)['estimate']), np.nan, np.nan)})"
    how = _sided(
        found, 1.0, f"reach {common} later", f"reach {common} earlier", f"are not shown to reach {common} first"
    )
    return f"Deeper layers {how}: earlier by ×{_told(found)} of epochs per layer (an order that elastic defines)."


def with_locality(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Tell whether locality is greater in layers that are more collapsed, at the last probe."""
    epoch = _last(analyses, "locality", where)
    locality, nc1 = (
        hidden_layers(analyses.read(name, where={**where, "epoch": epoch})) for name in ("locality", "nc1")
    )
    found = interval(tracking(locality, nc1))
    if not found["count"]:
        return ""
    how = _sided(
        found,
        0.0,
        "locality is greater in the layers that are more collapsed",
        "locality is smaller in the layers that are more collapsed",
        "locality is not shown to go with collapse over the layers",
    )
    correlation = f"rank correlation with nc1 over the hidden layers: {_told(found, 1.0)}"
    return f"At epoch {epoch_label(epoch)}, {how} ({correlation})."


SENTENCES: tuple[Callable[[Analyses, Where, Spell], str], ...] = (with_training, with_depth, in_order, with_locality)


def _exp(logs: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = xr.apply_ufunc(np.exp, logs)
    return found


def _last(analyses: Analyses, variable: str, where: Where) -> float:
    epochs = measured_epochs(analyses.read(variable, where=where))
    if not epochs:
        raise NotMeasured(f"`{variable}`", "be measured at an epoch", "none", "elastic status")
    return epochs[-1]


def _sided(found: xr.Dataset, null: float, below: str, above: str, neither: str) -> str:
    """Return the words for an interval that lies below a value, above it, or on both sides; one seed has none."""
    if found["upper"] < null:
        return below
    if found["lower"] > null:
        return above
    return neither if found["count"] > 1 else f"{neither} by one seed"


def _told(found: xr.Dataset, most: float = np.inf) -> str:
    """Return estimate and interval; the interval of what lies between −most and most is cut there."""
    estimate, lower, upper = (float(found[name].clip(-most, most)) for name in ("estimate", "lower", "upper"))
    return with_interval(estimate, lower, upper)
