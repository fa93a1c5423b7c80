"""Cells of a notebook run in this process, as Jupyter runs them: a kernel takes seconds to start."""

from __future__ import annotations

import ast


def run_cells(texts, after=lambda number, space: None, file="notebook"):
    """Run code cells one after the other; return their names, and what each shows: the value of its last expression.

    ``after`` is called behind every cell with its number and the names.
    """
    space, shown = {"__name__": "__main__"}, []
    for number, text in enumerate(texts):
        tree = ast.parse(text)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, f"{file}, cell {number}", "exec"), space)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), f"{file}, cell {number}", "eval"), space))
        after(number, space)
    return space, shown
