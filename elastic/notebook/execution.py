"""Executing a notebook; only this module needs Jupyter."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nbformat import NotebookNode

from elastic.errors import RunFailed, StudyError

if TYPE_CHECKING:
    from nbclient import NotebookClient

#: Packages needed to execute a notebook.
NEEDED = ("nbclient", "ipykernel")


def executed(notebook: NotebookNode, folder: Path) -> NotebookNode:
    """Execute a notebook and return it with its outputs.

    Parameters
    ----------
    notebook
        The notebook; not modified.
    folder
        Working folder: the one the notebook is written to.

    Raises
    ------
    StudyError
        If Jupyter's packages or the folder are missing.
    RunFailed
        If a cell fails, or the kernel dies.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        hint = "pip install 'elastic-collapse[notebook]'"
        raise StudyError("`--execute`", f"find {' and '.join(NEEDED)}", f"no {' and no '.join(missing)}", hint)
    if not folder.is_dir():
        raise StudyError("`output`", "be in an existing folder", "none", "making it", place=str(folder))
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    shown = deepcopy(notebook)
    client = NotebookClient(
        shown,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=40"],  # only errors: warnings of the kernel do not concern the user
        resources={"metadata": {"path": str(folder)}},
    )
    hint = "the notebook without --execute, in Jupyter"
    try:
        _execute(client)
    except CellExecutionError as error:
        raise RunFailed("the notebook", "run to its end", f"{error.ename}: {error.evalue}", hint) from None
    except DeadKernelError as error:
        raise RunFailed("the notebook", "run to its end", str(error), hint) from None
    return shown


class _LoopWithoutSignals(asyncio.SelectorEventLoop):
    """An event loop that leaves the signals of the process to their handlers.

    nbclient would take SIGINT and SIGTERM to end its kernel, fail at what the kernel was asked, and leave both signals
    without any handler.
    """

    def add_signal_handler(self, *_: object) -> None:
        """Refuse, as outside the main thread, where nbclient does without."""
        raise RuntimeError("signals are handled by the process")


def _execute(client: NotebookClient) -> None:
    """Execute the client's notebook; a signal that ends this kills the kernel."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:  # called in a notebook, whose loop runs in this thread: nbclient executes in another one
        client.execute()
        return
    with asyncio.Runner(loop_factory=_LoopWithoutSignals) as runner:
        try:
            runner.run(client.async_execute())
        except KeyboardInterrupt:
            client.shutdown_kernel = "immediate"  # once the runner cancels what is left
            raise
