"""What the README shows runs, and what it lists exists."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import processes
import pytest

import elastic
from elastic.cube import is_sealed
from elastic.registry import registry

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


#: What a block of the README with one of these words shows; it has a test of its own.
SPECIAL = ("open_study", "@metric", "@claim", "Recorder")

LIBRARY = [code for code in blocks("python") if not any(word in code for word in SPECIAL)]


@pytest.mark.parametrize("code", LIBRARY, ids=["collapse", "elasticity"])
def test_the_library_examples_run_in_ten_lines(code, capsys):
    assert len(code.strip().splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {})
    assert "logits" in capsys.readouterr().out


def test_the_recorder_example_records_a_study_in_twelve_lines(tmp_path, monkeypatch):
    (code,) = [code for code in blocks("python") if "Recorder" in code]
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 12
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    study = elastic.open_study("results/mine")
    assert [run.state for run in study.runs()] == ["done"]
    assert is_sealed(study.folder)
    accuracy = study.cube["training"]["accuracy"].isel(seed=0, epoch=-1)
    assert accuracy.sel(split="train") > 0.9
    assert study.cube["collapse"]["layer"].values.tolist() == ["input", "1", "2"]
    assert study.cube["elasticity"]["probe_error"].max() < 1e-3


def test_the_metric_example_is_all_that_a_metric_needs():
    import numpy as np

    (code,) = [code for code in blocks("python") if "@metric" in code]
    try:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        h = np.array([[-3.0], [-1.0], [1.5], [2.5]])  # variances 1 and 1/4: their mean is 5/8
        ds = elastic.measure_collapse(h, [0, 0, 1, 1])
        assert float(ds.variance_imbalance.squeeze()) == pytest.approx(1.6)
        assert ds.variance_imbalance.attrs["formula"] == "max_k v_k / mean_k v_k"
    finally:
        registry("metrics")._entries.pop("variance_imbalance", None)


def test_the_protocol_example_runs_and_its_cube_opens_as_shown(tmp_path, monkeypatch):
    (text,) = blocks("yaml")
    file = tmp_path / "wide.yaml"
    file.write_text(text)
    small = ["training.epochs=2", "data.per_class=20", "axes.seed=[0]"]
    monkeypatch.chdir(tmp_path)  # as a user stands: studies go to results/ below
    study = elastic.run(file, settings=small)
    assert is_sealed(study.folder)
    assert dict(study.cube["collapse"]["nc1"].sizes) == {"widths": 2, "seed": 1, "epoch": 3, "split": 2, "layer": 5}
    reading = [code for code in blocks("python") if "open_study" in code]
    assert len(reading) == 2
    for code in reading:
        exec(compile(code.replace("results/quickstart", "results/wide-or-narrow"), "README.md", "exec"), {})


def test_the_error_example_is_what_elastic_says(tmp_path):
    (text,) = blocks("yaml")
    (tmp_path / "wide.yaml").write_text(text.replace("name: mlp", "name: mpl"))
    command = [sys.executable, "-m", "elastic", "run", "wide.yaml"]
    done = processes.run(command, cwd=tmp_path)
    assert done.returncode == 2
    (shown,) = re.findall(r"^    (wide\.yaml:.*)$", TEXT, re.M)
    assert shown in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["wide.yaml"]


def test_every_metric_stands_in_the_table_of_the_cube():
    assert {name for name in registry("metrics").names() if f"`{name}`" not in TEXT} == set()


def test_every_picture_is_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
