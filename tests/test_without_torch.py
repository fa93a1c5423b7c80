"""Right of the wall a study is read, told of and drawn where torch cannot be imported."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import processes

import elastic

ROOT = Path(elastic.__file__).parents[1]

#: Refuses to import what an installation that only reads studies lacks: torch, and every distribution that the group
#: `reading` of pyproject.toml does not require. None of them is found, as where it is not installed.
READING_ONLY = """
import re, sys, tomllib
from importlib import metadata
from importlib.machinery import PathFinder
from packaging.requirements import Requirement

def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()

def required(names):
    known, ahead = set(), list(names)
    while ahead:
        if (name := canonical(ahead.pop())) not in known:
            known.add(name)
            asked = [Requirement(text) for text in metadata.requires(name) or ()]
            ahead += [one.name for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return known

with open(sys.argv[1] + "/pyproject.toml", "rb") as file:
    group = tomllib.load(file)["dependency-groups"]["reading"]
INSTALLED = required(Requirement(text).name for text in group)
OWNERS = metadata.packages_distributions()

class ReadingOnly(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        owners = {canonical(owner) for owner in OWNERS.get(name.partition(".")[0], ())}
        is_missing = owners and owners.isdisjoint(INSTALLED | {"elastic-collapse"})
        return None if is_missing else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = ReadingOnly
"""

#: Runs commands, each of which is a line of arguments divided by tabs, and tells how each ended and what it printed.
COMMANDS = """
import contextlib, io, json
from elastic.__main__ import main
from elastic.registry import registry
from elastic.report import embedded_figures

# All figures are loaded, and one is drawn: a page of all takes seconds.
figures = [registry("figures").get(name) for name in registry("figures").names()]
embedded_figures.in_order = lambda: [one for one in figures if one.name == "depth_profile"]
told = []
for line in sys.argv[2:]:
    sys.argv = ["elastic", *line.split("\\t")]
    out, error, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main()
        except SystemExit as end:
            code = end.code
    told.append([code, out.getvalue(), error.getvalue()])
import elastic
study = elastic.open_study(sys.argv[1])
cube = study.cube
shown = (("collapse", "nc1"), ("elasticity", "locality"))
sums = [float(cube[group].dataset[name].sum()) for group, name in shown]
cube["elasticity"].dataset.elastic
states = [run.state for run in study.runs()]
facts = [sums, study.protocol.training.epochs, study.protocol.digest == study.digest, states]
from_journals = elastic.open_study(FROM_JOURNALS)
facts.append([float(from_journals.cube[group].dataset[name].sum()) for group, name in shown])
print(json.dumps([told, facts, "torch" in sys.modules]))
"""

CLAIMS = "claims:\n  - {name: collapse_deepens_with_depth, metric: nc1, layers: [input, hidden_1, penultimate]}\n"

FILES_OF_A_FIGURE = {".svg", ".pdf", ".png"}


def python(script, *arguments):
    done = processes.run(
        [sys.executable, "-W", "error", "-c", script, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    error: str


@pytest.fixture(scope="module")
def read(study_of_few, tmp_path_factory):
    """Return what commands answered, by their first word, and facts of a study: all of one process that only reads."""
    folder = tmp_path_factory.mktemp("read")
    shutil.copytree(study_of_few.folder, folder / "small")
    shutil.copytree(study_of_few.folder, folder / "unsealed")
    (folder / "unsealed/manifest.sha256").unlink()
    (folder / "claims.yaml").write_text(CLAIMS)
    study, claims = str(folder / "small"), str(folder / "claims.yaml")
    commands = {
        "status": ["status", study, "--json"],
        "table": ["status", study],
        "watch": ["watch", study, "--once"],
        "verify": ["verify", study],
        "check": ["check", study, "--claims", claims, "--json"],
        "plot": ["plot", study, "--figure", "training_curves"],
        "report": ["report", study],
        "notebook": ["notebook", study],
        "export": ["export", study],
        "list": ["list", "protocols"],
        "show": ["show", "locality_above"],
        "run": ["run", "quickstart", "--out", str(folder / "results")],
        "models": ["list", "models"],
    }
    commands_of = COMMANDS.replace("sys.argv[1])", f"{study!r})").replace(
        "FROM_JOURNALS", repr(str(folder / "unsealed"))
    )
    script = READING_ONLY + commands_of
    lines = ["\t".join(words) for words in commands.values()]
    result, facts, has_torch = json.loads(python(script, str(ROOT), *lines).splitlines()[-1])
    assert not has_torch
    return {name: Told(*one) for name, one in zip(commands, result, strict=True)}, facts


def test_a_reading_installation_has_all_that_elastic_needs_but_what_runs_studies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["project"]["dependencies"]) - set(project["dependency-groups"]["reading"]) == {
        "joblib>=1.4",
        "torch>=2.13",
    }
    assert set(project["dependency-groups"]["reading"]) < set(project["project"]["dependencies"])


def test_a_study_is_read_without_torch_from_its_cube_and_from_its_journals(read, study_of_few):
    _, (sums, *facts, sums_of_journals) = read
    cube = study_of_few.cube
    groups = (("collapse", "nc1"), ("elasticity", "locality"))
    assert sums == sums_of_journals == [float(cube[group].dataset[name].sum()) for group, name in groups]
    assert facts == [6, True, ["done", "done"]]


def test_status_and_claims_are_told_without_torch(read):
    text, _ = read
    facts = json.loads(text["status"].out)
    assert [run["state"] for run in facts["runs"]] == ["done", "done"]
    assert facts["sealed"] is True
    assert "2 of 2 runs ended" in text["table"].out
    assert "nc1 by layer" in text["watch"].out
    assert text["verify"].code == 0
    claims = json.loads(text["check"].out)["claims"]
    assert [claim["name"] for claim in claims] == ["collapse_deepens_with_depth"]


def test_figures_report_notebook_and_exports_are_written_without_torch(read):
    results, _ = read
    written = {
        name: [Path(line) for line in results[name].out.splitlines()]
        for name in ("plot", "report", "notebook", "export")
    }
    assert {path.suffix for path in written["plot"]} == FILES_OF_A_FIGURE
    assert len(written["plot"]) == len(FILES_OF_A_FIGURE)
    assert [path.name for name in ("report", "notebook") for path in written[name]] == ["report.html", "analysis.ipynb"]
    assert {path.suffix for path in written["export"]} == {".csv", ".nc", ".tex"}
    assert all(path.stat().st_size > 0 for paths in written.values() for path in paths)


def test_names_are_listed_and_what_needs_torch_says_so(read):
    text, _ = read
    assert "quickstart" in text["list"].out
    assert "locality" in text["show"].out
    for name in ("run", "models"):
        assert (text[name].code, text[name].out) == (2, "")
        assert "should find PyTorch; found no module named torch; try pip install torch" in text[name].error


def test_importing_elastic_imports_no_library_that_takes_time():
    script = "import sys, elastic; print(sorted({'torch', 'xarray', 'numpy', 'pydantic', 'zarr'} & set(sys.modules)))"
    assert python(script).strip() == "[]"


def test_the_public_names_are_listed_before_they_are_loaded():
    script = "import sys, elastic; print(*dir(elastic)); print('torch' in sys.modules)"
    names, loaded = python(script).splitlines()
    assert set(elastic.__all__) <= set(names.split())
    assert loaded == "False"


@pytest.mark.parametrize("name", elastic.__all__)
def test_every_public_name_is_there(name):
    assert getattr(elastic, name) is not None


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="measure_colapse"):
        _ = elastic.measure_colapse
