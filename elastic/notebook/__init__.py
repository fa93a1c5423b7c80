"""Writing and executing notebooks that analyse a study."""

from __future__ import annotations

from elastic.notebook.writing import write_notebook

__all__ = ["write_notebook"]
