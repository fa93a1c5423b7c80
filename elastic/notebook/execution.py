"""Executing a notebook: the one place that needs Jupyter."""

from __future__ import annotations

from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

from nbformat import NotebookNode

from elastic.errors import RunFailed, StudyError

#: What executing needs beside elastic itself.
NEEDED = ("nbclient", "ipykernel")


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Return a notebook with its outputs.

    Parameters
    ----------
    notebook
        Not changed.
    folder
        Where it runs: the folder that it is written to.

    Raises
    ------
    StudyError
        If Jupyter's packages are missing, or there is no such folder.
    RunFailed
        If a cell fails, or the kernel dies.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        hint = "pip install 'elastic-collapse[notebook]'"
        raise StudyError("`--execute`", f"find {' and '.join(NEEDED)}", f"no {' and no '.join(missing)}", hint)
    if not folder.is_dir():
        raise StudyError("`output`", "be in a folder that is there", "none", "making it", place=str(folder))
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    shown = deepcopy(notebook)
    client = NotebookClient(
        shown,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],  # only errors: a kernel for one notebook has no one to tell
        resources={"metadata": {"path": str(folder)}},
    )
    hint = "the notebook without --execute, in Jupyter"
    try:
        client.execute()
    except CellExecutionError as error:
        raise RunFailed("the notebook", "run to its end", f"{error.ename}: {error.evalue}", hint) from None
    except DeadKernelError as error:
        raise RunFailed("the notebook", "run to its end", str(error), hint) from None
    return shown
