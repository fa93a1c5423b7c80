"""Compaction: when a run ends, its records become one file, which is verified before the single files are removed.

A killed process leaves the single files, or the compacted one and some of the single ones. `Journal` reads both, and
the next writer resumes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from elastic.cube.atomic import PARTIAL, sync_folder, translate_os_errors
from elastic.cube.compact_records import EPOCHS, PROBED, CompactRecords
from elastic.cube.epoch_files import COMPACT
from elastic.cube.journal import Journal
from elastic.cube.journal_records import batches
from elastic.cube.labels import DIGITS, Label, digest_of
from elastic.cube.layout_file import cell_of
from elastic.cube.record import Array
from elastic.cube.record_contents import is_probed_key
from elastic.errors import Damaged

#: A journal of up to so many bytes is held in memory while it is compacted; of a larger one, one variable's part.
WHOLE = 128 * 2**20

#: Yields one variable over all its epochs, in parts [epoch, …].
Columns = Callable[[str], Iterator[Array]]


def compact_journal(journal: Journal) -> None:
    """Merge the records of a run that has ended into one file; the caller owns the run.

    Raises
    ------
    Damaged
        If a record is damaged, or the written file does not read back.
    StudyError
        If the disk is full, …; the records stay unchanged.
    """
    if not journal.single_epochs():
        return
    epochs = journal.by_probed()
    columns = _columns(journal, epochs)
    keys = journal.keys(probed=bool(epochs[True]))
    partial = journal.folder / f".{COMPACT}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}"
    with translate_os_errors(journal.folder / COMPACT):
        try:
            _write(partial, journal, epochs, keys, columns)
            _verify(CompactRecords(journal.run_folder, partial, journal.blanks), keys, columns)
            partial.replace(journal.folder / COMPACT)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
        sync_folder(journal.folder)
    journal.remove_compacted(verified=True)


def _columns(journal: Journal, epochs: dict[bool, list[int | float]]) -> Columns:
    """Return a function that yields a variable, read record by record if they all fit into memory."""
    recorded = sorted([*epochs[False], *epochs[True]])
    size = sum(len(epochs[probed]) * sum(a.nbytes for a in blank.values()) for probed, blank in journal.blanks.items())
    if size > WHOLE:
        return lambda key: journal.variable_blocks(key, epochs[True] if is_probed_key(key) else recorded)
    places = {epoch: place for place, epoch in enumerate(recorded)}
    probed_places = {epoch: place for place, epoch in enumerate(epochs[True])}
    whole = {
        key: np.empty((len(epochs[True] if is_probed_key(key) else recorded), *blank.shape), blank.dtype)
        for key, blank in journal.blanks[True].items()
    }
    for part, block in journal.blocks(epochs):
        for key, rows in block.items():
            whole[key][[(probed_places if is_probed_key(key) else places)[epoch] for epoch in part]] = rows
    return lambda key: iter([whole[key]])


def _write(
    path: Path, journal: Journal, epochs: dict[bool, list[int | float]], keys: list[str], columns: Columns
) -> None:
    recorded = sorted([*epochs[False], *epochs[True]])
    probed = set(epochs[True])
    label = Label("journal", cell_of(journal.run_folder)).encoded()
    with path.open("xb+") as file:
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, EPOCHS, (), np.dtype("<f8"), len(recorded), iter([np.array(recorded, "<f8")]))
            is_probed = np.array([epoch in probed for epoch in recorded])
            _add(archive, PROBED, (), np.dtype("|b1"), len(recorded), iter([is_probed]))
            for key in keys:
                blank, count = journal.blanks[True][key], len(probed) if is_probed_key(key) else len(recorded)
                _add(archive, key, blank.shape, blank.dtype, count, columns(key))
            archive.comment = label + b"0" * DIGITS
        size = file.seek(0, os.SEEK_END)
        digest = digest_of(file, size - DIGITS).encode()
        file.seek(size - DIGITS)
        file.write(digest)
        file.flush()
        os.fsync(file.fileno())


def _add(
    archive: zipfile.ZipFile, key: str, shape: tuple[int, ...], dtype: np.dtype, count: int, parts: Iterator[Array]
) -> None:
    """Add an array [count, *shape] to an archive, part by part; NumPy's own writer needs it whole."""
    with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(member, header)
        for part in parts:
            member.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)


def _verify(written: CompactRecords, keys: list[str], columns: Columns) -> None:
    """Compare what was written with the records, bit by bit."""
    for key in keys:
        start = 0
        for part in columns(key):
            for rows in batches(range(len(part)), part.nbytes // max(1, len(part))):
                asked = part[rows[0] : rows[-1] + 1]
                if written.rows(key, start, start + len(rows)).tobytes() != asked.tobytes():
                    hint = "running again; if it stays so, another disk"
                    raise Damaged(f"`{COMPACT}`", "read back as it was written", f"other {key}", hint)
                start += len(rows)
