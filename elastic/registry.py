"""Registries: how a metric, model, data set, loss, optimiser, claim or figure is added with one function.

Each kind has a package (``elastic/models``, ``elastic/losses``, …) whose functions carry a decorator. Their
**keyword-only parameters are the options** that a protocol may set; the framework passes the positional ones.
Other distributions register functions through entry points of the group ``elastic.<kind>``.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, cast

import pydantic

from elastic.docstrings import parameter_descriptions
from elastic.errors import OptionError, UnknownName

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
            raise self._explain(error) from None

    def _explain(self, error: pydantic.ValidationError) -> OptionError:
        # A misspelt required option is both unknown and missing: the unknown name shows which one was meant.
        errors = error.errors(include_url=False, include_context=False)
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        location = first["loc"]
        path = ".".join(str(part) for part in location)
        known = list(self.options.model_fields)
        if first["type"] == "extra_forbidden":
            expected = f"be an option of {self.name!r}"
            hint = nearest(
                str(location[0]), known, fallback=f"one of {', '.join(known)}" if known else "leaving it out"
            )
            return OptionError(f"`{path}`", expected, repr(location[0]), hint, location=location)
        if first["type"] == "missing":
            hint = f"adding it (elastic show {self.name})"
            return OptionError(f"`{path}`", f"be given for {self.name!r}", "nothing", hint, location=location)
        if first["type"] == "sequence_str":  # a string in place of a list of strings
            return OptionError(
                f"`{path}`", "be a list", shorten(first["input"]), f"[{first['input']}]", location=location
            )
        return OptionError(
            f"`{path}`",
            sentence(first["msg"]),
            shorten(first["input"]),
            f"elastic show {self.name}",
            location=location,
        )


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
        """Return a decorator that registers a function under ``name``, by default the function's own."""

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            key = name or function.__name__
            known = self._entries.get(key)
            if known is not None and known.function.__module__ != function.__module__:
                raise ValueError(
                    f"two {self.kind} are named {key!r}: {known.function.__module__}, {function.__module__}"
                )
            self._entries[key] = Entry(self.kind, key, function, facts)
            return function

        return decorate

    def get(self, name: str) -> Entry:
        """Return the entry of a name.

        Raises
        ------
        UnknownName
            If there is none; the message suggests the closest name.
        """
        self._load()
        if name not in self._entries:
            hint = nearest(name, list(self._entries), fallback=_some(self.names()))
            raise UnknownName(
                f"`{name}`", f"be one of the {self.kind}", repr(name), f"{hint} (elastic list {self.kind})"
            )
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


def modules_outside() -> list[str]:
    """Return the modules outside elastic that registered a function, except those that entry points load."""
    named = {entry.function.__module__ for kind in PACKAGES for entry in registry(kind).registered}
    outside = {name for name in named if name.partition(".")[0] != "elastic"}
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


def nearest(name: str, known: list[str], *, fallback: str) -> str:
    """Return the known name closest to ``name``, quoted, or the fallback.

    >>> nearest("resent18", ["mlp", "resnet18"], fallback="elastic list models")
    "'resnet18'"
    >>> nearest("Cross-Entropy", ["mse", "cross_entropy"], fallback="elastic list losses")
    "'cross_entropy'"
    >>> nearest("20.5", ["0", "1", "20", "200"], fallback="another epoch")
    '20'
    >>> nearest("-9", ["0", "1", "20", "200"], fallback="another epoch")
    'another epoch'
    """
    if (same := same_name(name, known)) is not None:
        return repr(same)
    if known and _NUMBER.fullmatch(name) and all(map(_NUMBER.fullmatch, known)):
        number = float(name)
        close = [one for one in known if abs(float(one) - number) <= abs(number) / 2]
        return min(close, key=lambda one: abs(float(one) - number)) if close else fallback
    close = difflib.get_close_matches(name.lower(), known, n=1) or difflib.get_close_matches(name, known, n=1)
    return repr(close[0]) if close else fallback


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that differs only in case, separators or a plural s; None if there is none.

    >>> known = ["nc1", "batch_size", "cifar10", "split"]
    >>> [same_name(name, known) for name in ("NC1", "batch-size", "CIFAR-10", "splits", "nc2")]
    ['nc1', 'batch_size', 'cifar10', 'split', None]
    """
    known = list(known)
    by_letters = {_letters(one): one for one in reversed(known)}
    return name if name in known else by_letters.get(_letters(name))


#: A number: a label of an axis, an epoch.
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][-+]?\d+)?")


def _letters(name: str) -> str:
    """Return the letters and digits of a name in lower case, without the s of a plural."""
    letters = re.sub(r"[\W_]", "", name.lower())
    return letters[:-1] if letters.endswith("s") and len(letters) > 2 else letters


def sentence(message: str) -> str:
    """Turn a validation message of pydantic into the clause after "should".

    >>> sentence("Input should be a valid integer")
    'be a valid integer'
    >>> sentence("Value error, be one of a, b")
    'be one of a, b'
    >>> sentence("Dictionary should have at least 2 items after validation, not 1")
    'have at least 2 items after validation, not 1'
    """
    for opening in ("Input should ", "Value error, ", "String should ", "List should ", "Dictionary should "):
        message = message.removeprefix(opening)
    return message


def shorten(value: Any, limit: int = 60) -> str:
    """Return the `repr` of a value, truncated to ``limit`` characters.

    >>> shorten("a" * 100, limit=10)
    "'aaaaaaaa…"
    """
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
