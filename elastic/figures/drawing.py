"""Drawing a study's figures into its folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from elastic.errors import NotMeasured, StudyError
from elastic.figures.contract import styled
from elastic.registry import registry
from elastic.study import Study

FORMATS = ("svg", "pdf", "png")

#: Dots an inch of PNG files; drawings of cells inside SVG and PDF files have them too.
DOTS = 200


def on_stderr(line: str) -> None:
    """Write a line where it does not mix with the names of files."""
    print(line, file=sys.stderr)


def draw(study: Study, names: Sequence[str] = (), tell: Callable[[str], None] = on_stderr) -> Iterator[Path]:
    """Draw figures of a study and yield the files: ``figures/<name>.svg``, ``.pdf`` and ``.png``.

    Parameters
    ----------
    study
        Whose cube is drawn.
    names
        Registered figures; by default all that show something the study measured.
    tell
        Is given a line about each figure that was left out, and why.

    Raises
    ------
    UnknownName
        If a name is no figure.
    NotMeasured
        If the cube does not hold what a figure that was asked for shows.
    StudyError
        If it holds nothing that any figure shows.
    """
    cube, folder = study.cube, study.folder / "figures"
    entries = [registry("figures").get(name) for name in names] or list(registry("figures"))
    drawn = 0
    for entry in entries:
        try:
            figure = entry.function(cube)
        except NotMeasured as error:
            if names:
                raise error.at(f"figure {entry.name}") from None
            tell(f"{entry.name} is left out: {error}")
            continue
        folder.mkdir(exist_ok=True)
        for ending in FORMATS:
            path = folder / f"{entry.name}.{ending}"
            with styled():  # a figure of an outsider may not be a PaperFigure
                figure.savefig(path, dpi=DOTS)
            yield path
        drawn += 1
    if not drawn:
        hint = "elastic status, or a protocol with probes"
        raise StudyError("the study", "hold something that a figure shows", "no probed epoch", hint)
