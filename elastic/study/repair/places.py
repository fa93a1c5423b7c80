"""Files that belong to another place in the study are moved there, if nothing intact is there.

Two files may have exchanged places. All of them are first moved to ``damaged/moving``, under a name that encodes their
destination, and from there to it: if a repair is killed, the next one resumes.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from elastic.cube.checked_files import Condition, check_archive, decode_json
from elastic.cube.epoch_files import COMPACT, FOLDER, file_name
from elastic.errors import ElasticError
from elastic.study.recorded import RUN, run_digest
from elastic.study.repair.actions import Actions, move
from elastic.study.verification import Verified
from elastic.study.verification.belonging import DAMAGED
from elastic.study.verification.reading import is_there, misfit

#: Folder of files, and of folders of runs, being moved; each is named by its destination, with commas for slashes.
MOVING = f"{DAMAGED}/moving"

_FOLDER = re.compile(r"the folder of run (\S+)")


def are_moving(folder: Path) -> bool:
    """Return whether a repair was killed while it moved files."""
    return any((folder / MOVING).glob("*"))


def move_back(actions: Actions, verified: Verified) -> None:
    """Move exchanged files, and folders of runs with exchanged names, to the places that they name."""
    bad = {one.path for one in verified.damaged}
    homes = {one.path: home for one in verified.damaged if (home := _home(actions, one.path, one.found)) is not None}
    homes = {path: home for path, home in homes.items() if actions.owns(path) and actions.owns(home)}
    for path, home in sorted(homes.items()):
        moving = actions.folder / MOVING / home.replace("/", ",")
        if (is_there(actions.folder / home) and home not in bad) or is_there(moving):
            actions.set_aside(path, f"it belongs to {home}, where there is one")
        else:
            move(actions.folder / path, moving)
            actions.say(path, f"it belongs to {home}")
    for moving in sorted((actions.folder / MOVING).glob("*")):
        home = moving.name.replace(",", "/")
        actions.set_aside(home, "damaged, and there is an intact one")
        move(moving, actions.folder / home)
        actions.say(home, "put in its place")
    if (actions.folder / MOVING).is_dir():
        (actions.folder / MOVING).rmdir()


def _home(actions: Actions, path: str, found: str) -> str | None:
    """Return where a damaged file belongs according to its contents, None if they name no other place."""
    parts = PurePosixPath(path).parts
    if parts[0] != "runs" or len(parts) < 2:
        return None
    if len(parts) == 2:
        folder = _FOLDER.fullmatch(found)
        return f"runs/{folder[1]}" if folder else None
    try:
        cell, name = _stated_run(actions.folder / path)
    except (ElasticError, OSError, ValueError, KeyError, TypeError):
        return None
    home = f"runs/{cell}/{name}"
    is_of_study = (actions.folder / "runs" / cell).is_dir()
    return home if home != path and is_of_study else None


def _stated_run(file: Path) -> tuple[str, str]:
    """Return the run of an intact file, and its path in the run's folder.

    Raises
    ------
    OSError, ElasticError
        If it cannot be read.
    ValueError, KeyError, TypeError
        If its contents do not name it.
    """
    if wrong := misfit(file) or (file.is_symlink() and "a link to another file"):
        raise ValueError(wrong)
    if file.suffix == ".json":
        facts = decode_json(file.read_bytes())[0]
        return str(run_digest(facts["coordinates"]) if file.name == RUN else facts["cell"]), file.name
    finding = check_archive(file)
    if finding.condition is not Condition.INTACT or finding.label is None:
        raise ValueError("no label")
    label = finding.label
    if label.kind == "record" and label.epoch is not None:
        return label.cell, f"{FOLDER}/{file_name(label.epoch)}"
    return label.cell, f"{FOLDER}/{COMPACT}" if label.kind == "journal" else file.name
