"""The choice of an executor: validation of the user's options."""

from __future__ import annotations

import re
from dataclasses import dataclass

from elastic.errors import OptionError

#: As many workers as cores and memory allow, if they save time.
AUTO = "auto"


@dataclass(frozen=True)
class Share:
    """One of the equal parts of a study that the tasks of a job array run.

    Attributes
    ----------
    index, count
        Which task of how many; the index counts from 0, or from 1: both cover all runs.
    """

    index: int
    count: int

    def holds(self, place: int) -> bool:
        """Return whether the run of an index in the study belongs to this share.

        >>> [[place for place in range(5) if Share(index, 2).holds(place)] for index in (0, 1, 2)]
        [[0, 2, 4], [1, 3], [0, 2, 4]]
        """
        return place % self.count == self.index % self.count


@dataclass(frozen=True)
class Way:
    """How the runs of a study are run.

    Attributes
    ----------
    workers
        Number of processes; `AUTO` decides while running.
    scheduler
        Address of a dask scheduler, or "local".
    share
        Which runs this process tries first; it then does not wait for others.
    """

    workers: int | str = 1
    scheduler: str | None = None
    share: Share | None = None


def chosen(
    workers: int | str | None = None, scheduler: str | None = None, share: str | None = None, *, restart: bool = False
) -> Way:
    """Return the executor that options select; by default this process runs all runs.

    Raises
    ------
    OptionError
        If one of them is invalid, or excludes another.

    Examples
    --------
    >>> chosen("2"), chosen(share="3/8").share
    (Way(workers=2, scheduler=None, share=None), Share(index=3, count=8))
    >>> chosen(2, share="1/2")
    Traceback (most recent call last):
    ...
    elastic.errors.OptionError: `share` should be given alone; found workers and share; try one of them: ...
    """
    given = {"workers": workers, "scheduler": scheduler, "share": share}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        hint = "one of them: workers and a scheduler carry out a whole study, a share is one process of a job array"
        raise OptionError(f"`{names[-1]}`", "be given alone", " and ".join(names), hint)
    if share is not None and restart:
        hint = "--restart once without --share, before the job array"
        raise OptionError("`share`", "keep the runs of the other shares", "share and restart", hint)
    return Way(_workers(workers), _scheduler(scheduler), None if share is None else _share(share))


def _workers(asked: int | str | None) -> int | str:
    if asked is None:
        return 1
    if asked == AUTO:
        return AUTO
    text = str(asked)
    if isinstance(asked, bool) or not re.fullmatch(r"[0-9]{1,5}", text) or int(text) < 1:
        raise OptionError("`workers`", f"be a number of processes, or {AUTO}", repr(asked), "--workers 2")
    return int(text)


def _scheduler(asked: str | None) -> str | None:
    if asked is not None and not re.fullmatch(r"local|[a-z]+://\S+|[^\s/]+:[0-9]+", asked):
        raise OptionError("`scheduler`", "be an address, or local", repr(asked), "--scheduler tcp://HOST:8786")
    return asked


def _share(asked: str) -> Share:
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", str(asked))
    if match and int(match[2]) > 0 and int(match[1]) <= int(match[2]):
        return Share(int(match[1]), int(match[2]))
    hint = "--share 1/8 … 8/8, or 0/8 … 7/8 (--share $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT)"
    raise OptionError("`share`", "be I/N with 0 ≤ I ≤ N", repr(asked), hint)
