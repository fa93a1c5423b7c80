"""Names of the files of a journal: one per epoch (integer or exact fraction), and the compacted one."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from pathlib import Path

from elastic.cube.atomic import translate_os_errors
from elastic.errors import StudyError

ENDING = ".npz"

#: Folder of the journal in that of its run.
FOLDER = "journal"

#: The file that holds all records of a run that has ended.
COMPACT = "records.npz"


def file_name(epoch: float) -> str:
    """Return the name of the file of an epoch's record: six digits or more, then the exact fraction.

    >>> file_name(17), file_name(0.25), file_name(1e-7)
    ('000017.npz', '000000.25.npz', '000000.0000001.npz')

    Raises
    ------
    StudyError
        If the epoch is negative or not finite.
    """
    if not (math.isfinite(epoch) and epoch >= 0):
        raise StudyError("`epoch`", "be finite and not negative", repr(epoch), "0, 1, 2 …, or 0.5 within the first")
    if epoch == int(epoch):
        return f"{int(epoch):06d}{ENDING}"
    whole, _, fraction = f"{Decimal(repr(float(epoch))):f}".partition(".")  # repr is exact, and read back as it was
    return f"{int(whole):06d}.{fraction}{ENDING}"


def epoch_of(name: str) -> int | float | None:
    """Return the epoch of a record's file, None for a file that is no record.

    >>> epoch_of("000017.npz"), epoch_of("000000.25.npz"), epoch_of(".000017.npz.partial")
    (17, 0.25, None)
    """
    match = re.fullmatch(rf"(\d{{6,}}(\.\d+)?){re.escape(ENDING)}", name)
    if match is None:
        return None
    return float(match[1]) if match[2] else int(match[1])


def record_files(folder: Path) -> list[str]:
    """Return the names of the files in a journal's folder that hold records, in the order of epochs; none is opened.

    A compacted journal comes first.

    Raises
    ------
    StudyError
        If the folder cannot be read.
    """
    with translate_os_errors(folder, "be readable"):
        try:
            names = [path.name for path in folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):  # not begun, or removed by another process
            return []
    places = {name: -1 if name == COMPACT else epoch_of(name) for name in names}
    return [name for _, name in sorted((place, name) for name, place in places.items() if place is not None)]
