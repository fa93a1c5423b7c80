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
        If the cube does not hold what a figure that was asked for shows, or nothing that any shows.
    """
    cube, folder = study.cube, study.folder / "figures"
    entries = [registry("figures").get(name) for name in names] or list(registry("figures"))
    folder.mkdir(exist_ok=True)
    drawn = 0
    for entry in entries:
        with matplotlib.rc_context(STYLE):
            try:
                figure = entry.function(cube)
            except KeyError as error:
                if not names:
                    continue  # this study does not measure what that figure shows
                should, found = "find what it shows in the cube", str(error.args[0])
                raise StudyError(f"`{entry.name}`", should, found, "a protocol that probes it") from None
            for ending in FORMATS:
                path = folder / f"{entry.name}.{ending}"
                dated = {} if ending == "png" else {"Date": None} if ending == "svg" else {"CreationDate": None}
                figure.savefig(path, dpi=200, metadata=dated)
                yield path
        drawn += 1
    if not drawn:
        hint = "elastic status, or a protocol with probes"
        raise StudyError("the study", "hold something that a figure shows", "no probed epoch", hint)
