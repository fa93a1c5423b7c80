"""A study's figures as its methods: ``study.plot.depth_profile()``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import xarray as xr

from elastic.errors import UnknownName
from elastic.registry import registry


class Plots:
    """The registered figures, each a method that draws it from one cube and returns a matplotlib Figure.

    Parameters
    ----------
    cube
        Gives the cube when a figure is drawn.

    Examples
    --------
    >>> plots = Plots(lambda: xr.DataTree())
    >>> "depth_profile" in dir(plots)
    True
    """

    def __init__(self, cube: Callable[[], xr.DataTree]) -> None:
        self._cube = cube

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            entry = registry("figures").get(name)
        except UnknownName as error:
            raise AttributeError(str(error)) from None
        return partial(entry.function, self._cube())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *registry("figures").names()]
