"""The notebook that records training loops of its own: what is published is its source, and that runs."""

from __future__ import annotations

import gzip
import struct

import jupytext
import matplotlib.figure
import nbformat
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils import Bunch
from support.cell_runs import run_cells
from support.few_metrics import leave_few
from support.repository import RESULTS, needs_results

import elastic
from elastic.cube import is_sealed
from elastic.data.fashion_mnist import DEBIAN_FOLDER
from elastic.errors import DataError

PUBLISHED = RESULTS / "own_loop"
SOURCE, NOTEBOOK = PUBLISHED / "analysis.py", PUBLISHED / "analysis.ipynb"

#: Settings of a run that takes seconds; the notebook's own cells decide everything else.
SMALL = {
    "seeds": [0],
    "images_per_class": 3,
    "resnet_epochs": 1,
    "train_digits": 40,
    "transformer_epochs": 1,
    "elasticity": {"stepped_per_class": 1, "observed_per_class": 2},
}

#: Digits that there are in that run, with those of the test split.
DIGITS = 90

pytestmark = needs_results


@pytest.fixture(scope="module")
def source():
    return jupytext.read(SOURCE, fmt="py:percent")


def code(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def drawn(text):
    return text.count(".plot.")


def write_fashion(folder, per_class=3):
    """Write files in the format of Fashion-MNIST: a few images of noise of every class."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(10, dtype=np.uint8), per_class)
    images = draw.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    for part in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))


def run(notebook, settings):
    """Run the cells with other settings after the cell of parameters; return names and shown values."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def set_parameters(number, space):
        if "parameters" in cells[number].metadata.get("tags", ()):
            assert settings.keys() <= space.keys()
            space.update(settings)

    return run_cells([cell.source for cell in cells], set_parameters, str(SOURCE))


def test_every_cell_of_the_source_runs(source, tmp_path, monkeypatch):
    digits = load_digits()
    few = Bunch(images=digits.images[:DIGITS], target=digits.target[:DIGITS])
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda: few)
    leave_few(monkeypatch, "fuzziness", "probe_error")  # the notebook shows no other
    monkeypatch.setattr("elastic.report.page.EXPLORERS", ())  # tests/report draws the charts of recorded studies
    (tmp_path / "fashion").mkdir()
    write_fashion(tmp_path / "fashion")
    monkeypatch.chdir(tmp_path)
    space, shown = run(source, {**SMALL, "fashion_folder": "fashion"})
    figures = [value for value in shown if isinstance(value, matplotlib.figure.Figure)]
    assert len(figures) == drawn("\n".join(code(source))) > 5
    for name, coordinates in (("fashion_resnet", "weight_decay"), ("digits_transformer", "token")):
        study = elastic.open_study(name)
        assert is_sealed(study.folder)
        assert [run.state for run in study.runs()] == ["done", "done"]
        assert study.cube["collapse"]["nc1"].sizes[coordinates] == 2
        assert study.cube["elasticity"]["probe_error"].max() < 1e-3
        assert len(elastic.check(study).verdicts) == len(study.claims) > 4
        assert (study.folder / "report.html").stat().st_size > 10_000
    assert space["transformer"].cube["collapse"]["layer"].values.tolist()[-2:] == ["norm", "classifier"]


def test_without_the_data_the_source_says_how_to_get_them(source, tmp_path):
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        run(source, {"fashion_folder": str(tmp_path)})


def test_the_source_reads_the_folder_of_the_debian_package(source):
    assert f'fashion_folder = "{DEBIAN_FOLDER}"' in "\n".join(code(source))


def test_the_published_notebook_is_its_source(source):
    assert code(nbformat.read(NOTEBOOK, 4)) == code(source)


def test_the_published_notebook_shows_a_whole_run():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < 2_000_000
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == drawn("\n".join(code(notebook)))
    assert {output.output_type for output in outputs} <= {"execute_result", "stream"}  # no error and no warning
    assert not [output for output in outputs if output.get("name") == "stderr"]
    text = NOTEBOOK.read_text()
    assert all(place not in text for place in ("/tmp/", "/home/", "/work/", "/root/"))
