"""CPU threads of a run: as many as its protocol states, so that its bits do not depend on the machine's cores.

Sums over several threads are taken in parts, one a thread, and rounded differently for each number of parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Let torch compute in a number of threads for the length of the block; then in as many as before.

    The number overrides ``OMP_NUM_THREADS``, which torch reads once when it is imported. More threads than cores give
    the bits of as many cores, slowly.

    Parameters
    ----------
    count
        ``training.threads`` of a protocol; None leaves the number as it is.

    Examples
    --------
    >>> before = torch.get_num_threads()
    >>> with cpu_threads(3):
    ...     torch.get_num_threads()
    3
    >>> torch.get_num_threads() == before
    True
    """
    before = torch.get_num_threads()
    if count is not None and count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
