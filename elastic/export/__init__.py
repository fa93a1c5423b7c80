"""Export of a study: tidy CSV tables, one NetCDF-4 file, LaTeX tables. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote

import xarray as xr

from elastic.errors import OptionError, StudyError
from elastic.export.csv_files import read_tables, write_tables
from elastic.export.latex import write_latex
from elastic.export.netcdf import write_netcdf
from elastic.export.tables import codebook, tables, tidy
from elastic.registry import nearest
from elastic.study import Study

__all__ = ["FORMATS", "codebook", "export", "read_tables", "tables", "tidy"]

#: Writes a study and its cube into a folder and yields the files. The cube is read once for all formats.
Writer = Callable[[Study, xr.DataTree, Path], Iterator[Path]]

WRITERS: Mapping[str, Writer] = {"csv": write_tables, "netcdf": write_netcdf, "latex": write_latex}

FORMATS = tuple(WRITERS)


def export(study: Study, formats: Sequence[str] = FORMATS, folder: Path | None = None) -> Iterator[Path]:
    """Export a study and yield the written files; each is written atomically.

    Parameters
    ----------
    study
        The study; its runs may be unfinished.
    formats
        Names from `FORMATS`: ``csv`` (one tidy table for each group and set of dims, with a codebook), ``netcdf`` (the
        cube as one file), ``latex`` (headline and claims).
    folder
        Output folder, created if missing; ``export`` in the study's folder by default.

    Raises
    ------
    OptionError
        If a format is unknown; nothing is written then.
    StudyError
        If the folder cannot be written, or there is nothing to write in the formats asked for.
    """
    for name in formats:
        if name not in WRITERS:
            hint = nearest(name, list(FORMATS), fallback=f"one of {', '.join(FORMATS)}")
            raise OptionError("`formats`", f"be of {', '.join(FORMATS)}", repr(name), hint)
    return _written(study, formats, folder or study.folder / "export")


def _written(study: Study, formats: Sequence[str], folder: Path) -> Iterator[Path]:
    written, cube = 0, study.cube
    for name in dict.fromkeys(formats):
        for path in WRITERS[name](study, cube, folder):
            written += 1
            yield path
    if not written:
        hint = f"elastic status {quote(str(study.folder))}"
        raise StudyError("the study", f"hold something to write as {', '.join(formats)}", "nothing probed", hint)
