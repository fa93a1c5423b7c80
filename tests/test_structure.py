"""The folders of the tests are those of the package, and what tests share stands in ``tests/support``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import elastic

TESTS = Path(__file__).parent
PACKAGE = Path(elastic.__file__).parent

#: Folders that no folder of the package has.
OWN = {"benchmarks", "device", "releases", "scripts", "support"}
#: Folders of which a module need not be a test: `releases` holds what made its archives.
WITH_MODULES = OWN - {"device"}

FOLDERS = sorted(path.name for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))


def test_a_folder_of_tests_has_the_name_of_a_folder_of_the_package():
    assert {name for name in FOLDERS if not (PACKAGE / name).is_dir()} == OWN


@pytest.mark.parametrize("folder", sorted({".", *FOLDERS} - WITH_MODULES))
def test_a_folder_of_tests_holds_tests_alone(folder):
    modules = {path.stem for path in (TESTS / folder).glob("*.py")}
    assert {name for name in modules if not name.startswith("test_")} <= {"conftest"}


def test_the_tests_that_run_on_the_lowest_versions_are_there():
    tree = ast.parse((TESTS / "scripts" / "lowest_versions.py").read_text())
    named = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    paths = [text for text in named if text.startswith("tests/") and " " not in text]
    assert len(paths) > 10
    assert [path for path in paths if not (TESTS.parent / path).exists()] == []
