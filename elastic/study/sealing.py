"""Sealing a study: its files are intact, its runs have ended, and the seal is that of its protocol."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from elastic.cube import is_sealed, remove_seal, seal, study_lock, verify_manifest, write_atomically
from elastic.errors import Damaged, StudyError
from elastic.study.completeness import Selected, check_ended, named, selected
from elastic.study.cube_attributes import LEFT_OUT, of_absent
from elastic.study.seal_state import root_attributes
from elastic.study.study_file import FACTS, PROTOCOL, read_facts

logger = logging.getLogger("elastic")

if TYPE_CHECKING:
    from elastic.study.study import Study


def seal_study(study: Study, leaving_out: Iterable[Selected] = ()) -> None:
    """Write the final cube of a study; `Study.seal` describes it."""
    _check_files(study)
    left_out = selected(study.cells, leaving_out, study.folder)
    if not os.access(study.folder, os.W_OK) and _is_sealed(study, left_out):
        return  # a finished study on a disk that cannot be written, where no lock can be taken either
    extra = [Path(FACTS)] if study.recorded else [Path(PROTOCOL), Path(FACTS)]
    seal(lambda: _unsealed(study, left_out), study.folder, extra)
    try:
        _check_files(study)  # as the manifest lists them
    except Damaged:
        remove_seal(study.folder)
        raise


def _check_files(study: Study) -> None:
    """Raise unless study.json and protocol.yaml are intact and belong to this study; write a missing protocol.yaml."""
    if study.recorded:
        read_facts(study.folder)
        return
    _check_same(study)
    path = study.folder / PROTOCOL
    if not path.exists():
        # A process that extends the study moves the file aside before it writes another: that one has to stay.
        with study_lock(study.folder):
            text = _check_same(study).facts["text"]
            if not path.exists():
                write_atomically(path, text.encode())


def _check_same(study: Study) -> Study:
    """Return the study that the folder holds now, if it is of the same protocol."""
    now = type(study)(study.folder)
    if now.digest != study.digest:
        expected, found = "be of the protocol that is run", "another, which another process has begun there since"
        hint = "one protocol with all values on its axes: processes that run it share its runs"
        raise StudyError(f"`{FACTS}`", expected, found, hint, place=str(study.folder))
    _ = now.cells  # derived, and compared
    return now


def _unsealed(study: Study, left_out: Collection[str]) -> xr.DataTree | None:
    """Return the cube, None if it is sealed already, or if other processes are recording: they seal it."""
    if _is_sealed(study, left_out):
        return None
    if not study.recorded:
        check_ended(study.runs(), left_out, study.folder)
    _name_lost(study)
    tree = study.assemble(leaving_out=left_out)
    return tree if tree.attrs["digest"] == study.digest else None


def _name_lost(study: Study) -> None:
    """Name the runs of a recorded study whose folders are gone: the cube that is replaced was the last with them."""
    if study.recorded:
        for run in study.seal_state().lost:
            text = "the cube sealed before had a run whose folder is gone, %s; it is sealed without it now"
            logger.warning(text, named(run))


def _is_sealed(study: Study, left_out: Collection[str]) -> bool:
    """Return whether the sealed cube is intact, and has these runs of the study."""
    if not is_sealed(study.folder) or verify_manifest(study.folder):
        return False
    attrs = root_attributes(study.folder)  # of an intact file; to open the whole cube takes ten times as long
    asked = {"digest": study.refresh(), **of_absent(c for c in study.cells if c["digest"] in left_out)}
    return asked == {key: attrs[key] for key in ("digest", LEFT_OUT) if key in attrs}
