"""Samples of grids of parameters: the ordinary run takes a part that has every pair, `pytest -m long` the rest."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest


def pairwise(first: Iterable, *others: Iterable) -> list:
    """Return parameters of the whole grid, of which one in so many is tested whenever the tests run.

    In the part that is, every value of every axis meets every value of every other: of three axes of two values, four
    of eight combinations. One in n is taken, n being the length of the longest axis but the first. The others have the
    mark `long`.

    >>> chosen = [p.values for p in pairwise("ab", (0, 1), (0, 1)) if not p.marks]
    >>> chosen
    [('a', 0, 0), ('a', 1, 1), ('b', 0, 1), ('b', 1, 0)]
    """
    axes = [list(axis) for axis in others]
    every = max(len(axis) for axis in axes) if len(axes) > 1 else 1
    grid = itertools.product(enumerate(first), *map(enumerate, axes))
    return [_parameter(combination, every) for combination in grid]


def alternating(first: Iterable, second: Iterable) -> list:
    """Return parameters of a grid of two axes: each value of the first with one of the second, in turns.

    >>> [p.values for p in alternating("abc", (3, 5)) if not p.marks]
    [('a', 3), ('b', 5), ('c', 3)]
    """
    second = list(second)
    grid = itertools.product(enumerate(first), enumerate(second))
    return [_parameter(combination, len(second), sign=-1) for combination in grid]


def _parameter(combination, every, sign=1):
    (first, _), *others = combination
    is_taken = (first + sign * sum(place for place, _ in others)) % every == 0
    return pytest.param(*(value for _, value in combination), marks=() if is_taken else pytest.mark.long)
