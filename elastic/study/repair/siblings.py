"""A run's layout.json and run.json from the runs beside it: its status.json tells by their digests what is right."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from elastic.cube import read_layout
from elastic.cube.atomic import write_atomically
from elastic.cube.checked_files import encode_json
from elastic.cube.layout_file import FILE as LAYOUT
from elastic.errors import ElasticError
from elastic.study.recorded import RUN, run_digest
from elastic.study.repair.actions import Actions
from elastic.study.verification.reading import read_object
from elastic.study.verification.run_files import REPORT
from elastic.study.verification.sealed_files import root_attributes

#: How many combinations of coordinates are tried for the name of a run's folder.
LIMIT = 100_000


def restore_from_siblings(actions: Actions, run: str, names: Sequence[str]) -> None:
    """Write the named files of a run anew where other runs tell them: the run's status.json has their digests."""
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


def _layouts(folder: Path) -> Iterator[bytes]:
    for other in sorted(folder.parent.iterdir()):
        try:
            layout = read_layout(other) if other != folder else None
        except ElasticError:
            continue
        if layout is not None:
            yield replace(layout, cell=folder.name).to_json().encode()


def _descriptions(folder: Path) -> Iterator[bytes]:
    """Yield what run.json may have held: the name of the folder is the digest of the coordinates."""
    others = [facts for path in sorted(folder.parent.glob(f"*/{RUN}")) if (facts := read_object(path, RUN)[0])]
    settings = [one["settings"] for one in others if isinstance(one.get("settings"), dict)]
    known = [one["coordinates"] for one in others if isinstance(one.get("coordinates"), dict)]
    axes: dict[str, list[object]] = {name: [] for name in (known[0] if known else ())}
    for at in known:
        for name in axes:
            axes[name] += [at[name]] if name in at and at[name] not in axes[name] else []
    seeds = root_attributes(folder.parent.parent).get("seeds", [])
    if "seed" in axes:
        several = seeds if isinstance(seeds, list) else [seeds]
        axes["seed"] += [seed for seed in (*several, *range(100)) if seed not in axes["seed"]]
    for number, values in enumerate(product(*axes.values())):
        if number > LIMIT:
            return
        coordinates = dict(zip(axes, values, strict=True))
        if run_digest(coordinates) == folder.name:
            for own in settings:
                for study in {one.get("study") for one in others}:
                    yield encode_json({"study": study, "coordinates": coordinates, "settings": own})
