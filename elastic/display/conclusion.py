"""The conclusion of a study in computed sentences: intervals over the seeds decide the wording."""

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
from elastic.display.numbers import typeset, with_interval
from elastic.errors import NotMeasured

#: Most settings of the axes that get sentences.
SETTINGS = 6

#: Share of the time before the crossover above which the order counts as reversed throughout.
MOSTLY = 0.9

Where = Mapping[str, Any]

#: Formats a name or a value of the study for a sentence.
Spell = Callable[[object], str]


def conclusion(cube: xr.DataTree, spell: Spell = inert) -> str:
    """Return sentences on collapse and elasticity in a cube, as a Markdown list.

    Parameters
    ----------
    cube
        Cube as returned by `elastic.open_study(…).cube`; runs may be unfinished.
    spell
        Formats names of layers and values of axes, which may hold any characters; `inert` for Markdown.

    Returns
    -------
    str
        Sentences for each of the first few settings of the axes: collapse during training, with depth, the order of
        the layers, locality and collapse. A sentence says "falls" only if the 95 % interval over seeds excludes the
        other sign; with one seed there is no interval, and the sentence says so. Unmeasured quantities are left out.
    """
    settings = list(settings_of(cube))
    lines: list[str] = []
    for where in settings[:SETTINGS]:
        items = [f"- {sentence}" for sentence in _sentences(cube, where, spell)]
        if items and where:
            items.insert(0, f"\n**{', '.join(f'{spell(axis)} = {spell(value)}' for axis, value in where.items())}**\n")
        lines += items
    if len(settings) > SETTINGS:
        lines.append(f"\n… and {len(settings) - SETTINGS} more settings.")
    return "\n".join(lines).strip() or "Nothing is probed yet."


def _sentences(cube: xr.DataTree, where: Where, spell: Spell) -> Iterator[str]:
    for sentence in SENTENCES:
        try:
            text = sentence(Analyses(cube), where, spell)
        except NotMeasured:
            continue
        if text:
            yield text


def with_training(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Describe the change of nc1 in the hidden layers from the first to the last probe."""
    nc1 = hidden_layers(analyses.read("nc1", where=where))
    epochs = measured_epochs(nc1)
    if len(epochs) < 2 or not nc1.sizes["layer"]:
        return ""
    change = over_seeds(nc1.sel(epoch=epochs[-1]) / nc1.sel(epoch=epochs[0]), log=True)
    change = change.isel(layer=np.flatnonzero(change["count"] > 0))
    fell, rose = int((change["upper"] < 1 / LEAST_CHANGE).sum()), int((change["lower"] > LEAST_CHANGE).sum())
    counted = f"fell in {fell} and rose in {rose} of {change.sizes['layer']} hidden layers"
    known = bool(change["upper"].notnull().any())
    ends = [f"×{_estimate(change.isel(layer=i))} in {spell(change['layer'].values[i])}" for i in (0, -1)]
    factors = ", ".join(dict.fromkeys(ends))
    start, end = epoch_label(epochs[0]), epoch_label(epochs[-1])
    return f"From epoch {start} to {end}, nc1 {counted if known else 'changed (one seed)'}: {factors}."


def with_depth(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Describe how the separation fuzziness changes from layer to layer at the last probe."""
    epoch = _last(analyses, "fuzziness", where)
    law = analyses.separation_law("fuzziness", where={**where, "epoch": epoch})
    change = over_seeds(law["ratio"], log=True)
    if not change["count"]:
        return ""
    how = _sided(change, 1.0, "falls with depth", "grows with depth", "is not shown to fall or grow with depth")
    squared = interval(law["r_squared"])["estimate"].item()
    each = f"×{_estimate(change)} from one hidden layer to the next"
    return f"At epoch {epoch_label(epoch)}, separation fuzziness {how}: {each} (R² {typeset(f'{squared:.2f}')})."


def in_order(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Describe the order of the hidden layers by nc1: at the end, before the crossover, and in reaching a common level.

    Which layer collapses first is elastic's own definition; papers state the order at the end of training.
    """
    nc1 = hidden_layers(analyses.read("nc1", where=where))
    epochs = measured_epochs(nc1)
    if not epochs or nc1.sizes["layer"] < 2:
        return ""
    slopes = analyses.depth_slope("nc1", where=where).sel(epoch=epochs)
    trend = over_seeds(_exp(slopes.isel(epoch=-1, drop=True)), log=True)
    if not trend["count"]:
        return ""
    increases = _sided(trend, 1.0, "increases with depth", "decreases with depth", "is not shown to change with depth")
    last = (
        f"At the last probed epoch, {epoch_label(epochs[-1])}, collapse {increases}: nc1 ×{_estimate(trend)} per layer."
    )
    return " ".join(filter(None, (last, _reversal(slopes), _common_level(nc1.sel(epoch=epochs)))))


def _reversal(slopes: xr.DataArray) -> str:
    """Describe until when nc1 rises with depth, from the slopes [epoch, seed] of its logarithm."""
    if slopes.sizes["epoch"] < 2:
        return ""
    slopes = slopes.isel(seed=np.flatnonzero(slopes.notnull().all("epoch")))
    seeds, crossovers = slopes.sizes["seed"], order_crossover(slopes)
    crosses = (slopes.isel(epoch=-1, drop=True) <= 0) & (slopes > 0).any("epoch")
    count = int(crosses.sum())
    if not count:
        always, never = bool((slopes > 0).all()), not bool((slopes > 0).any())
        return "The order is reversed throughout." if always else "The order is never reversed." if never else ""
    first, second = slopes["epoch"].values[:2]
    if count == seeds and bool((crossovers["crossover"] < second).all()):
        return f"Only at epoch {epoch_label(first)} is the order reversed: nc1 rises with depth."
    at = over_seeds(1 + crossovers["crossover"].where(crosses), log=True) - 1
    share = float(crossovers["reversed_share"].where(crosses).mean())
    estimate, lower, upper = (float(at[name].clip(min=0)) for name in ("estimate", "lower", "upper"))
    epoch = typeset(with_interval(estimate, lower, upper))
    how = "is reversed" if share > MOSTLY else f"is reversed for {share:.0%} of the time (in log epochs)"
    of = "" if count == seeds else f", in {count} of {seeds} seeds,"
    return f"Before epoch {epoch}{of} the order {how}: nc1 rises with depth."


def _common_level(nc1: xr.DataArray) -> str:
    """Describe whether deeper layers reach the final level of the least collapsed layer earlier, seed by seed."""
    level = nc1.isel(epoch=-1, drop=True).max("layer")
    falls = (nc1.max("epoch") >= LEAST_CHANGE * level).all("layer")
    times = xr.apply_ufunc(np.log, epochs_above(nc1.where(falls), level))
    change = over_seeds(_exp(-slope(times, depth_of(nc1), "layer")), log=True)
    if not change["count"]:
        return ""
    common = f"a common level (nc1 {with_interval(float(over_seeds(level, log=True)['estimate']), np.nan, np.nan)})"
    how = _sided(
        change, 1.0, f"reach {common} later", f"reach {common} earlier", f"are not shown to reach {common} first"
    )
    return f"Deeper layers {how}: earlier by ×{_estimate(change)} of epochs per layer (an order that elastic defines)."


def with_locality(analyses: Analyses, where: Where, spell: Spell) -> str:
    """Describe whether locality is greater in more collapsed layers at the last probe."""
    epoch = _last(analyses, "locality", where)
    locality, nc1 = (
        hidden_layers(analyses.read(name, where={**where, "epoch": epoch})) for name in ("locality", "nc1")
    )
    correlations = interval(tracking(locality, nc1))
    if not correlations["count"]:
        return ""
    how = _sided(
        correlations,
        0.0,
        "locality is greater in the layers that are more collapsed",
        "locality is smaller in the layers that are more collapsed",
        "locality is not shown to go with collapse over the layers",
    )
    correlation = f"rank correlation with nc1 over the hidden layers: {_estimate(correlations, 1.0)}"
    return f"At epoch {epoch_label(epoch)}, {how} ({correlation})."


SENTENCES: tuple[Callable[[Analyses, Where, Spell], str], ...] = (with_training, with_depth, in_order, with_locality)


def _exp(logs: xr.DataArray) -> xr.DataArray:
    factors: xr.DataArray = xr.apply_ufunc(np.exp, logs)
    return factors


def _last(analyses: Analyses, variable: str, where: Where) -> float:
    epochs = measured_epochs(analyses.read(variable, where=where))
    if not epochs:
        raise NotMeasured(f"`{variable}`", "be measured at an epoch", "none", "elastic status")
    return epochs[-1]


def _sided(estimates: xr.Dataset, null: float, below: str, above: str, neither: str) -> str:
    """Choose the words for an interval below a value, above it, or containing it; one seed has no interval."""
    if estimates["upper"] < null:
        return below
    if estimates["lower"] > null:
        return above
    return neither if estimates["count"] > 1 else f"{neither} by one seed"


def _estimate(estimates: xr.Dataset, most: float = np.inf) -> str:
    """Format estimate and interval; the interval is clipped to [−most, most]."""
    estimate, lower, upper = (float(estimates[name].clip(-most, most)) for name in ("estimate", "lower", "upper"))
    return typeset(with_interval(estimate, lower, upper))
