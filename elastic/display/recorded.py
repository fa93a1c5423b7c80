"""The settings of a recorded study as text: what its training loop gave to the Recorder, in place of a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elastic.analysis.epochs import epoch_label
from elastic.analysis.reading import spelled

#: What a recorded study is called where a protocol's study shows what it trained.
SOURCE = "Recorded from a training loop"

#: Settings shown at a glance, and the parts of one of them that are written out there.
GLANCE, PARTS = ("model", "layers", "loss", "epochs", "probes"), 8

#: The part of the setting ``probes`` that says when the probes are read, and is none.
AT = "at"


def study_title(protocol: Mapping[str, Any]) -> str:
    """Return the title of a study, or its name where it has none.

    >>> study_title({"name": "runs-7", "title": ""}), study_title({"name": "runs-7", "title": "Seven"})
    ('runs-7', 'Seven')
    """
    return str(protocol.get("title") or "").strip() or str(protocol["name"])


def settings_table(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return each setting as text, by its name; those of a nested mapping by their path.

    Parameters
    ----------
    protocol
        That of a recorded study, as ``study.json`` holds it.

    Examples
    --------
    >>> settings_table({"settings": {"loss": "mse", "optimizer": {"lr": [0.1, 0.01], "nesterov": True}}})
    {'loss': 'mse', 'optimizer.lr': '0.1, 0.01', 'optimizer.nesterov': 'true'}
    >>> settings_table({"settings": {"probes": {"at": [0.0, 0.5, 8.0]}, "weight_decay": None}})
    {'probes.at': '0, 0.5, 8'}
    """
    rows = dict(_rows("", protocol.get("settings") or {}))
    if rows.get("weight_decay") == "none":
        # That of the least-squares decomposition: where it is not given, the training may still have had one.
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
    """Return a list of epochs as text; where runs have different ones, the lists."""
    is_one = isinstance(value, list) and all(isinstance(epoch, int | float) for epoch in value)
    return ", ".join(map(epoch_label, value)) if is_one else setting_text(value)


def settings_glance(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of `GLANCE` that a recorded study has as short texts, by heading.

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
    """Return the parts of a setting as texts; of a mapping within it only the name."""
    if isinstance(value, Mapping):
        return [name if _is_nested(part) else f"{name} {setting_text(part)}" for name, part in value.items()]
    return [setting_text(part) for part in value] if isinstance(value, list | tuple) else [setting_text(value)]


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple)


def setting_text(value: Any) -> str:
    """Return a value of a setting as text.

    >>> setting_text([0.1, True, None]), setting_text([[1, 2], [3]]), setting_text([{"name": "mse", "scale": 2}])
    ('0.1, true, none', '[1, 2], [3]', '{name: mse, scale: 2}')
    """
    if isinstance(value, list | tuple):
        parts = [(setting_text(part), isinstance(part, list | tuple)) for part in value]
        return ", ".join(f"[{text}]" if bracketed else text for text, bracketed in parts)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {setting_text(part)}" for name, part in value.items()) + "}"
    return "none" if value is None else spelled(value)
