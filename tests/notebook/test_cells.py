"""A notebook's cells: for every kind of study only what it holds, and all of them run without a warning."""

from __future__ import annotations

import ast
from functools import cache

import jupytext
import matplotlib.figure
import pytest
from support import altered
from support.cell_runs import run_cells

import elastic
from elastic.notebook.cells import cells
from elastic.notebook.writing import built

ODD_TITLE = "A <b>title</b>\n# %%\n```python\nimport os\n``` $x_1$ \\ \"quoted\" 'too'"

CLAIMS = [{"name": "below", "variable": "nc1", "layer": "penultimate", "threshold": 100.0}]

WEIRD = {"axis": "width: of h", "labels": ['the "wide"', "null\\"]}

STUDIES = {
    "finished": {},
    "one seed": {"change": lambda group: group.isel(seed=[0])},
    "swept": {"change": altered.swept("weight_decay", [0.0, 5e-4])},
    "swept by odd words": {"change": altered.swept(WEIRD["axis"], WEIRD["labels"])},
    "an axis of one value": {"change": altered.swept("weight_decay", [0.5])},
    "no elasticity": {"change": altered.without("locality")},
    "no collapse": {"change": altered.without("nc1")},
    "not probed": {"change": altered.without("nc1", "locality")},
    "test split only": {"change": lambda group: group.sel(split=["test"]) if "nc1" in group else group},
    "under way": {"change": altered.until(2)},
    "just begun": {"change": altered.until(0)},
    "nothing yet": {"change": altered.until(-1)},
    "claims": {"claims": CLAIMS},
    "odd words": {"title": ODD_TITLE, "question": ODD_TITLE * 5, "cites": []},
}

#: Those whose figures show the numbers of the finished study, or what "swept by odd words" shows: one is drawn.
DRAWN_ALIKE = {"swept", "an axis of one value", "claims", "odd words"}


@pytest.fixture(scope="module")
def study_of(finished_study):
    """Return a function from a kind to the study; but for the finished one, their cube is read from disk once."""
    whole = finished_study.cube.load()

    @cache
    def made(kind):
        options = {"whole": None if kind == "finished" else whole, **STUDIES[kind]}
        return altered.Altered(finished_study.folder, options.pop("change", None), **options)

    return made


@cache
def code_of(study):
    return [cell.text for cell in cells(study, ".") if cell.kind == "code"]


def with_one_figure(code):
    """Return the cells without all figures but the first."""
    drawn = [text for text in code if text.startswith("study.plot.")]
    return [text for text in code if text not in drawn[1:]]


@pytest.mark.parametrize("kind", STUDIES)
def test_every_cell_runs(study_of, kind, monkeypatch):
    study = study_of(kind)
    monkeypatch.setattr("elastic.claims.checked.write_checked", lambda *_: None)  # the study is shared
    monkeypatch.setattr(elastic, "open_study", lambda place: study, raising=False)
    code = code_of(study)
    _, shown = run_cells(with_one_figure(code) if kind in DRAWN_ALIKE else code)
    assert shown[0] is study
    assert all(value is not None for value in shown)
    figures = [value for value in shown if isinstance(value, matplotlib.figure.Figure)]
    assert bool(figures) == (kind != "nothing yet")


def test_words_of_a_protocol_change_no_code(study_of):
    assert code_of(study_of("odd words")) == code_of(study_of("finished"))


def test_a_study_with_everything_is_asked_everything(finished_study):
    study = altered.Altered(finished_study.folder, altered.swept("weight_decay", [0.0, 5e-4]), claims=CLAIMS)
    text = "\n".join(code_of(study))
    for asked in (
        "training_curves",
        "neural_collapse",
        "depth_profile",
        "onset_map",
        "locality_collapse",
        "response_matrices",
        "axis_comparison",
    ):
        assert f"study.plot.{asked}(" in text
    drawn = [line for line in text.splitlines() if line.startswith("study.plot.")]
    assert drawn[0].startswith("study.plot.neural_collapse(")
    for asked in ("onset(", "lead(", "difference("):
        assert f"cube.elastic.{asked}" in text
    assert "elastic.check(study)" in text
    assert 'where = {"weight_decay": 0.0}' in text


@pytest.mark.parametrize(
    ("kind", "absent"),
    [
        ("no elasticity", ["locality", "relative_similarity", "response_matrices"]),
        ("no collapse", ["nc1", "onset"]),
        ("not probed", ["neural_collapse", "depth_profile"]),
        ("finished", ["elastic.check(", "axis_comparison", "where = ", "np.", "separation_law"]),
    ],
)
def test_cells_about_what_is_not_there_are_left_out(study_of, kind, absent):
    text = "\n".join(code_of(study_of(kind)))
    assert not [word for word in absent if word in text]


def test_every_import_is_used(study_of):
    for kind in STUDIES:
        text = "\n".join(code_of(study_of(kind)))
        tree = ast.parse(text)
        imported = {
            (a.asname or a.name).split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names
        }
        imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert imported <= used


@pytest.mark.parametrize("kind", ["odd words", "claims", "swept by odd words"])
def test_the_source_reads_back_as_the_same_cells(study_of, kind, tmp_path):
    notebook = built(study_of(kind), tmp_path / "analysis.py")
    again = jupytext.reads(jupytext.writes(notebook, fmt="py:percent"), fmt="py:percent")
    assert [(c.cell_type, c.source) for c in again.cells] == [(c.cell_type, c.source) for c in notebook.cells]


def test_words_of_a_protocol_are_words(study_of):
    first = next(cells(study_of("odd words"), "."))
    heading = first.text.splitlines()[0]
    assert heading.startswith("# A &lt;b&gt;title&lt;/b&gt; # %%")
    assert "<b>" not in first.text
    assert "```" not in [line.strip()[:3] for line in first.text.splitlines()[:1]]
