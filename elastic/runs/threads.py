"""CPU threads of a run: the number in its protocol, so that its bits do not depend on the machine's cores.

Sums over several threads are split into one part per thread, and their rounding depends on the number of parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Set torch's number of threads within the block, and restore it afterwards.

    The number overrides ``OMP_NUM_THREADS``, which torch reads once on import. With more threads than cores the
    bits are those of as many cores, computed slowly.

    Parameters
    ----------
    count
        ``training.threads`` of a protocol; None leaves the number unchanged.

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
