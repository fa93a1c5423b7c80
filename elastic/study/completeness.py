"""Which runs a sealed cube contains: all runs of the study except those that the user leaves out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from elastic.errors import StudyError

#: A run to leave out: the name of its folder, or labels on some axes, which match every run that has them.
Selected = str | Mapping[str, Any]


class Progress(Protocol):
    """Interface of `elastic.study.RunStatus`: the progress of a run."""

    @property
    def coordinates(self) -> Mapping[str, Any]:
        """Its labels on the axes."""

    @property
    def cell(self) -> str:
        """Name of its folder."""

    @property
    def state(self) -> str:
        """State of the run."""

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""


def named(coordinates: Mapping[str, Any]) -> str:
    """Return the name of a run in messages.

    >>> named({"lr": 0.1, "seed": 2})
    'lr=0.1 seed=2'
    """
    return " ".join(f"{name}={value}" for name, value in coordinates.items())


def selected(runs: Sequence[Mapping[str, Any]], leaving_out: Iterable[Selected], folder: Path) -> list[str]:
    """Return the folder names of the runs to leave out, in the order of the study.

    Parameters
    ----------
    runs
        The study's cells, with ``coordinates`` and ``digest``.
    leaving_out
        Names of folders, or labels on some axes.
    folder
        Of the study, for messages.

    Raises
    ------
    StudyError
        If one of these matches no run.

    Examples
    --------
    >>> runs = [{"coordinates": {"seed": seed, "lr": lr}, "digest": f"{seed}{lr}"} for seed in (0, 1) for lr in (2, 3)]
    >>> selected(runs, [{"seed": 1}, "02"], Path("study"))
    ['02', '12', '13']
    """
    asked = [leaving_out] if isinstance(leaving_out, str | Mapping) else list(leaving_out)
    digests: set[str] = set()
    for one in asked:
        matches = {str(run["digest"]) for run in runs if _matches(run, one)}
        if not matches:
            expected, hint = "be runs of the study", "the name of a run's folder, or values on axes: [{'seed': 2}]"
            raise StudyError("`leaving_out`", expected, repr(one), hint, place=str(folder))
        digests |= matches
    return [str(run["digest"]) for run in runs if run["digest"] in digests]


def check_ended(runs: Iterable[Progress], left_out: Collection[str], folder: Path) -> None:
    """Refuse to seal while a run that is not left out has not ended.

    Parameters
    ----------
    runs
        Progress of each run of the study.
    left_out
        Folder names of the runs that are left out.
    folder
        Of the study, for messages.

    Raises
    ------
    StudyError
        If there is one; the message names the first few.
    """
    unfinished = [run for run in runs if not run.ended and run.cell not in left_out]
    if not unfinished:
        return
    shown = [f"{named(run.coordinates)} ({run.state})" for run in unfinished[:3]]
    more = [f"and {len(unfinished) - 3} more"] if len(unfinished) > 3 else []
    one, rest = dict(unfinished[0].coordinates), ", …" if unfinished[1:] else ""
    hint = f"running the study to its end (elastic run), or Study.seal(leaving_out=[{one}{rest}])"
    found = ", ".join(shown + more)
    raise StudyError("every run", "have ended before the cube is sealed", found, hint, place=str(folder))


def _matches(run: Mapping[str, Any], one: Selected) -> bool:
    if isinstance(one, str):
        return bool(run["digest"] == one)
    coordinates = run["coordinates"]
    return bool(one) and all(name in coordinates and coordinates[name] == value for name, value in one.items())
