"""The order of the house, read from its imports: they point down, the wall keeps torch out, keys stay in their rooms.

A room is a module of ``elastic`` or one of its folders. Imports that run when a module is loaded may only point to
lower rooms, or stay inside their own; so may those inside functions, but for the few that are listed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import elastic

SOURCE = Path(elastic.__file__).parent

#: From the ground up; rooms of one line do not know each other. A new room has to be placed here.
ORDER = (
    {"_version"},
    {"elastic"},
    {"errors", "docstrings", "uncompiled"},
    {"registry", "progress", "releases", "theory"},
    {"protocol", "cube", "analysis"},
    {"data", "models", "losses", "optimizers", "metrics", "arrays"},
    {"batches"},
    {"training", "checkpoint", "arguments"},
    {"probes"},
    {"runs", "measure", "display"},
    {"study"},
    {"claims"},
    {"summary", "listing", "figures", "recording", "watching"},
    {"report", "notebook", "export", "integrations"},
    {"publishing", "site"},
    {"cli"},
    {"ending"},
    {"__main__"},
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}

#: Rooms that are read where torch is not installed.
TORCHLESS = (
    "_version", "elastic", "errors", "docstrings", "uncompiled", "registry", "progress", "releases", "protocol", "cube",
    "study", "summary", "listing", "theory", "analysis", "display", "claims", "figures", "report",
    "watching", "notebook", "export", "publishing", "site", "cli", "ending", "__main__",
)  # fmt: skip

#: Who may use what: the import, or the call, is a room's key.
KEYS = {
    "torch.func": {"probes", "losses"},
    "torch.optim": {"optimizers"},
    "matplotlib": {"figures"},
    "scipy": {"analysis", "theory", "optimizers", "metrics", "claims"},
    "cvxpy": {"theory"},
    "altair": {"report"},
    "jinja2": {"report"},
    "jupytext": {"notebook"},
    "nbclient": {"notebook"},
    "rocrate": {"publishing"},
    "sphinx": {"site"},
    "docutils": {"site"},
    "latex2mathml": {"site"},
    "sklearn": {"data", "analysis", "metrics"},
    "threadpoolctl": {"analysis"},
    "zarr": {"cube"},
    "ruamel": {"protocol"},
    "click": {"cli"},
    "lightning": {"integrations"},
    "transformers": {"integrations"},
    "subprocess": {"study"},
    "distributed": {"study"},
    "dask": {"study"},
    "joblib": {"study"},
}
SEEDING = {"manual_seed", "manual_seed_all", "seed", "set_rng_state", "set_state", "seed_all", "default_rng"}
#: ``models`` only writes back the states of generators that it has read before a probe; ``probes`` draws parameters
#: beside a model's from a generator of its own.
SEEDERS = {"training", "data", "models", "probes"}


@dataclass(frozen=True)
class Import:
    """One imported module, or name of a module, as it is written in the source."""

    module: str
    target: str
    line: int
    lazy: bool

    @property
    def room(self) -> str:
        return room_of(self.module)

    @property
    def place(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports_below(node: ast.AST, module: str, lazy: bool = False) -> Iterator[Import]:
    """Yield the imports that can run; those inside functions are lazy, those for type checkers never run."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from (Import(module, name.name, child.lineno, lazy) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module}:{child.lineno}: imports are written in full"
            yield from (Import(module, f"{child.module}.{n.name}", child.lineno, lazy) for n in child.names)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from imports_below(child, module, lazy or inside)


IMPORTS = [found for module, tree in MODULES.items() for found in imports_below(tree, module)]


def own_module(target: str) -> str | None:
    """Return the module of elastic that an import names (the name may be one inside it), None for libraries."""
    if target.split(".")[0] != "elastic":
        return None
    return target if target in MODULES else target.rpartition(".")[0]


def test_every_room_has_its_place_in_the_order():
    assert {room_of(module) for module in MODULES} == set(LEVEL)


def test_the_source_is_read_whole():
    assert len(IMPORTS) > 200
    assert {"elastic.cube.sealing", "elastic.protocol.tree", "elastic.runs.cell"} <= set(MODULES)
    assert any(found.lazy for found in IMPORTS)


@pytest.mark.parametrize("room", sorted(LEVEL))
def test_imports_point_down_or_stay_in_their_room(room):
    upward = [
        found.place
        for found in IMPORTS
        if found.room == room
        and (target := own_module(found.target)) is not None
        and room_of(target) != room
        and LEVEL[room_of(target)] >= LEVEL[room]
    ]
    assert upward == []


def loaded_by(module: str) -> set[str]:
    """Return everything that loading a module of elastic loads with it, libraries by their first name."""
    loaded: set[str] = set()
    waiting = [module]
    while waiting:
        current = waiting.pop()
        if current in loaded:
            continue
        loaded.add(current)
        parent = current.rpartition(".")[0]
        waiting += [parent] if parent else []
        for found in IMPORTS:
            if found.module == current and not found.lazy:
                target = own_module(found.target)
                waiting.append(target or found.target.split(".")[0])
    return loaded


@pytest.mark.parametrize("room", TORCHLESS)
def test_right_of_the_wall_nothing_loads_torch(room):
    of_room = [module for module in MODULES if room_of(module) == room]
    assert of_room
    for module in of_room:
        assert "torch" not in loaded_by(module), module


def test_left_of_the_wall_torch_is_loaded():
    assert "torch" in loaded_by("elastic.runs.cell")
    assert "torch" in loaded_by("elastic.measure")


def dotted_uses(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield every dotted name in the code, as ``torch.optim.SGD``, but for those in annotations."""
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
        for inner in ast.walk(part)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in annotations:
            yield ast.unparse(node), node.lineno


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_used_in_its_own_room_only(key):
    def is_of(name: str) -> bool:
        return name == key or name.startswith(f"{key}.")

    users = {found.room for found in IMPORTS if is_of(found.target)}
    users |= {room_of(m) for m, tree in MODULES.items() for name, _ in dotted_uses(tree) if is_of(name)}
    assert users == KEYS[key]


def test_random_states_are_set_where_they_belong_only():
    found = {
        (room_of(module), node.func.attr)
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEEDING
    }
    assert {room for room, _ in found} == SEEDERS
    assert ("training", "manual_seed") in found


def test_no_module_is_a_grab_bag():
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common", "manager", "tools"}
