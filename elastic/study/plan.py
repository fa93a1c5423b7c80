"""The plan of a study: its grid, its progress, and its estimated cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elastic.study.plan_in_words import plan_lines

if TYPE_CHECKING:
    from elastic.runs.measuring import Cost


@dataclass(frozen=True)
class Kind:
    """Runs of equal cost: they differ in their seed, or in numbers without cost, such as a learning rate.

    Attributes
    ----------
    runs
        How many of them have not ended.
    coordinates
        Of the first of them.
    cost
        Cost of one run; None if it was not measured: the mean of the others is used instead.
    """

    runs: int
    coordinates: Mapping[str, Any]
    cost: Cost | None


@dataclass(frozen=True)
class Plan:
    """A study before or while it is run.

    Attributes
    ----------
    name
        Of the study.
    folder
        Where it is, or will be.
    axes
        Labels along each dim of the grid.
    runs, ended
        Runs of the grid, and how many of them have ended.
    excluded
        Points in the product of the dims that are left out.
    epochs, recorded
        Epochs of all runs, and the trained ones.
    kinds
        Of the runs that have not ended, by cost.
    seconds
        For all remaining runs, one after the other; loading and sealing are not included.
    workers, threads
        Processes that `elastic run` may use, and the threads of each.
    parallel_seconds
        For all remaining runs with these workers, if they do not slow each other down.
    memory_bytes
        Of all workers together.
    disk_bytes
        Of the remaining runs: journals, checkpoints and their part of the sealed cube, as ``du`` counts them.
    cores, idle_cores
        Of this machine, and those that no thread would use.
    measured_seconds
        Duration of the measurement.
    notes
        Notes on the protocol other than errors: numbers limited by the data, claims that one seed cannot
        decide.
    """

    name: str
    folder: str
    axes: Mapping[str, Sequence[Any]]
    runs: int
    ended: int
    excluded: int
    epochs: int
    recorded: int
    kinds: tuple[Kind, ...]
    seconds: float
    workers: int
    threads: int
    parallel_seconds: float
    memory_bytes: int
    disk_bytes: int
    cores: int
    idle_cores: int
    measured_seconds: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON holds it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the plan as text, one fact per line."""
        return [*plan_lines(self), *(f"note: {note}" for note in self.notes)]
