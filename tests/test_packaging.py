"""What is built: one version everywhere, and a wheel that has all that `elastic` reads and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import elastic
from elastic._version import RELEASED, __version__

ROOT = Path(elastic.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

#: Files of the package that are no modules.
DATA = {
    "elastic/py.typed", "elastic/references.bib", "elastic/report/templates/comparison.html.j2",
    "elastic/report/templates/explorer.js", "elastic/report/templates/report.css",
    "elastic/report/templates/report.html.j2",
}  # fmt: skip


def test_the_build_reads_the_version_of_the_package():
    assert PROJECT["project"]["dynamic"] == ["version"]
    source = (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).read_text()
    assert re.findall(r'^__version__ = "(.+)"$', source, re.M) == [elastic.__version__]
    assert elastic.__version__ == __version__


def test_the_citation_file_has_the_version_of_the_package_and_its_day():
    cited = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", cited, re.M) == [elastic.__version__]
    assert re.findall(r"^date-released: '(.+)'$", cited, re.M) == [RELEASED]


def test_the_changelog_has_the_form_of_keep_a_changelog():
    """Versions, newest first, each released on a day, with sections of the six names, none twice."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.startswith("# Changelog\n")
    versions = re.findall(r"^## \[([\w.]+)\](?: - \d{4}-\d\d-\d\d)?$", text, re.M)
    assert len(versions) == len(re.findall("^## ", text, re.M)) > 0
    assert versions[0] in {"Unreleased", __version__}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.M)
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
        assert len(kinds) == len(set(kinds))


def built(name):
    """Return the paths that a target of the build holds, without building it."""
    pytest.importorskip("hatchling")
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    builder = {"wheel": WheelBuilder, "sdist": SdistBuilder}[name](str(ROOT))
    return {file.distribution_path for file in builder.recurse_included_files()}


def below(folder, pattern="*"):
    """Return the files of a folder of the repository but what Python and macOS leave there, by their paths in it."""
    paths = (path for path in (ROOT / folder).rglob(pattern) if path.is_file())
    return {path.relative_to(ROOT / folder).as_posix() for path in paths if "__pycache__" not in path.parts}


def test_a_wheel_holds_the_package_its_data_and_the_protocols():
    held = built("wheel")
    protocols = {path.removeprefix("elastic/_protocols/") for path in held if path.startswith("elastic/_protocols/")}
    assert protocols == below("protocols")
    assert {"quickstart.yaml", "protocol.schema.json", "cluster/slurm.sh"} <= protocols
    modules = {f"elastic/{path}" for path in below("elastic", "*.py") if not path.startswith("docs/")}
    assert {path for path in held if not path.startswith("elastic/_protocols/")} == modules | DATA
    assert PROJECT["project"]["license-files"] == ["LICENSE"]


def test_pages_of_the_documentation_lie_beside_the_import_path():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {"elastic/docs": "share/elastic/docs"}
    assert not [path for path in built("wheel") if path.startswith("elastic/docs/")]


def test_a_source_distribution_holds_what_the_wheel_is_built_from_and_the_tests():
    held = built("sdist")
    sources = {path.replace("elastic/_protocols/", "protocols/") for path in built("wheel")}
    assert held >= sources | {"LICENSE", "README.md", "CHANGELOG.md", "constraints.txt", "tests/test_packaging.py"}
    assert not [path for path in held if path.endswith(".pyc") or path.startswith((".git/", "dist/", "results/"))]


#: What has to pass before a change is taken, as each place that states it spells it.
CHECKS = ("pytest -n 2", "ruff check .", "ruff format --check .", "mypy")


def workflows():
    """Return the jobs of all workflows by name."""
    files = (ROOT / ".github" / "workflows").glob("*.yml")
    return {name: job for file in files for name, job in YAML(typ="safe").load(file.read_text())["jobs"].items()}


def test_the_checks_are_the_same_in_every_place_that_states_them():
    scripts = PROJECT["tool"]["hatch"]["envs"]["default"]["scripts"]
    named = [scripts["test"].removesuffix(" {args}"), *scripts["lint"], scripts["types"]]
    assert named == list(CHECKS)
    steps = [step["run"] for step in workflows()["tests"]["steps"] if "run" in step]
    stated = {
        "workflow": "\n".join(steps),
        ".ci/run": (ROOT / ".ci" / "run").read_text(),
        "CONTRIBUTING": (ROOT / ".github" / "CONTRIBUTING.md").read_text(),
        "extending": (ROOT / "elastic" / "docs" / "extending.md").read_text(),
    }
    assert [(place, check) for place, text in stated.items() for check in CHECKS if check not in text] == []


def test_workflows_run_every_version_of_python_that_is_declared():
    declared = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one) for one in PROJECT["project"]["classifiers"]
    ]
    versions = [result[1] for result in declared if result]
    assert PROJECT["project"]["requires-python"] == f">={versions[0]}"
    for name in ("tests", "reading"):
        assert workflows()[name]["strategy"]["matrix"]["python"] == versions


def test_files_that_scripts_and_pages_for_contributors_name_exist():
    places = [
        ROOT / ".github" / "CONTRIBUTING.md",
        ROOT / "pyproject.toml",
        *(ROOT / ".github" / "workflows").glob("*.yml"),
    ]
    named = {path for file in places for path in re.findall(r"\btests/[\w/]+(?:\.py)?", file.read_text())}
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
