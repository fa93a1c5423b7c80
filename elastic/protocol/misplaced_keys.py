"""Suggestions for misplaced keys, and for keys that other libraries name differently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

import pydantic

from elastic.protocol.paths import Path
from elastic.protocol.schema_paths import schema_at
from elastic.protocol.sections import COMPONENTS, Sections
from elastic.registry import registry, same_name

#: Names in other libraries, and the corresponding keys of a protocol.
SYNONYMS: Mapping[str, str] = {
    "arch": "model", "architecture": "model", "batch": "batch_size", "bs": "batch_size", "criterion": "loss",
    "dataset": "data", "experiment": "name", "gpu": "device", "hidden_sizes": "widths", "hidden_dims": "widths",
    "learning_rate": "lr", "max_epochs": "epochs", "net": "model", "network": "model", "num_epochs": "epochs",
    "n_epochs": "epochs", "num_classes": "classes", "optim": "optimizer", "precision": "dtype", "random_seed": "seed",
    "references": "cites", "lr_scheduler": "schedule", "scheduler": "schedule", "sweep": "axes", "grid": "axes",
    "hypotheses": "claims", "train": "training", "wd": "weight_decay", "l2": "weight_decay", "normalization": "norm",
}  # fmt: skip

#: Options that functions of one kind name differently: probe schedules and claims.
OTHER_WORDS: Mapping[str, tuple[str, ...]] = {
    "epochs": ("values", "step", "count"), "every": ("step",), "interval": ("step",), "metric": ("variable",),
    "variable": ("metric",),
}  # fmt: skip

#: The model that imports external code, named by its option ``target``.
EXTERNAL = "external"

#: Most places that a hint lists.
MOST = 2


def meant_by(key: str, known: list[str]) -> str | None:
    """Return the known key of which a key is another spelling or a synonym, or None.

    >>> meant_by("Learning-Rate", ["lr", "momentum"]), meant_by("epoch", ["epochs"]), meant_by("lr", ["epochs"])
    ('lr', 'epochs', None)
    """
    synonym = same_name(key, SYNONYMS)
    if name := same_name(key, known):
        return name
    words = ((SYNONYMS[synonym],) if synonym else ()) + OTHER_WORDS.get(str(same_name(key, OTHER_WORDS)), ())
    return next((name for word in words if (name := same_name(word, known))), None)


def part_of_its_own(key: str, path: Path) -> str | None:
    """Return the section that a misplaced key names, or None.

    >>> part_of_its_own("optimizer", ("training",)), part_of_its_own("loss", ()), part_of_its_own("colour", ("data",))
    ('optimizer', None, None)
    """
    return meant_by(key, list(Sections.model_fields)) if path else None


def homes(key: str, path: Path) -> list[str]:
    """Return the places where a key is valid, as dotted paths; [] if there are none, or too many.

    Parameters
    ----------
    key
        The key as written.
    path
        Path of the mapping that contains it.

    Examples
    --------
    >>> homes("momentum", ("training",)), homes("batch-size", ()), homes("colour", ())
    (['optimizer.momentum'], ['training.batch_size'], [])
    """
    among = _keys(common_only=path in COMPONENTS)
    paths = [
        ".".join((*owner, known))
        for owner, keys in among.items()
        if owner != path and (known := meant_by(key, list(keys)))
    ]
    exact = [home for home in paths if home.rpartition(".")[2] == key]
    paths = exact or paths
    return paths if len(paths) <= MOST else []


@cache
def _keys(*, common_only: bool) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    """Return the keys of each section; with ``common_only`` only options that most functions have."""
    names_by_path: dict[tuple[str, ...], dict[str, None]] = {("axes",): {"seed": None}}
    for path, names in _sections(Sections, ()):
        names_by_path.setdefault(path, {}).update(dict.fromkeys(names))
    for component, kind in COMPONENTS.items():
        entries = [
            entry for entry in registry(kind) if entry.name != EXTERNAL
        ]  # its option ``layers`` does not apply to other models
        held = Counter(name for entry in entries for name in entry.options.model_fields)
        options = [name for name, count in held.items() if not common_only or 2 * count > len(entries)]
        names_by_path.setdefault(component, {}).update(dict.fromkeys(options))
    return {path: tuple(name for name in names if name != "name") for path, names in names_by_path.items() if path}


def _sections(model: type[pydantic.BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    yield path, list(model.model_fields)
    for name in model.model_fields:
        inner, _ = schema_at(model, (name,))
        if inner is not None:
            yield from _sections(inner, (*path, name))
