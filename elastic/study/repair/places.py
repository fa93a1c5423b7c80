"""Files that say that they are of another place in the study are put there, if nothing intact is there."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath

from elastic.cube.atomic import make_folder, sync_folder
from elastic.cube.checked_files import Condition, check_archive, decode_json
from elastic.cube.epoch_files import COMPACT, FOLDER, file_name
from elastic.errors import ElasticError
from elastic.study.recorded import run_digest
from elastic.study.repair.actions import Actions
from elastic.study.verification import Verified

_FOLDER = re.compile(r"the folder of run (\S+)")


def move_back(actions: Actions, found: Verified) -> None:
    """Move exchanged files, and folders of runs with exchanged names, to where they say that they belong."""
    homes = {one.path: home for one in found.damaged if (home := _home(actions, one.path, one.found)) is not None}
    bad = {one.path for one in found.damaged}
    # All of them are taken away first: two files may have each other's places.
    taken = {path: actions.set_aside(path, quietly=True) for path in sorted(homes)}
    for path, place in taken.items():
        if place is None:
            continue
        target = actions.folder / homes[path]
        if homes[path] in bad and homes[path] not in taken and target.exists():
            actions.set_aside(homes[path], "damaged, and there is an intact one")
        if target.exists():
            aside = place.relative_to(actions.folder).as_posix()
            actions.say(path, f"moved to {aside}: it belongs to {homes[path]}, where there is one")
            continue
        make_folder(target.parent)
        place.rename(target)
        sync_folder(target.parent)
        actions.say(path, f"moved to {homes[path]}, where it belongs")


def _home(actions: Actions, path: str, found: str) -> str | None:
    """Return where a damaged file belongs by its own account, None if it says nothing else."""
    parts = PurePosixPath(path).parts
    if parts[0] != "runs" or len(parts) < 2:
        return None
    if len(parts) == 2:
        folder = _FOLDER.fullmatch(found)
        return f"runs/{folder[1]}" if folder else None
    try:
        cell, name = _told(actions, path, parts[-1])
    except (ElasticError, OSError, ValueError, KeyError, TypeError):
        return None
    home = f"runs/{cell}/{name}"
    is_of_study = (actions.folder / "runs" / cell).is_dir()
    return home if home != path and is_of_study else None


def _told(actions: Actions, path: str, name: str) -> tuple[str, str]:
    """Return the run of an intact file, and its path in the run's folder.

    Raises
    ------
    ValueError, KeyError
        If it does not say.
    """
    file = actions.folder / path
    if name.endswith(".json"):
        facts = decode_json(file.read_bytes())[0]
        cell = run_digest(facts["coordinates"]) if name == "run.json" else facts["cell"]
        return str(cell), name
    finding = check_archive(file)
    if finding.condition is not Condition.INTACT or finding.label is None:
        raise ValueError(json.dumps(path))
    label = finding.label
    if label.kind == "record" and label.epoch is not None:
        return label.cell, f"{FOLDER}/{file_name(label.epoch)}"
    return label.cell, f"{FOLDER}/{COMPACT}" if label.kind == "journal" else name
