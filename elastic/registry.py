"""Registries: how a metric, model, data set, loss, optimiser, claim or figure is added with one function.

Each kind has a package (``elastic/models``, ``elastic/losses``, …) whose functions carry a decorator. Their
**keyword-only parameters are the options** that a protocol may set; the framework passes the positional ones.
Other distributions register functions through entry points of the group ``elastic.<kind>``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pkgutil
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, cast

import pydantic

from elastic.close_names import nearest, same_name
from elastic.docstrings import parameter_descriptions
from elastic.errors import OptionError, UnknownName
from elastic.option_errors import option_error, sentence, shorten

__all__ = [
    "MOST_NAMED",
    "PACKAGES",
    "Entry",
    "Registry",
    "modules_outside",
    "nearest",
    "registry",
    "same_name",
    "sentence",
    "shorten",
]

#: The package that holds the functions of each kind. A new kind is one line here.
PACKAGES: Mapping[str, str] = {
    "data": "elastic.data",
    "models": "elastic.models",
    "losses": "elastic.losses",
    "optimizers": "elastic.optimizers",
    "schedules": "elastic.optimizers",
    "probe_schedules": "elastic.training",
    "metrics": "elastic.metrics",
    "probes": "elastic.probes.groups",
    "claims": "elastic.claims",
    "figures": "elastic.figures",
}


#: Most names that an error lists if none resembles the unknown one.
MOST_NAMED = 8


@dataclass(frozen=True)
class Entry:
    """One registered function and the facts passed to its decorator."""

    kind: str
    name: str
    function: Callable[..., Any]
    facts: Any = None

    @property
    def is_own(self) -> bool:
        """Whether the function is the user's."""
        return is_outside(self.function.__module__)

    @cached_property
    def option_names(self) -> tuple[str, ...]:
        """Names of the keyword-only parameters, which a protocol may set."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY)

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return self.docstring.partition("\n")[0]

    @cached_property
    def docstring(self) -> str:
        """The docstring, read from the source if Python drops docstrings (``-OO``): the cube's attributes need it."""
        if self.function.__doc__ is not None or sys.flags.optimize < 2:
            return inspect.getdoc(self.function) or ""
        try:
            (defined,) = ast.parse(textwrap.dedent(inspect.getsource(self.function))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            return ""
        return (ast.get_docstring(defined) or "") if isinstance(defined, ast.FunctionDef | ast.ClassDef) else ""

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the positional parameters, which the framework passes."""
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return tuple(p.name for p in inspect.signature(self.function).parameters.values() if p.kind in kinds)

    @cached_property
    def options(self) -> type[pydantic.BaseModel]:
        """Pydantic model of the keyword-only parameters (strict types, finite numbers, no unknown names).

        The description of each comes from the docstring's section ``Parameters``, or else from its annotation. A model
        under ``options`` in the facts replaces this one.
        """
        given: type[pydantic.BaseModel] | None = getattr(self.facts, "options", None)
        if given is not None:
            return given
        hints = typing.get_type_hints(self.function, include_extras=True)
        described = parameter_descriptions(self.docstring)
        fields: dict[str, Any] = {
            p.name: (
                _described(hints.get(p.name, Any), described.get(p.name)),
                ... if p.default is inspect.Parameter.empty else p.default,
            )
            for p in inspect.signature(self.function).parameters.values()
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }
        config = pydantic.ConfigDict(
            extra="forbid",
            strict=True,
            allow_inf_nan=False,
            arbitrary_types_allowed=True,
            validate_default=True,
        )
        return pydantic.create_model(self.name, __config__=config, **fields)

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Validate the options and fill in every default.

        Raises
        ------
        OptionError
            For the first option that is unknown, missing or invalid; ``location`` is its path.
        """
        try:
            return self.options.model_validate(dict(options)).model_dump()
        except pydantic.ValidationError as error:
            raise option_error(error, self.name, self.options) from None


def _described(hint: Any, description: str | None) -> Any:
    """Annotate a type with a description, if there is one."""
    return hint if description is None else typing.Annotated[hint, pydantic.Field(description=description)]


@dataclass
class Registry:
    """The functions of one kind, by name; its package is imported at the first lookup.

    Examples
    --------
    >>> losses = Registry("losses", package=None)
    >>> @losses.register()
    ... def hinge(logits, labels, *, margin: float = 1.0):
    ...     "Multi-class hinge."
    >>> losses.get("hinge").complete({})
    {'margin': 1.0}
    >>> losses.get("hing")
    Traceback (most recent call last):
    ...
    elastic.errors.UnknownName: `hing` should be one of the losses; found 'hing'; try 'hinge' (elastic list losses)
    """

    kind: str
    package: str | None
    _entries: dict[str, Entry] = field(default_factory=dict)
    _loaded: bool = False

    def register(
        self, name: str | None = None, facts: Any = None
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return a decorator that registers a function under ``name``, by default the function's own.

        The decorator raises OptionError if another module has registered the name.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            key = name or function.__name__
            known = self._entries.get(key)
            if known is not None and known.function.__module__ != function.__module__:
                modules = f"{known.function.__module__} and {function.__module__}"
                raise OptionError(f"`{key}`", f"name one of the {self.kind}", f"two, in {modules}", "another name")
            self._entries[key] = Entry(self.kind, key, function, facts)
            return function

        return decorate

    def get(self, name: str, field: str | None = None) -> Entry:
        """Return the entry of a name.

        Parameters
        ----------
        name
            The name.
        field
            The argument that holds the name, for the error; the name itself by default.

        Raises
        ------
        UnknownName
            If there is none; the message suggests the closest name.
        """
        self._load()
        if name not in self._entries:
            hint = nearest(name, list(self._entries), fallback=_some(self.names()))
            expected, hint = f"be one of the {self.kind}", f"{hint} (elastic list {self.kind})"
            raise UnknownName(f"`{field or name}`", expected, repr(name), hint)
        return self._entries[name]

    @property
    def registered(self) -> list[Entry]:
        """All entries registered so far; does not import the package."""
        return list(self._entries.values())

    def names(self) -> list[str]:
        """Return all names in alphabetical order."""
        self._load()
        return sorted(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return (self._entries[name] for name in self.names())

    def _load(self) -> None:
        if self._loaded or self.package is None:
            return
        self._loaded = True
        try:
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(getattr(package, "__path__", [])):
                importlib.import_module(f"{self.package}.{module.name}")
            for point in _entry_points(self.kind):
                point.load()
        except ImportError:
            self._loaded = False  # without torch, every lookup raises, not only the first
            raise


def _some(names: list[str]) -> str:
    """Return the names to choose from; "another name" if a message cannot list them all.

    >>> _some(["cosine", "linear"]), _some(list("abcdefghi"))
    ('one of cosine, linear', 'another name')
    """
    return f"one of {', '.join(names)}" if 0 < len(names) <= MOST_NAMED else "another name"


def is_outside(module: str) -> bool:
    """Return whether a module is the user's, outside elastic.

    >>> is_outside("elastic.losses.focal"), is_outside("elastic_nets.wide")
    (False, True)
    """
    return module.partition(".")[0] != "elastic"


def modules_outside() -> list[str]:
    """Return the modules outside elastic that registered a function, except those that entry points load."""
    named = {entry.function.__module__ for kind in PACKAGES for entry in registry(kind).registered}
    outside = set(filter(is_outside, named))
    points = {point.module for kind in PACKAGES for point in _entry_points(kind)} if outside else set()
    return sorted(outside - points)


def _entry_points(kind: str) -> importlib.metadata.EntryPoints:
    """Return the entry points of a kind."""
    return _all_entry_points().select(group=f"elastic.{kind}")


@cache
def _all_entry_points() -> importlib.metadata.EntryPoints:
    """Return the entry points of all installed distributions; reading them takes a tenth of a second, so once."""
    # Declared as a mapping before Python 3.12; it selects in the same way.
    return cast(importlib.metadata.EntryPoints, importlib.metadata.entry_points())


@cache
def registry(kind: str) -> Registry:
    """Return the one registry of a kind (a key of `PACKAGES`)."""
    return Registry(kind, PACKAGES[kind])
