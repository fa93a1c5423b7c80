"""Texts of a study are shown as they are: a renderer of Markdown that is not elastic's finds text and nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import NamedTuple

import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support import altered
from support.few_metrics import FEW

import elastic
from elastic.display import conclusion
from elastic.display.markdown import code_span, inert
from elastic.notebook.cells import cells
from elastic.notebook.writing import write_notebook

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

HOSTILE = [
    "[x](javascript:alert(1))",
    "![x](http://evil/pixel.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<http://evil>",
    "[a]: http://evil 'b' [a]",
    "&lt;script&gt; &#60;script&#62;",
    "`code` ``two`` *a* **b** _c_ __d__ ~~e~~",
    "# heading ## ##",
    "- a\n- b\n+ c\n1. d\n2) e\n=== ---",
    "> quoted",
    "a | b\n--- | ---\nc | d",
    r"\[x\] \(y\) \ \\ $z$ $$w$$ \begin{a} \end{a} @@0@@ {%",
    "```python\nimport os\n```",
    "    indented",
    "<!-- a --> <![CDATA[x]]> <?php ?>",
    "# %%\nimport os",
]


class Shown(HTMLParser):
    """What a page shows of HTML: its text, and the tags in it."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags = "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text += data


def shown(markdown):
    result = Shown(RENDERER.render(markdown))
    return " ".join(result.text.split()), result.tags


def assert_text_only(text):
    plain = " ".join(text.split())
    assert shown(inert(text)) == (plain, ["p"] if plain else [])
    assert shown(f"# {inert(text, heading=True)}") == (plain, ["h1"])
    # Broken into lines at any blank.
    assert shown(inert(text).replace(" ", "\n")) == (plain, ["p"] if plain else [])
    # No mathematics, by any of the delimiters that notebooks know, and no link that a renderer makes of plain text.
    assert not re.search(r"[$\\@{}]|://|www\.", inert(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_text(text):
    assert_text_only(text)


@given(st.text(st.sampled_from("\\`*_[]()<>&$!#~|@{}:/.-+=0123456789abwW \n\t\"'"), max_size=40))
def test_any_text_of_signs_is_text(text):
    assert_text_only(text)


@given(st.text(st.sampled_from("`a \\<$"), min_size=1, max_size=20).filter(str.strip))
def test_code_is_code(text):
    text = text.strip()
    result, tags = shown(f"Study {code_span(text)}.")
    assert tags == ["p", "code"]
    assert result == " ".join(f"Study {text}.".split())


@pytest.fixture(scope="module")
def harmless(finished_study):
    """Return the cube of the small study, and what its texts give where all are letters."""
    whole = with_few_metrics(finished_study.cube).load()
    study = altered.Altered(
        finished_study.folder, altered.swept("rate", ["a", "b"]), whole=whole, title="a", question="a"
    )
    return Harmless(whole, tags_of_cells(study), shown(conclusion(study.cube))[1])


def with_few_metrics(cube):
    """Return a cube without the metrics that change neither cells nor conclusion: a sweep copies each of them."""
    few = set().union(*FEW.values())
    groups = {name: node.to_dataset() for name, node in cube.children.items()}
    kept = {
        f"/{name}": group[[one for one in group.data_vars if one in few]] if name in FEW else group
        for name, group in groups.items()
    }
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=cube.attrs), **kept})


class Harmless(NamedTuple):
    """A cube, and the tags of cells and conclusion where all texts are letters."""

    whole: xr.DataTree
    cells: list[list[str]]
    conclusion: list[str]


def tags_of_cells(study):
    return [shown(cell.text)[1] for cell in cells(study, ".") if cell.kind == "markdown"]


@pytest.mark.parametrize("text", HOSTILE)
def test_cells_of_text_hold_no_more_than_text(finished_study, harmless, text):
    change = altered.swept("rate", [text, f"{text} 2"])
    study = altered.Altered(finished_study.folder, change, whole=harmless.whole, title=text, question=text)
    assert tags_of_cells(study) == harmless.cells


@pytest.mark.parametrize("text", HOSTILE)
def test_a_conclusion_holds_no_more_than_text(finished_study, harmless, text):
    study = altered.Altered(finished_study.folder, altered.swept("rate", [text, f"{text} 2"]), whole=harmless.whole)
    assert shown(conclusion(study.cube))[1] == harmless.conclusion


@pytest.mark.parametrize("name", ["analysis.ipynb", "analysis.py"])
def test_a_study_in_a_folder_of_any_name_is_written(finished_study, tmp_path, name):
    folder = tmp_path / "a`b $x$ \udcff\u2028é"
    study = altered.Altered(finished_study.folder)
    study.folder = folder
    folder.mkdir()
    text = write_notebook(study, tmp_path / name).read_text()
    assert r"\udcff\u2028é" in text.replace("\\\\", "\\")
    assert elastic.__version__
