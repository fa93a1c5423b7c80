"""What a study says in the end, in sentences that are computed: every word hangs on an interval over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from elastic.analysis.analyses import Analyses
from elastic.analysis.epochs import epoch_label
from elastic.analysis.intervals import interval
from elastic.analysis.locality import tracking
from elastic.analysis.onset import LEAST_CHANGE
from elastic.analysis.reading import hidden_layers, settings_of
from elastic.display.average import over_seeds
from elastic.display.headline import measured_epochs
from elastic.display.markdown import inert
from elastic.display.numbers import with_interval
from elastic.errors import NotMeasured

#: Settings of the axes that are told; a study with more is to be read in its cube.
SETTINGS = 6

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
    """Tell whether the deeper of the hidden layers are half-way first."""
    found = interval(analyses.onset_order("nc1", fraction=0.5, where=where))
    if not found["count"]:
        return ""
    how = _sided(
        found, 0.0, "Deeper layers fall earlier", "Deeper layers fall later", "No order of the layers is shown"
    )
    return f"{how} (order of reaching half the fall of log nc1, −1 from the last layer inward: {_told(found, 1.0)})."


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
