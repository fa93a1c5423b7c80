"""Right of the wall a study is read, told of and drawn where torch cannot be imported."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import processes
import pytest

import elastic

ROOT = Path(elastic.__file__).parents[1]

# A finder, not `sys.modules["torch"] = None`: SciPy looks whether torch is among the modules that are loaded.
BLOCKED = """
import sys
class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
"""

READ = """
import elastic
study = elastic.open_study(sys.argv[1])
cube = study.cube
print(float(cube["collapse"].dataset["nc1"].sum()), float(cube["elasticity"].dataset["locality"].sum()))
print(study.protocol.training.epochs, study.protocol.digest == study.digest, [run.state for run in study.runs()])
"""

#: Several commands are divided by "then".
COMMAND = """
from elastic.__main__ import main
commands = [[]]
for word in sys.argv[1:]:
    commands.append([]) if word == "then" else commands[-1].append(word)
for command in commands:
    sys.argv = ["elastic", *command]
    main()
"""

FILES_OF_A_FIGURE = {".svg", ".pdf", ".png"}


def python(script, *arguments):
    done = processes.run(
        [sys.executable, "-W", "error", "-c", script, *arguments], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def study(finished_study, tmp_path):
    folder = tmp_path / "small"
    shutil.copytree(finished_study.folder, folder)
    return elastic.open_study(folder)


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "from the journals"])
def test_a_study_is_read_without_torch(study, sealed):
    if not sealed:
        (study.folder / "manifest.sha256").unlink()
    values, facts = python(BLOCKED + READ, study.folder).splitlines()
    sums = [study.cube[group].dataset[name].sum() for group, name in (("collapse", "nc1"), ("elasticity", "locality"))]
    assert [float(value) for value in values.split()] == [float(value) for value in sums]
    assert facts == "6 True ['done', 'done']"


def test_status_is_told_without_torch(study):
    status = ["status", study.folder]
    told = python(BLOCKED + COMMAND, *status, "--json", "then", *status)
    facts, length = json.JSONDecoder().raw_decode(told)
    assert [run["state"] for run in facts["runs"]] == ["done", "done"]
    assert facts["sealed"] is True
    assert "2 of 2 runs ended" in told[length:]


def test_figures_are_drawn_without_torch(study):
    written = [Path(line) for line in python(BLOCKED + COMMAND, "plot", study.folder).splitlines()]
    assert {path.suffix for path in written} == FILES_OF_A_FIGURE
    assert len(written) >= 2 * len(FILES_OF_A_FIGURE)
    assert all(path.stat().st_size > 1000 for path in written)


def test_claims_are_checked_and_a_study_is_written_out_without_torch(study, tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text(
        "claims:\n  - {name: collapse_deepens_with_depth, metric: nc1, layers: [input, hidden_1, penultimate]}\n"
    )
    writing = [word for command in ("report", "notebook", "export") for word in ("then", command, study.folder)]
    told = python(BLOCKED + COMMAND, "check", study.folder, "--claims", file, "--json", *writing)
    facts, length = json.JSONDecoder().raw_decode(told)
    assert [claim["name"] for claim in facts["claims"]] == ["collapse_deepens_with_depth"]
    written = [Path(line) for line in told[length:].split("\n") if line]
    assert {path.name for path in written[:2]} == {"report.html", "analysis.ipynb"}
    assert {path.suffix for path in written[2:]} == {".csv", ".nc", ".tex"}
    assert all(path.stat().st_size > 0 for path in written)


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
