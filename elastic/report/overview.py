"""The overview at the top of a report: data, model, training and axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import spelled
from elastic.display.recorded import SOURCE, settings_glance
from elastic.report.context import Context
from elastic.report.history import SYMBOLS


def overview(context: Context) -> dict[str, str]:
    """Return short descriptions of the study by heading."""
    axes = {axis: ", ".join(map(spelled, labels)) for axis, labels in context.axes.items() if axis != "seed"}
    states = [f"{context.states[state]} {state}" for state in SYMBOLS if state in context.states]
    excluded = {"Excluded": context.cube.attrs["excluded"]} if "excluded" in context.cube.attrs else {}
    return {
        **_trained(context),
        **axes,
        **excluded,
        "Seeds": str(len(context.axes["seed"])),
        "Runs": ", ".join(states),
    }


def _trained(context: Context) -> dict[str, str]:
    if context.recorded:
        return {"Source": SOURCE, "Epochs": _recorded_epochs(context), **settings_glance(context.protocol)}
    protocol = context.protocol
    data, model, loss, optimizer = (component_text(protocol.get(p)) for p in ("data", "model", "loss", "optimizer"))
    epochs = (protocol.get("training") or {}).get("epochs", "–")
    return {"Data": data, "Model": model, "Training": f"{loss}, {optimizer}, {epochs} epochs"}


def _recorded_epochs(context: Context) -> str:
    epochs = [run.epoch for run in context.runs if run.epoch is not None]
    return f"recorded up to {epoch_label(max(epochs))}" if epochs else "none recorded"


def component_text(component: Any) -> str:
    """Format a component: its name, and the widths of a model that has them.

    >>> component_text({"name": "mlp", "widths": [64, 32]}), component_text("digits")
    ('mlp 64-32', 'digits')
    """
    if not isinstance(component, Mapping):
        return str(component)
    widths = component.get("widths")
    sizes = "-".join(map(str, widths)) if isinstance(widths, list) else ""
    return f"{component.get('name', '–')} {sizes}".strip()
