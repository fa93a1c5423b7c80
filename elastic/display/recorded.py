"""The settings of a recorded study as text: what its training loop passed to the Recorder, in place of a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import spelled

#: Shown for a recorded study in place of the data, model and optimiser of a protocol.
SOURCE = "Recorded from a training loop"

#: Settings in the overview, and the most parts of one setting that it lists.
GLANCE, PARTS = ("model", "layers", "loss", "epochs", "probes"), 8

#: Key of the setting ``probes`` that holds the probed epochs.
AT = "at"


def study_title(protocol: Mapping[str, Any]) -> str:
    """Return the title of a study, or its name if it has none.

    >>> study_title({"name": "runs-7", "title": ""}), study_title({"name": "runs-7", "title": "Seven"})
    ('runs-7', 'Seven')
    """
    return str(protocol.get("title") or "").strip() or str(protocol["name"])


def settings_table(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return each setting as text by name, those of nested mappings by path.

    Parameters
    ----------
    protocol
        Protocol of a recorded study from ``study.json``.

    Examples
    --------
    >>> settings_table({"settings": {"loss": "mse", "optimizer": {"lr": [0.1, 0.01], "nesterov": True}}})
    {'loss': 'mse', 'optimizer.lr': '0.1, 0.01', 'optimizer.nesterov': 'true'}
    >>> settings_table({"settings": {"probes": {"at": [0.0, 0.5, 8.0]}, "weight_decay": None}})
    {'probes.at': '0, 0.5, 8'}
    """
    rows = dict(_rows("", protocol.get("settings") or {}))
    if rows.get("weight_decay") == "none":
        # The ridge of the least-squares decomposition: if it is not given, the training may still have used one.
        del rows["weight_decay"]
    return rows


def _rows(prefix: str, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            rows += _rows(f"{path}.", value)
        else:
            rows.append((path, _epochs(value) if path == f"probes.{AT}" else setting_text(value)))
    return rows


def _epochs(value: Any) -> str:
    """Format a list of epochs, or several lists if runs differ."""
    is_one = isinstance(value, list) and all(isinstance(epoch, int | float) for epoch in value)
    return ", ".join(map(epoch_label, value)) if is_one else setting_text(value)


def settings_glance(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of `GLANCE` of a recorded study as short texts, by heading.

    >>> settings_glance({"settings": {"layers": ["conv1", "fc"], "probes": {"at": [0, 8], "collapse": {}}, "lr": 0.1}})
    {'Layers': 'conv1, fc', 'Probes': 'collapse'}
    """
    settings = dict(protocol.get("settings") or {})
    if isinstance(settings.get("probes"), Mapping):
        settings["probes"] = {name: options for name, options in settings["probes"].items() if name != AT}
    return {name.capitalize(): _short(settings[name]) for name in GLANCE if settings.get(name) not in (None, {}, [])}


def _short(value: Any) -> str:
    parts = _parts(value)
    return ", ".join(parts) if len(parts) <= PARTS else f"{', '.join(parts[: PARTS - 1])}, … {parts[-1]} ({len(parts)})"


def _parts(value: Any) -> list[str]:
    """Return the parts of a setting as texts; nested mappings are reduced to their names."""
    if isinstance(value, Mapping):
        return [name if _is_nested(part) else f"{name} {setting_text(part)}" for name, part in value.items()]
    return [setting_text(part) for part in value] if isinstance(value, list | tuple) else [setting_text(value)]


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def setting_text(value: Any) -> str:
    """Format a value of a setting.

    >>> setting_text([0.1, True, None]), setting_text([[1, 2], [3]]), setting_text([{"name": "mse", "scale": 2}])
    ('0.1, true, none', '[1, 2], [3]', '{name: mse, scale: 2}')
    """
    if isinstance(value, list | tuple):
        parts = [(setting_text(part), isinstance(part, list | tuple)) for part in value]
        return ", ".join(f"[{text}]" if bracketed else text for text, bracketed in parts)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {setting_text(part)}" for name, part in value.items()) + "}"
    return "none" if value is None else spelled(value)
