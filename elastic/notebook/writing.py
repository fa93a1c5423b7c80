"""Writing a study's notebook without overwriting cells that the user has edited."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jupytext
from nbformat import NotebookNode, v4

from elastic import __version__
from elastic.cube import write_atomically
from elastic.errors import OptionError, StudyError
from elastic.notebook.cells import cells
from elastic.study import Study

FILE = "analysis.ipynb"

#: Suffixes of a notebook, and of its source in Jupytext's percent format.
NOTEBOOK, SOURCE = ".ipynb", ".py"
FORMATS = {NOTEBOOK: "ipynb", SOURCE: "py:percent"}

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def write_notebook(study: Study, path: Path | None = None, *, execute: bool = False) -> Path:
    """Write a notebook that analyses a study: its question, collapse and elasticity by layer, claims, conclusion.

    Parameters
    ----------
    study
        The study; its runs may be unfinished. Cells on unmeasured variables are left out.
    path
        Output file: ``.ipynb``, or ``.py`` for the source in Jupytext's percent format; ``analysis.ipynb`` in the
        study's folder by default.
    execute
        Whether to execute it (extra ``notebook``).

    Raises
    ------
    OptionError
        If the suffix is another one, or a source is to be executed.
    StudyError
        If a notebook with edited cells exists there, it cannot be written, or a cell fails.
    """
    path = Path(path) if path is not None else study.folder / FILE
    _check_ending(path, execute)
    notebook = built(study, path)
    _check_unchanged(path, notebook)
    if execute:
        from elastic.notebook.execution import executed

        notebook = executed(notebook, path.parent)
    text: str = jupytext.writes(notebook, fmt=FORMATS[path.suffix])  # type: ignore[no-untyped-call]
    try:
        write_atomically(path, (text.rstrip("\n") + "\n").encode())
    except StudyError as error:
        hint = "another file, on a disk with space (-o FILE)"
        raise StudyError(error.field, error.expected, error.found, hint, place=error.place) from None
    return path


def built(study: Study, path: Path) -> NotebookNode:
    """Return the notebook of a study for a path, without outputs."""
    place = Path(os.path.relpath(study.folder, path.parent)).as_posix()
    new: dict[str, Callable[..., NotebookNode]] = {"markdown": v4.new_markdown_cell, "code": v4.new_code_cell}
    parts = [new[cell.kind](cell.text, id=f"cell-{i}") for i, cell in enumerate(cells(study, place))]
    if path.suffix == SOURCE:  # a source is its cells and nothing else
        metadata: dict[str, Any] = {"jupytext": {"notebook_metadata_filter": "-all", "cell_metadata_filter": "-all"}}
    else:
        written = {"study": study.name, "digest": study.digest, "version": __version__, "cells": fingerprint(parts)}
        metadata = {"kernelspec": KERNEL, "elastic": written}
    return v4.new_notebook(cells=parts, metadata=metadata)  # type: ignore[no-untyped-call, no-any-return]


def fingerprint(parts: Iterable[NotebookNode]) -> str:
    """Return the SHA-256 of a notebook's cells, without their outputs."""
    contents = [[cell.cell_type, cell.source] for cell in parts]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def _check_ending(path: Path, execute: bool) -> None:
    if path.suffix not in FORMATS:
        raise OptionError("`output`", "end in .ipynb or .py", repr(path.name), f"{path.stem or 'analysis'}.ipynb")
    if execute and path.suffix == SOURCE:
        raise OptionError("`output`", "end in .ipynb to be executed", repr(path.name), f"{path.stem}.ipynb")


def _check_unchanged(path: Path, new: NotebookNode) -> None:
    """Raise an error if a notebook has cells other than elastic wrote or would write now."""
    if not path.exists():
        return
    expected, hint = "hold its cells as elastic wrote them, to be written again", "-o OTHER, or moving it away"
    try:
        old = jupytext.read(path, fmt=FORMATS[path.suffix])  # type: ignore[no-untyped-call]
        known = (fingerprint(new.cells), old.metadata.get("elastic", {}).get("cells"))
    except Exception as error:  # any error that an invalid file causes in the reader
        raise StudyError(f"`{path.name}`", expected, f"no notebook ({error})", hint, place=str(path)) from None
    if fingerprint(old.cells) not in known:
        raise StudyError(f"`{path.name}`", expected, "cells that were changed", hint, place=str(path))
