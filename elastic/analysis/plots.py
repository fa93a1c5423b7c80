"""The figures of a cube as methods: ``study.plot.depth_profile()``, ``cube.elastic.plot.depth_profile()``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import xarray as xr

from elastic.errors import UnknownName
from elastic.registry import Entry, registry


class Plots:
    """The registered figures as methods that draw one cube and return a matplotlib Figure.

    Parameters
    ----------
    cube
        Function that returns the cube, called when a figure is drawn.

    Examples
    --------
    >>> plots = Plots(lambda: xr.DataTree())
    >>> "depth_profile" in dir(plots)
    True
    >>> list(inspect.signature(plots.depth_profile).parameters)[:2]
    ['metric', 'split']
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
        return _method(entry, self._cube)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *registry("figures").names()]

    def __repr__(self) -> str:
        lines = [f"  {entry.name}()  {entry.summary}" for entry in registry("figures")]
        return "\n".join(["<figures, each a method; help(…) lists its options:", *lines, ">"])


def _method(entry: Entry, cube: Callable[[], xr.DataTree]) -> Callable[..., Any]:
    """Return a figure as a function of its options, without the cube in its signature and docstring."""

    @wraps(entry.function)
    def draw(**options: Any) -> Any:
        return entry.function(cube(), **options)

    first, *options = inspect.signature(entry.function).parameters.values()
    draw.__signature__ = inspect.signature(entry.function).replace(parameters=options)  # type: ignore[attr-defined]
    draw.__annotations__ = {name: kind for name, kind in draw.__annotations__.items() if name != first.name}
    draw.__doc__ = _without(first.name, entry.docstring)
    draw.__name__ = draw.__qualname__ = entry.name
    return draw


def _without(parameter: str, docstring: str) -> str:
    r"""Return a docstring without the entry of a parameter.

    >>> _without("cube", "cube\n    Of a\n    study.\nmetric\n    Drawn.\n")
    'metric\n    Drawn.\n'
    """
    return re.sub(rf"^{parameter}\n(?:[ \t]+.*\n|\n(?=[ \t]))+", "", docstring, count=1, flags=re.MULTILINE)
