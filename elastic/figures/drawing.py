"""Drawing a study's figures into its folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib

from elastic.errors import StudyError
from elastic.figures.contract import STYLE
from elastic.registry import registry
from elastic.study import Study

FORMATS = ("svg", "pdf", "png")


def draw(study: Study, names: Sequence[str] = ()) -> Iterator[Path]:
    """Draw figures of a study and yield the files: ``figures/<name>.svg``, ``.pdf`` and ``.png``.

    Parameters
    ----------
    study
        Whose cube is drawn.
    names
        Registered figures; all of them by default.

    Raises
    ------
    UnknownName
        If a name is no figure.
    StudyError
        If the cube does not hold what a figure that was asked for shows.
    """
    cube, folder = study.cube, study.folder / "figures"
    folder.mkdir(exist_ok=True)
    for entry in [registry("figures").get(name) for name in names] or list(registry("figures")):
        with matplotlib.rc_context(STYLE):
            try:
                figure = entry.function(cube)
            except KeyError as error:
                if not names:
                    continue  # this study does not measure what that figure shows
                hint = "a protocol that probes it"
                raise StudyError(f"`{entry.name}`", f"find {error} in the cube", "none", hint) from None
            for ending in FORMATS:
                path = folder / f"{entry.name}.{ending}"
                dated = {} if ending == "png" else {"Date": None} if ending == "svg" else {"CreationDate": None}
                figure.savefig(path, dpi=200, metadata=dated)
                yield path
