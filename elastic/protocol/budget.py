"""Amounts of memory: ``1GiB``."""

from __future__ import annotations

import re
from typing import Any

#: Bytes by unit, the largest first.
UNITS = {"TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1}


def read_bytes(budget: Any) -> int:
    """Parse a number of bytes, or a string such as ``512MiB``.

    Raises
    ------
    ValueError
        If it is neither, or less than one byte.

    Examples
    --------
    >>> read_bytes("2 KiB"), read_bytes(100)
    (2048, 100)
    """
    spelled = re.fullmatch(rf"([0-9]{{1,15}}) ?({'|'.join(UNITS)})", budget) if isinstance(budget, str) else None
    number = int(spelled[1]) * UNITS[spelled[2]] if spelled else budget
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError("be a number of bytes or a text such as 512MiB")
    return number


def spell_bytes(budget: Any) -> str:
    """Format a number of bytes in the largest unit that gives an integer, so that the spelling is unique.

    >>> spell_bytes(2**30), spell_bytes("1536 MiB"), spell_bytes("2048MiB")
    ('1GiB', '1536MiB', '2GiB')
    """
    number = read_bytes(budget)
    unit, size = next((unit, size) for unit, size in UNITS.items() if number % size == 0)
    return f"{number // size}{unit}"
