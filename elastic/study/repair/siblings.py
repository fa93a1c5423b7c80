"""A run's layout.json and run.json, rebuilt from other runs: the digests in its status.json verify them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from elastic.cube import read_layout
from elastic.cube.atomic import write_atomically
from elastic.cube.checked_files import encode_json, write_json
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.errors import ElasticError
from elastic.study.recorded import RUN, run_digest
from elastic.study.repair.actions import Actions
from elastic.study.seal_state import root_attributes
from elastic.study.study_file import FACTS
from elastic.study.verification.reading import read_object, sha256
from elastic.study.verification.run_files import REPORT

#: How many combinations of coordinates are tried for the name of a run's folder.
LIMIT = 100_000


def restore_from_siblings(actions: Actions, run: str, names: Sequence[str]) -> None:
    """Rewrite the named files of a run from other runs, if they match the digests in the run's status.json."""
    folder = actions.folder / run
    report, _ = read_object(folder / REPORT, REPORT)
    listed = (report or {}).get("files")
    for name in names:
        digest = listed.get(name) if isinstance(listed, dict) else None
        attempts = _layouts(folder) if name == LAYOUT else _descriptions(folder)
        for data in attempts if digest else ():
            if hashlib.sha256(data).hexdigest() == digest:
                actions.set_aside(f"{run}/{name}", quietly=True)
                write_atomically(folder / name, data)
                actions.say(f"{run}/{name}", f"written anew like those of the runs beside it; {REPORT} has its SHA-256")
                break


def restore_coordinates(actions: Actions, run: str) -> None:
    """Write the run.json of a run with its coordinates, if they are found; its settings stay lost."""
    folder = actions.folder / run
    known = next(_coordinates(folder), None)
    if known is None:
        what = "lost: its coordinates are not among those of other runs; record the run again, or put back a copy"
        actions.say(f"{run}/{RUN}", what)
        return
    facts, _ = read_object(actions.folder / FACTS, FACTS)
    study = next((one["study"] for one in _others(folder) if one.get("study")), (facts or {}).get("name"))
    actions.set_aside(f"{run}/{RUN}")
    write_atomically(folder / RUN, encode_json({"study": study, "coordinates": known, "settings": {}}))
    report, _ = read_object(folder / REPORT, REPORT)
    if report and isinstance(report.get("files"), dict):  # the others are still compared with what it lists
        report["files"][RUN] = sha256(folder / RUN)
        write_json(folder / REPORT, report)
    what = f"written anew with the coordinates {known}, of which the folder's name is the digest; its settings are lost"
    actions.say(f"{run}/{RUN}", what)


def _layouts(folder: Path) -> Iterator[bytes]:
    for other in sorted(folder.parent.iterdir()):
        try:
            layout = read_layout(other) if other != folder else None
        except ElasticError:
            continue
        if layout is not None:
            yield replace(layout, cell=folder.name).to_json().encode()


def _descriptions(folder: Path) -> Iterator[bytes]:
    """Yield candidates for the contents of run.json."""
    others = _others(folder)
    settings = [one["settings"] for one in others if isinstance(one.get("settings"), dict)]
    for coordinates in _coordinates(folder):
        for own in settings:
            for study in {one.get("study") for one in others}:
                yield encode_json({"study": study, "coordinates": coordinates, "settings": own})


def _coordinates(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield coordinates whose digest is a folder's name, from the values that other runs and the cube have."""
    axes: dict[str, list[Any]] = {}
    for one in _others(folder):
        for name, value in dict(one.get("coordinates") or {}).items():
            axes.setdefault(name, [])
            axes[name] += [value] if value not in axes[name] else []
    seeds = root_attributes(folder.parent.parent).get("seeds", [])
    seeds = [*(seeds if isinstance(seeds, list) else [seeds]), *range(100)]
    axes["seed"] = [*axes.get("seed", []), *(seed for seed in seeds if seed not in axes.get("seed", []))]
    for number, values in enumerate(product(*axes.values())):
        if number > LIMIT:
            return
        coordinates = dict(zip(axes, values, strict=True))
        if run_digest(coordinates) == folder.name:
            yield coordinates


def _others(folder: Path) -> list[dict[str, Any]]:
    """Return the contents of the intact run.json files of the other runs."""
    paths = [path for path in sorted(folder.parent.glob(f"*/{RUN}")) if path.parent != folder]
    return [facts for path in paths if (facts := read_object(path, RUN)[0])]
