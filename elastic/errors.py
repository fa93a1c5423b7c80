"""Every error that a user of elastic can meet.

Each one is a sentence of the same shape, so that a reader learns it once::

    protocols/a.yaml:7:12: `model.name` should be a known model; found 'resent18'; try 'resnet18'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ElasticError(Exception):
    """A mistake or an accident that elastic can explain.

    Parameters
    ----------
    field
        What the sentence is about: a dotted protocol path, an argument, a file.
    should
        What it ought to be, completing "should be …" ("should" is written by this class).
    found
        What was there instead.
    hint
        What to try next, completing "try …".
    place
        Where: ``file:line:column`` for protocol files, a path for study files.

    Attributes
    ----------
    others
        Further mistakes in the same file, in reading order. The message lists them below this one.
    unlisted
        How many more there are.

    Examples
    --------
    >>> print(ElasticError("`epochs`", "be a positive integer", "-3", "epochs: 200", place="a.yaml:4:11"))
    a.yaml:4:11: `epochs` should be a positive integer; found -3; try epochs: 200
    """

    exit_code = 2
    others: tuple[ElasticError, ...] = ()
    unlisted: int = 0

    def __init__(self, field: str, should: str, found: str, hint: str, *, place: str | None = None) -> None:
        self.field = field
        self.should = should
        self.found = found
        self.hint = hint
        self.place = place
        super().__init__(field, should, found, hint, place)

    def __str__(self) -> str:
        sentence = f"{self.field} should {self.should}; found {self.found}; try {self.hint}"
        more = [f"… and {self.unlisted} more mistakes"] if self.unlisted else []
        return "\n".join([f"{self.place}: {sentence}" if self.place else sentence, *map(str, self.others), *more])

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt as cls(*args), which does not fit keyword arguments: errors come back from processes.
        return _rebuilt, (type(self), self.args, self.__dict__)

    def at(self, place: str) -> ElasticError:
        """Return the same error, told of a place in a file."""
        error = type(self)(self.field, self.should, self.found, self.hint, place=place)
        error.others, error.unlisted = self.others, self.unlisted
        return error

    def with_others(self, others: Sequence[ElasticError], unlisted: int = 0) -> ElasticError:
        """Return the same error, followed by further ones of the same file.

        >>> first, second = (ProtocolError(f"`{name}`", "be 1", "2", "1", place="a.yaml:1:1") for name in "ab")
        >>> print(first.with_others([second]))
        a.yaml:1:1: `a` should be 1; found 2; try 1
        a.yaml:1:1: `b` should be 1; found 2; try 1
        """
        error = type(self)(self.field, self.should, self.found, self.hint, place=self.place)
        error.others, error.unlisted = tuple(others), unlisted
        return error


def _rebuilt(cls: type[ElasticError], args: tuple[Any, ...], state: Mapping[str, Any]) -> ElasticError:
    """Return an error as it was before it was pickled."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ProtocolError(ElasticError):
    """A protocol file, or a value given with ``--set``, that cannot be read or makes no sense."""


class UnknownName(ElasticError):
    """A name that no registry holds."""


class OptionError(ElasticError):
    """An option that a registered part does not take, or takes with other values."""

    def __init__(
        self,
        field: str,
        should: str,
        found: str,
        hint: str,
        *,
        place: str | None = None,
        location: tuple[str | int, ...] = (),
    ) -> None:
        self.location = location
        super().__init__(field, should, found, hint, place=place)


class NotAllowed(ElasticError):
    """Code named by import path that the command line did not allow."""


class DataError(ElasticError):
    """A data set that is missing, damaged or too small for what is asked of it."""


class ModelError(ElasticError):
    """A model that cannot be built, tapped or probed as asked."""


class DegenerateInput(ElasticError):
    """Arrays on which the asked quantity is not defined (one class only, no samples, not finite)."""


class StudyError(ElasticError):
    """A study folder that does not hold what it should."""


class Damaged(StudyError):
    """A file of a study that is not as it was written: flipped, truncated, missing or of another run.

    ``place`` is the file's path and ``hint`` the way out. Scripts tell it from a mistake by its exit code.
    """

    exit_code = 4


class SealedAgain(StudyError):
    """An open cube whose study has been sealed again, or lost its seal, since: what is on the disk is another one."""


class RecordsChanged(StudyError):
    """An open cube of runs under way, whose records have been compacted, removed or recorded again since."""


class NotMeasured(StudyError):
    """Something that a cube could hold and this one does not: a variable, a layer, a split, enough epochs."""


class RunBusy(StudyError):
    """A run that another living process owns."""


class RunFailed(ElasticError):
    """A run that stopped by an error of its own; the other runs of the study are kept."""

    exit_code = 3


class RunDamaged(Damaged, RunFailed):
    """A run that did not end because files of it are damaged; the other runs of the study are kept."""


class NotReproduced(RunFailed):
    """A replayed epoch that differs from the record of the same epoch in the journal."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop, as Ctrl-C does; its exit code is 128 + the signal's number.

    Attributes
    ----------
    signal
        The signal's number.
    """

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(signal)
