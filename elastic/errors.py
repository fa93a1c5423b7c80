"""The exceptions that elastic raises.

Every message has the same shape::

    protocols/a.yaml:7:12: `model.name` should be a known model; found 'resent18'; try 'resnet18'
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: The scheme of an address that was read as a path.
_ADDRESS = re.compile(r"^(https?|ftps?|sftp|ssh|git|s3|gs|hf):/(?!/)")


class ElasticError(Exception):
    """Base class of all exceptions of elastic.

    Parameters
    ----------
    field
        Subject of the message: a dotted protocol path, an argument, a file.
    expected
        What it should be or do, as the words after "should": "be a positive integer".
    found
        The actual value or state.
    hint
        What to try next, as the words after "try".
    place
        Location: ``file:line:column`` in protocol files, a path for study files.

    Attributes
    ----------
    others
        Further errors in the same file, in reading order. The message lists them below this one.
    unlisted
        Number of errors beyond ``others``.

    Examples
    --------
    >>> print(ElasticError("`epochs`", "be a positive integer", "-3", "epochs: 200", place="a.yaml:4:11"))
    a.yaml:4:11: `epochs` should be a positive integer; found -3; try epochs: 200
    >>> from pathlib import Path
    >>> print(ElasticError("`STUDY`", "be a folder", "none", "a path", place=str(Path("http://a/b"))))
    http://a/b: `STUDY` should be a folder; found none; try a path
    """

    exit_code = 2
    others: tuple[ElasticError, ...] = ()
    unlisted: int = 0

    def __init__(self, field: str, expected: str, found: str, hint: str, *, place: str | None = None) -> None:
        self.field = field
        self.expected = expected
        self.found = found
        self.hint = hint
        self.place = place
        super().__init__(field, expected, found, hint, place)

    def __str__(self) -> str:
        # A path has one slash where an address has two.
        place = self.place and _ADDRESS.sub(r"\g<0>/", self.place)
        sentence = f"{self.field} should {self.expected}; found {self.found}; try {self.hint}"
        more = [f"… and {self.unlisted} more mistakes"] if self.unlisted else []
        return "\n".join([f"{place}: {sentence}" if place else sentence, *map(str, self.others), *more])

    def __reduce__(self) -> tuple[Any, ...]:
        # Unpickling calls cls(*args), which cannot pass keyword arguments; errors cross process boundaries.
        return _rebuilt, (type(self), self.args, self.__dict__)

    def at(self, place: str) -> ElasticError:
        """Return the same error with a location."""
        error = type(self)(self.field, self.expected, self.found, self.hint, place=place)
        error.others, error.unlisted = self.others, self.unlisted
        return error

    def with_others(self, others: Sequence[ElasticError], unlisted: int = 0) -> ElasticError:
        """Return the same error, followed by further errors in the same file.

        >>> first, second = (ProtocolError(f"`{name}`", "be 1", "2", "1", place="a.yaml:1:1") for name in "ab")
        >>> print(first.with_others([second]))
        a.yaml:1:1: `a` should be 1; found 2; try 1
        a.yaml:1:1: `b` should be 1; found 2; try 1
        """
        error = type(self)(self.field, self.expected, self.found, self.hint, place=self.place)
        error.others, error.unlisted = tuple(others), unlisted
        return error


def _rebuilt(cls: type[ElasticError], args: tuple[Any, ...], state: Mapping[str, Any]) -> ElasticError:
    """Rebuild an error from its pickled state."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class ProtocolError(ElasticError):
    """A protocol file, or a value passed with ``--set``, is unreadable or invalid."""


class UnknownName(ElasticError):
    """A name is not registered."""


class OptionError(ElasticError):
    """An option is unknown to a registered function, or its value is invalid."""

    def __init__(
        self,
        field: str,
        expected: str,
        found: str,
        hint: str,
        *,
        place: str | None = None,
        location: tuple[str | int, ...] = (),
    ) -> None:
        self.location = location
        super().__init__(field, expected, found, hint, place=place)


class NotAllowed(ElasticError):
    """The command line does not allow code that an import path names."""


class DataError(ElasticError):
    """A data set is missing, damaged or too small for the requested options."""


class ModelError(ElasticError):
    """A model cannot be built, or its layers cannot be read or probed as requested."""


class AllFrozen(ModelError):
    """Every parameter of a model is frozen, so that no step moves its features."""


class DegenerateInput(ElasticError):
    """A quantity is not defined on the given arrays (one class only, no samples, non-finite values)."""


class StudyError(ElasticError):
    """A study folder lacks required files, or a file in it cannot be used."""


class Damaged(StudyError):
    """A file of a study differs from what was written: flipped bits, truncated, missing or of another run.

    ``place`` is the file's path, ``hint`` the repair. The exit code 4 distinguishes damage from a user's mistake (2).
    """

    exit_code = 4


class SealedAgain(StudyError):
    """An open cube is outdated: its study was sealed again, or the sealed cube was removed."""


class RecordsChanged(StudyError):
    """An open cube of unfinished runs is outdated: their records were compacted, removed or recorded again."""


class NotMeasured(StudyError):
    """A cube lacks a variable, a layer, a split or enough epochs."""


class RunBusy(StudyError):
    """Another running process owns the run."""


class RunFailed(ElasticError):
    """A run raised an error; the other runs of the study are kept."""

    exit_code = 3


class RunDamaged(Damaged, RunFailed):
    """A run could not finish because its files are damaged; the other runs of the study are kept."""


class NotReproduced(RunFailed):
    """A replayed epoch differs from its record in the journal."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to stop, as Ctrl-C does; the exit code is 128 + the signal's number.

    Attributes
    ----------
    signal
        The signal's number.
    """

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(signal)


def first_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its text.

    >>> first_line(ValueError("too wide" + chr(10) + "and more"))
    'ValueError: too wide'
    """
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
