"""Writing a notebook: where it was asked, never over what somebody changed, with a clear word if it cannot be."""

from __future__ import annotations

import nbformat
import pytest
from support import altered

from elastic.errors import OptionError, RunFailed, StudyError
from elastic.notebook import write_notebook


@pytest.fixture
def study(finished_study, tmp_path):
    """Return a study of one's own, under way: nothing in it is sealed."""
    return altered.under_way(finished_study, tmp_path)


def edit(path, change):
    notebook = nbformat.read(path, 4)
    change(notebook)
    nbformat.write(notebook, path)


def test_it_lies_in_the_study_and_opens_it_from_there(study):
    path = write_notebook(study)
    assert path == study.folder / "analysis.ipynb"
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert 'open_study(".")' in notebook.cells[1].source
    assert notebook.metadata["elastic"]["digest"] == study.digest


def test_elsewhere_it_reaches_the_study_from_where_it_lies(study, tmp_path):
    path = write_notebook(study, tmp_path / "papers" / "one" / "mine.ipynb")
    assert f'open_study("../../{study.name}")' in nbformat.read(path, 4).cells[1].source


def test_the_same_study_gives_the_same_bytes(study, tmp_path):
    for name in ("a.ipynb", "a.py"):
        path = tmp_path / name
        assert write_notebook(study, path).read_bytes() == write_notebook(study, path).read_bytes()


def test_it_is_written_again_when_the_study_holds_more(study, finished_study):
    bare = altered.Altered(study.folder, altered.without("locality"))
    path = write_notebook(bare)
    before = len(nbformat.read(path, 4).cells)
    assert len(nbformat.read(write_notebook(study), 4).cells) > before


def test_outputs_are_no_change(study):
    path = write_notebook(study)
    output = nbformat.v4.new_output("stream", text="42")
    edit(path, lambda notebook: notebook.cells[1].outputs.append(output))
    assert "42" not in write_notebook(study).read_text()


@pytest.mark.parametrize(
    "change",
    [
        lambda notebook: notebook.cells.append(nbformat.v4.new_markdown_cell("mine")),
        lambda notebook: notebook.cells.pop(),
        lambda notebook: notebook.cells[1].update(source="mine = 1"),
        lambda notebook: notebook.cells[0].update(source="# My title"),
        lambda notebook: notebook.metadata.pop("elastic") and notebook.cells.pop(),
    ],
)
def test_what_somebody_changed_is_kept(study, change):
    path = write_notebook(study)
    edit(path, change)
    before = path.read_bytes()
    with pytest.raises(StudyError, match=r"found cells that were changed; try -o OTHER"):
        write_notebook(study)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "text"), [("a.ipynb", "my diary"), ("a.ipynb", ""), ("a.py", "x = 1\n"), ("a.ipynb", "[]")]
)
def test_what_is_no_notebook_of_elastic_is_kept(study, tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(StudyError, match="should hold its cells as elastic wrote them"):
        write_notebook(study, path)
    assert path.read_text() == text


def test_other_endings_are_told(study, tmp_path):
    with pytest.raises(OptionError, match=r"should end in .ipynb or .py; found 'a.html'; try a.ipynb"):
        write_notebook(study, tmp_path / "a.html")
    with pytest.raises(OptionError, match="to be executed"):
        write_notebook(study, tmp_path / "a.py", execute=True)


def test_a_folder_that_cannot_be_written_is_told(study, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StudyError, match="-o FILE"):
        write_notebook(study, tmp_path / "file" / "a.ipynb")


def test_without_jupyter_the_extra_is_told(study, monkeypatch):
    monkeypatch.setattr("elastic.notebook.execution.NEEDED", ("ipykernel", "nbclient_of_tomorrow"))
    with pytest.raises(
        StudyError, match=r"found no nbclient_of_tomorrow; try pip install 'elastic-collapse\[notebook\]'"
    ):
        write_notebook(study, execute=True)
    assert not (study.folder / "analysis.ipynb").exists()


def test_a_cell_that_fails_is_told_and_nothing_is_written(study, monkeypatch):
    from elastic.notebook.first_cells import code

    monkeypatch.setattr("elastic.notebook.writing.cells", lambda *_: [code("raise RuntimeError('out of ideas')")])
    with pytest.raises(RunFailed, match="found RuntimeError: out of ideas"):
        write_notebook(study, execute=True)
    assert not (study.folder / "analysis.ipynb").exists()
