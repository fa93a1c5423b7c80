"""Pages of the Python interface, which Sphinx fills from docstrings."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from elastic.site.entries import page_of
from elastic.site.markup import heading


@dataclass(frozen=True)
class Part:
    """Names of one module that users call.

    Attributes
    ----------
    title
        Of the section.
    module
        Where the names are.
    names
        In their order; all of the module's ``__all__`` where none are given.
    needs
        Package without which the module cannot be loaded; "" where there is none.
    """

    title: str
    module: str
    names: tuple[str, ...] = ()
    needs: str = ""


#: Classes whose members are not shown again in subclasses: those of other packages, and the base class of errors.
FOREIGN = ("Module", "Exception", "BaseException", "Callback", "TrainerCallback", "object", "ElasticError")

#: Pages: name, title, opening and parts.
PAGES: tuple[tuple[str, str, str, tuple[Part, ...]], ...] = (
    (
        "elastic",
        "elastic",
        "Names of the package itself. ``import elastic`` loads neither torch nor matplotlib before a name needs them.",
        (Part("Functions and classes", "elastic"),),
    ),
    (
        "analysis",
        "Analyses",
        "``study.cube.elastic`` and ``dataset.elastic``: labelled arrays in, labelled arrays out, without torch.",
        (Part("The accessor", "elastic.analysis.analyses", ("Analyses",)),),
    ),
    (
        "theory",
        "elastic.theory",
        "Optima that are known in closed form or by one convex program. :doc:`/theory` derives them.",
        (Part("Functions and results", "elastic.theory"),),
    ),
    (
        "extending",
        "Parts of your own",
        "Decorators that register a part, and what its functions receive. :doc:`/extending` has an example of each.",
        (
            Part("Metrics", "elastic.metrics.contract", ("metric", "MetricFacts")),
            Part("Readings of metrics", "elastic.metrics.class_statistics", ("ClassStatistics",)),
            Part("Claims", "elastic.claims.contract", ("claim", "Evidence")),
            Part("Selections", "elastic.claims.selection", ("Selection",)),
            Part("Probes", "elastic.probes.contract"),
            Part("Models in probes", "elastic.probes.evaluation", ("probed",)),
            Part("Features in probes", "elastic.probes.features", ("flat_taps",)),
            Part("Models", "elastic.models.contract"),
            Part("Data sets", "elastic.data.contract"),
            Part("Losses", "elastic.losses.contract"),
            Part("Optimizers", "elastic.optimizers.contract"),
            Part("Figures", "elastic.figures.contract", ("figure", "canvas", "panels", "measured", "draw_line")),
            Part("Options of later releases", "elastic.releases", ("Added",)),
        ),
    ),
    (
        "integrations",
        "Callbacks of trainers",
        ":doc:`/recording` shows both in use.",
        (
            Part("Lightning", "elastic.integrations.lightning", ("ElasticCallback",), "lightning"),
            Part("Transformers", "elastic.integrations.transformers", ("ElasticCallback",), "transformers"),
        ),
    ),
    (
        "publishing",
        "Publish and reproduce",
        ":doc:`/publishing` has the commands that call these functions.",
        (
            Part("Publish", "elastic.publishing.publish", ("publish", "Published")),
            Part("Verify", "elastic.publishing.verification", ("verify_archive",)),
            Part("Reproduce", "elastic.publishing.reproduction", ("reproduce",)),
            Part("Compare", "elastic.publishing.comparing", ("compare",)),
        ),
    ),
    (
        "errors",
        "Errors",
        "Every error is one sentence: what should hold, what was found, and what to try.",
        (Part("Classes", "elastic.errors"),),
    ),
)


def pages() -> Iterator[tuple[str, str]]:
    """Yield names and texts of pages."""
    listed = "\n".join(f"   api_{name}" for name, *_ in PAGES)
    opening = f"Docstrings of what users call.\n\n.. toctree::\n   :maxdepth: 1\n\n{listed}"
    yield "reference/api.rst", page_of("Python interface", opening, [], "python-interface")
    for name, title, opening, parts in PAGES:
        yield f"reference/api_{name}.rst", page_of(title, opening, [_part(part) for part in parts], f"api-{name}")


def _part(part: Part) -> str:
    title = heading(part.title, 1)
    if part.needs and importlib.util.find_spec(part.needs) is None:
        return f"{title}\n\nNot shown: {part.needs} is not installed where these pages were built."
    names = part.names or public_names(part.module)
    summary = "\n".join([".. autosummary::", "   :nosignatures:", "", *(f"   ~{part.module}.{name}" for name in names)])
    return "\n\n".join([title, summary, *(_object(part.module, name) for name in names)])


def public_names(module: str) -> Sequence[str]:
    """Return what a module gives to users: its ``__all__``, or else the classes and functions that it defines.

    >>> public_names("elastic.releases")[0]
    'Added'
    """
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return [name for name in loaded.__all__ if not name.startswith("_")]
    own = [n for n, value in vars(loaded).items() if getattr(value, "__module__", None) == module and callable(value)]
    return [name for name in own if not name.startswith("_")]


def _object(module: str, name: str) -> str:
    value = getattr(importlib.import_module(module), name)
    if not isinstance(value, type):
        return f".. autofunction:: {module}.{name}" if callable(value) else f".. autodata:: {module}.{name}"
    return "\n".join(
        [f".. autoclass:: {module}.{name}", "   :members:", f"   :inherited-members: {', '.join(FOREIGN)}"]
    )
