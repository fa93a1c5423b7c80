"""Execute analysis.py as a notebook: `python results/own_loop/execute.py FOLDER`, where its studies and itself go."""

import sys
from pathlib import Path

import jupytext
from nbformat import NotebookNode, v4

from elastic.notebook.execution import executed
from elastic.notebook.writing import KERNEL
from elastic.publishing.notebook_outputs import settle_notebook


def notebook() -> NotebookNode:
    """Return the notebook of the source beside this file, not executed."""
    source = jupytext.read(Path(__file__).with_name("analysis.py"), fmt="py:percent")
    for number, cell in enumerate(source.cells):
        cell.id = f"cell-{number}"
    return v4.new_notebook(cells=source.cells, metadata={"kernelspec": KERNEL})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    path = folder / "analysis.ipynb"
    path.write_text(jupytext.writes(executed(notebook(), folder), fmt="ipynb"), encoding="utf-8")
    settle_notebook(path)
