"""What is known of a study before it is run, or on its way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from elastic.study.plan_in_words import told

if TYPE_CHECKING:
    from elastic.runs.measuring import Cost


@dataclass(frozen=True)
class Kind:
    """Runs that take the same: they differ in their seed, or in numbers that cost nothing, as a learning rate.

    Attributes
    ----------
    runs
        How many of them have not ended.
    coordinates
        Of the first of them.
    cost
        What one takes; None where it was not measured: the mean of the others stands for it.
    """

    runs: int
    coordinates: Mapping[str, Any]
    cost: Cost | None


@dataclass(frozen=True)
class Plan:
    """A study before it is run, or on its way.

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
        Places in the product of the dims that are left out.
    epochs, recorded
        Epochs to be trained by all runs, and those that are.
    kinds
        Of the runs that have not ended, by what they take.
    seconds
        For all runs that are left, one after the other; what loading and sealing take comes on top.
    workers, threads
        Processes that `elastic run` may use, and the threads of each.
    parallel_seconds
        For all that is left with these workers, if they do not slow each other down.
    memory_bytes
        Of all workers together.
    disk_bytes
        Of the runs that are left: journals, checkpoints and their part of the sealed cube, as ``du`` counts them.
    cores, idle_cores
        Of this machine, and those of them that no thread would use.
    measured_seconds
        What the measurement took.
    notes
        What a user should know of the protocol, and is no error: numbers that the data cut, claims that one seed cannot
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
        """Return the plan in words, a fact a line."""
        return [*told(self), *(f"note: {note}" for note in self.notes)]
