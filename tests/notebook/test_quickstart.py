"""The published analysis of the quickstart shows a whole run, and its cells run on a study of today."""

from __future__ import annotations

import nbformat
import pytest
from support import processes
from support.repository import RESULTS, ROOT, needs_results

import elastic
from elastic.notebook import write_notebook

NOTEBOOK = RESULTS / "published" / "quickstart" / "analysis.ipynb"


pytestmark = needs_results


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """Return the quickstart, trained for two epochs by two seeds and probed with a few samples."""
    out, few = tmp_path_factory.mktemp("quickstart"), ("stepped_per_class=1", "observed_per_class=2")
    settings = [
        "training.epochs=2",
        "data.per_class=20",
        "axes.seed=[0, 1]",
        *(f"probes.elasticity.{setting}" for setting in few),
    ]
    return elastic.run(ROOT / "protocols" / "quickstart.yaml", out=out, settings=settings)


def drawn(notebook):
    return sum(cell.source.count("study.plot.") for cell in notebook.cells if cell.cell_type == "code")


def pictures(notebook):
    return [o for cell in notebook.cells for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]


def test_the_published_notebook_shows_a_whole_run_and_its_answer():
    notebook = nbformat.read(NOTEBOOK, 4)
    nbformat.validate(notebook)
    assert NOTEBOOK.stat().st_size < 1_000_000
    assert len(pictures(notebook)) == drawn(notebook) > 3
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    protocol = elastic.load_protocol(ROOT / "protocols" / "quickstart.yaml")
    assert notebook.metadata["elastic"]["digest"] == protocol.digest
    answer = notebook.cells[-1].outputs[0]["data"]["text/markdown"]
    assert "From epoch 0 to 30, nc1 fell in 5 and rose in 0 of 5 hidden layers" in answer
    text = NOTEBOOK.read_text()
    assert all(place not in text for place in ("/tmp/", "/home/", "/work/", "/root/"))


def test_the_published_notebook_runs(quickstart, monkeypatch):
    published = nbformat.read(NOTEBOOK, 4)
    monkeypatch.setattr("elastic.notebook.writing.built", lambda study, path: published)
    with processes.time_limit(900):
        path = write_notebook(quickstart, quickstart.folder / "executed.ipynb", execute=True)
    notebook = nbformat.read(path, 4)
    assert len(pictures(notebook)) == drawn(published)
    kinds = {output.output_type for cell in notebook.cells for output in cell.get("outputs", ())}
    assert kinds == {"execute_result"}  # no error, no warning, nothing printed
    assert "From epoch 0 to 2, nc1" in notebook.cells[-1].outputs[0]["data"]["text/markdown"]
