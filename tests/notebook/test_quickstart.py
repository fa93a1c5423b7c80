"""The published analysis of the quickstart shows a whole run, and its cells run on a study of today."""

from __future__ import annotations

import matplotlib.figure
import nbformat
from IPython.core.formatters import DisplayFormatter
from support import altered
from support.cell_runs import run_cells
from support.repository import RESULTS, ROOT, needs_results

import elastic
from elastic.notebook.cells import cells

NOTEBOOK = RESULTS / "published" / "quickstart" / "analysis.ipynb"


pytestmark = needs_results


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


def test_the_published_notebook_runs(finished_study, monkeypatch, capsys):
    """In this process, on the small study: tests/publishing/test_anonymous.py executes a notebook in a kernel."""
    claims = elastic.load_protocol(ROOT / "protocols" / "quickstart.yaml").canonical()["claims"]
    study = altered.Altered(finished_study.folder, claims=claims)
    monkeypatch.setattr("elastic.claims.checked.write_checked", lambda *_: None)  # the study is shared
    monkeypatch.setattr(elastic, "open_study", lambda place: study, raising=False)
    # Figures that notebooks of today draw, too, are drawn in tests/notebook/test_cells.py: one stands for them here.
    tested = [cell.text for cell in cells(study, ".") if cell.text.startswith("study.plot.")][1:]
    code = [cell.source for cell in nbformat.read(NOTEBOOK, 4).cells if cell.cell_type == "code"]
    texts = [text for text in code if text not in tested]
    _, shown = run_cells(texts)
    assert capsys.readouterr() == ("", "")
    figures = [value for value in shown if isinstance(value, matplotlib.figure.Figure)]
    assert len(figures) == "\n".join(texts).count("study.plot.") > 0
    displayed = [DisplayFormatter().format(value)[0] for value in shown]
    assert sum("text/html" in result for result in displayed) > 4
    assert "From epoch 0 to 6, nc1" in displayed[-1]["text/markdown"]
