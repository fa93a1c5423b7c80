"""Notebooks that read a study: written for what its cube holds, and executed where that is asked for."""

from __future__ import annotations

from elastic.notebook.writing import write_notebook

__all__ = ["write_notebook"]
