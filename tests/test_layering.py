"""The layers of the package: imports point down, reading studies never imports torch, libraries stay in few packages.

A package here is a module of ``elastic`` or one of its folders. Imports may only point to packages of lower layers or
stay inside their own, those inside functions too.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

import elastic

SOURCE = Path(elastic.__file__).parent

#: From the lowest layer up; packages of one layer do not import each other. A new package needs an entry here.
ORDER = (
    {"_version"},
    {"elastic"},
    {"errors", "docstrings", "uncompiled", "close_names"},
    {"option_errors"},
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
LEVEL = {package: level for level, packages in enumerate(ORDER) for package in packages}

#: Packages that work without torch.
TORCHLESS = (
    "_version", "elastic", "errors", "docstrings", "uncompiled", "close_names", "option_errors",
    "registry", "progress", "releases", "protocol", "cube",
    "study", "summary", "listing", "theory", "analysis", "display", "claims", "figures", "report",
    "watching", "notebook", "export", "publishing", "site", "cli", "ending", "__main__",
)  # fmt: skip

#: Those of them with functions that run what a protocol asks for, and import torch then.
TRAINING_ON_REQUEST = {"study", "publishing", "cli"}

#: Packages that may import or call each library.
USERS = {
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
#: Methods of a class that call what is built on it: a study that verifies itself.
FACADES = {("elastic.study.study", "elastic.study.verification")}
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
    def package(self) -> str:
        return package_of(self.module)

    @property
    def place(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax trees of the package; read when a test needs them, as every worker imports this module."""
    return {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(SOURCE.rglob("*.py"))}


def package_of(module: str) -> str:
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


@cache
def imported() -> dict[str, list[Import]]:
    return {module: list(imports_below(tree, module)) for module, tree in modules().items()}


@cache
def imports() -> list[Import]:
    return [result for of_module in imported().values() for result in of_module]


def own_module(target: str) -> str | None:
    """Return the module of elastic that an import names (the name may be one inside it), None for libraries."""
    if target.split(".")[0] != "elastic":
        return None
    return target if target in modules() else target.rpartition(".")[0]


def test_every_package_has_a_layer():
    assert {package_of(module) for module in modules()} == set(LEVEL)


def test_the_source_is_read_whole():
    assert len(imports()) > 200
    assert {"elastic.cube.sealing", "elastic.protocol.yaml_tree", "elastic.runs.cell"} <= set(modules())
    assert any(result.lazy for result in imports())


@pytest.mark.parametrize("package", sorted(LEVEL))
def test_imports_point_down_or_stay_in_their_package(package):
    upward = [
        result.place
        for result in imports()
        if result.package == package
        and (target := own_module(result.target)) is not None
        and package_of(target) != package
        and LEVEL[package_of(target)] >= LEVEL[package]
    ]
    assert upward == []


def test_no_module_imports_itself_through_others():
    needed: dict[str, set[str]] = {module: set() for module in modules()}
    for result in imports():
        target = own_module(result.target)
        if target not in (None, result.module) and (result.module, target) not in FACADES:
            needed[result.module].add(target)
    TopologicalSorter(needed).prepare()  # raises CycleError, which names the modules


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
        for result in imported().get(current, ()):
            if not result.lazy:
                target = own_module(result.target)
                waiting.append(target or result.target.split(".")[0])
    return loaded


@pytest.mark.parametrize("package", TORCHLESS)
def test_packages_that_read_studies_never_import_torch(package):
    own = [module for module in modules() if package_of(module) == package]
    assert own
    for module in own:
        assert "torch" not in loaded_by(module), module


@pytest.mark.parametrize("package", sorted({*TORCHLESS} - TRAINING_ON_REQUEST))
def test_their_functions_import_no_torch_either(package):
    """What only some figure or table would import is seen here, and not where a few of them are drawn without torch."""
    loading = [
        result.place
        for result in imports()
        if result.package == package
        and "torch" in loaded_by(own_module(result.target) or result.target.partition(".")[0])
    ]
    assert loading == []


def test_packages_that_train_import_torch():
    assert "torch" in loaded_by("elastic.runs.cell")
    assert "torch" in loaded_by("elastic.measure")


@cache
def dotted_uses(module: str) -> frozenset[str]:
    """Return every dotted name in the code, as ``torch.optim.SGD``, but for those in annotations."""
    tree = modules()[module]
    annotations = {
        id(inner)
        for node in ast.walk(tree)
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if part is not None
        for inner in ast.walk(part)
    }
    return frozenset(
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute) and id(node) not in annotations
    )


@pytest.mark.parametrize("library", USERS)
def test_a_library_is_used_only_where_it_is_allowed(library):
    def is_of(name: str) -> bool:
        return name == library or name.startswith(f"{library}.")

    users = {result.package for result in imports() if is_of(result.target)}
    users |= {package_of(module) for module in modules() for name in dotted_uses(module) if is_of(name)}
    assert users == USERS[library]


def test_only_few_packages_set_random_states():
    collected = {
        (package_of(module), node.func.attr)
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SEEDING
    }
    assert {package for package, _ in collected} == SEEDERS
    assert ("training", "manual_seed") in collected


def test_no_module_is_a_grab_bag():
    names = {part for module in modules() for part in module.split(".")}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common", "manager", "tools"}


# References in docstrings, which the site shows as code where they lead nowhere


def names_of(tree: ast.Module) -> set[str]:
    """Return the names that a module defines or imports outside its functions, and those of its methods."""
    names, waiting = set(), list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {target.id for target in getattr(node, "targets", None) or [node.target] if hasattr(target, "id")}
        waiting += [] if isinstance(node, ast.FunctionDef) else getattr(node, "body", [])
    return names


def docstrings_of(tree: ast.Module) -> Iterator[str]:
    waiting: list[Any] = [tree]
    while waiting:
        node = waiting.pop()
        yield ast.get_docstring(node, clean=False) or ""
        waiting += [inner for inner in node.body if isinstance(inner, ast.FunctionDef | ast.ClassDef)]


def lost_references(docstring: str, names: set[str]) -> list[str]:
    """Return the references to classes (`Recorder`) and to what is in elastic (`elastic.run`) that lead nowhere."""
    references = re.findall(r"(?<!`)`~?((?:elastic\.|[A-Z][a-z])[\w.]*)`(?!`)", docstring)
    return [name for name in references if not {*name.removeprefix("elastic.").split(".")} <= names]


@cache
def all_names() -> set[str]:
    names = set(elastic.__all__) | set(dir(builtins))
    for module, tree in modules().items():
        names |= names_of(tree) | set(module.split("."))
    return names


def test_references_in_docstrings_name_what_is_there():
    lost = {
        module: names
        for module, tree in modules().items()
        if (names := [name for text in docstrings_of(tree) for name in lost_references(text, all_names())])
    }
    assert lost == {}


def test_a_reference_that_leads_nowhere_is_seen():
    text = "`Recorder`, ``Nothing``, `RecordingCallbak`, `elastic.runn`, `elastic.errors.ElasticError.exit_code`, `x`"
    assert lost_references(text, all_names()) == ["RecordingCallbak", "elastic.runn"]
