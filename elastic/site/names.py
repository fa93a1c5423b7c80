"""Links from names in running text: code that is the name of a metric, claim, figure or protocol leads to its page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import elastic
from elastic import theory
from elastic.protocol.shipped import shipped_protocols
from elastic.registry import registry
from elastic.site.entries import label_of

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

#: Kinds whose names are linked.
LINKED = ("metrics", "claims", "figures")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect both ways in which text has a name: code, and the default role of docstrings."""
    from sphinx.transforms import SphinxTransform

    class Linking(SphinxTransform):
        """Turns code that is a name into a reference."""

        default_priority = 400

        def apply(self, **options: Any) -> None:
            """Replace the nodes of one page."""
            _link_code(self.document)

    app.add_transform(Linking)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


@cache
def labels() -> dict[str, str]:
    """Return the label of each name that means one thing only, and is no ordinary word."""
    pairs = list(_all())
    times = Counter(name for _, name in pairs)
    return {name: label_of(kind, name) for kind, name in pairs if times[name] == 1 and _is_telling(kind, name)}


def _all() -> Iterator[tuple[str, str]]:
    for kind in LINKED:
        yield from ((kind, name) for name in registry(kind).names())
    yield from (("protocols", name) for name in shipped_protocols())


def _is_telling(kind: str, name: str) -> bool:
    return kind == "metrics" or "_" in name or name == "quickstart"


@cache
def python_names() -> frozenset[str]:
    """Return names of the Python interface as pages write them: ``elastic.run``, ``measure_collapse``, ``seli``."""
    distinctive = {name for name in elastic.__all__ if "_" in name.strip("_") or name == "Recorder"}
    return frozenset({f"elastic.{name}" for name in elastic.__all__} | distinctive | set(theory.__all__))


def target_of(code: str) -> str:
    """Return what a piece of code in running text is the name of; "" where it is no name.

    >>> target_of("nc1"), target_of("elastic.run"), target_of("elastic check STUDY"), target_of("x + 1")
    ('nc1', 'elastic.run', 'command-check', '')
    """
    if code in labels() or code in python_names():
        return code
    command = re.match(r"elastic ([a-z]+)\b", code)
    return f"command-{command[1]}" if command else ""


def _link_code(document: nodes.document) -> None:
    from docutils import nodes
    from sphinx.addnodes import pending_xref

    for node in list(document.findall(nodes.literal)):
        around, inside = node.parent, False
        while around is not None:
            inside = inside or isinstance(around, nodes.reference | pending_xref | nodes.title)
            around = around.parent
        if not inside and (target := target_of(node.astext())):
            linked = pending_xref("", refdomain="", reftype="obj", reftarget=target, refwarn=True)
            linked += node.deepcopy()
            node.replace_self(linked)


def _resolve(app: Sphinx, env: Any, node: Any, inside: nodes.Node) -> Any:
    """Return the reference of a name: of a registered part, or of the one documented object that ends in it."""
    from sphinx.util.nodes import make_refnode

    name = node.get("reftarget", "")
    if node.get("reftype") != "obj":
        return None
    known = env.domains.standard_domain.labels
    if name.startswith("command-"):
        if name not in known:  # no command, but a sentence that begins so
            return inside
        page, place, _ = known[name]
    elif name in labels():
        page, place, _ = known[labels()[name]]
    else:
        objects = env.domains.python_domain.objects
        names = [one for one in objects if f".{one}".endswith(f".{name}") and not objects[one].aliased]
        if len(names) != 1:
            return inside if name in python_names() else None
        page, place = objects[names[0]].docname, objects[names[0]].node_id
    return make_refnode(app.builder, node["refdoc"], page, place, inside)
