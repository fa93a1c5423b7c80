"""Building the site: sources into a temporary folder, Sphinx over them, pages into a folder."""

from __future__ import annotations

import gc
import importlib.util
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from elastic.errors import StudyError
from elastic.site.commands import Command
from elastic.site.configuration import SETTINGS
from elastic.site.sources import write_sources

#: Packages of the extra ``docs``.
NEEDED = ("sphinx", "myst_parser", "numpydoc", "furo", "sphinx_copybutton", "latex2mathml")

#: What is shown of Sphinx's warnings where the site cannot be built without them.
SHOWN = 100


def build_site(folder: Path, commands: Sequence[Command]) -> Path:
    """Build the documentation and return its first page.

    Parameters
    ----------
    folder
        Of the pages; files that it holds are replaced.
    commands
        Of the command line.

    Raises
    ------
    StudyError
        If Sphinx or one of its extensions is not installed, or if it warns: of a link that leads nowhere, a page that
        no other names, text that is no markup.
    """
    check_installed()
    from sphinx.application import Sphinx
    from sphinx.util.console import nocolor
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    nocolor()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="elastic-docs-") as temporary:
        sources, warned = Path(temporary) / "sources", Path(temporary) / "warnings.txt"
        write_sources(sources, commands)
        with (
            patch_docutils(), docutils_namespace(), outdated_names(), uncollected(),
            warned.open("w", encoding="utf-8") as log,
        ):  # fmt: skip
            app = Sphinx(
                sources, None, folder, Path(temporary) / "doctrees", "html",
                confoverrides=SETTINGS, status=None, warning=log, freshenv=True,
            )  # fmt: skip
            app.build(force_all=True)
        lines = [line.replace(f"{sources}/", "") for line in warned.read_text(encoding="utf-8").splitlines() if line]
    if lines:
        shown = "\n".join(lines[:SHOWN])
        raise StudyError("the documentation", "be built without a warning", f"{len(lines)}:\n{shown}", "mending them")
    return folder / "index.html"


@contextmanager
def outdated_names() -> Iterator[None]:
    """Let extensions use names that a later Sphinx will drop, which is for their authors to mend."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", kind)
        yield


@contextmanager
def uncollected() -> Iterator[None]:
    """Leave garbage until the end: the trees of all pages live so long, and going through them takes a fifth of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def check_installed() -> None:
    """Refuse to build where Sphinx, its theme or an extension is missing.

    Raises
    ------
    StudyError
        That names the extra to install.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        hint = "pip install 'elastic-collapse[docs]'"
        raise StudyError("`elastic docs`", f"find the package {missing[0]}", "none", hint)
