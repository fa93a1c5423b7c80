"""The folder that Sphinx reads: the pages of ``elastic/docs``, what they show from elsewhere, and generated pages."""

from __future__ import annotations

import re
import shutil
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import elastic
from elastic.errors import StudyError
from elastic.protocol.shipped import shipped_folder
from elastic.site import commands, gallery, interface, metrics, papers, parts, protocol_file

#: Where a wheel puts the pages, below the data folder of the environment: beside the import path, not in it.
INSTALLED = "share/elastic/docs"

#: The page on clusters, which stands beside the scripts that it is about, in the folder of the protocols that ship.
CLUSTER = "cluster/README.md"

#: A link or a picture of Markdown that leads out of the folder of pages.
_OUTSIDE = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((\.\./[^)#]+)(#[^)]*)?\)")


def pages_folder() -> Path:
    """Return the folder of the written pages.

    Raises
    ------
    StudyError
        If this installation has none.
    """
    for folder in _folders():
        if (folder / "index.md").is_file():
            return folder
    beside = Path(elastic.__file__).parent / "docs"
    raise StudyError("the pages of the documentation", "be installed", f"none in {beside}", "installing elastic again")


def _folders() -> Iterator[Path]:
    """Yield where the pages may be: in a repository, after `pip install --target`, in an environment, elsewhere."""
    package = Path(elastic.__file__).parent
    yield package / "docs"
    yield package.parent / INSTALLED
    yield Path(sysconfig.get_path("data")) / INSTALLED
    with suppress(metadata.PackageNotFoundError):  # on the import path only
        for file in metadata.files("elastic-collapse") or ():  # `pip install --user`, `--prefix`
            if file.as_posix().endswith(f"{INSTALLED}/index.md"):
                yield Path(str(file.locate())).parent


def generated(sources: Path, known_commands: Sequence[commands.Command]) -> Iterator[tuple[str, str]]:
    """Yield names and texts of the pages that are made from what the code knows.

    Parameters
    ----------
    sources
        Folder of the written pages.
    known_commands
        Of the command line.
    """
    for kind in (metrics, parts, protocol_file, papers, interface):
        yield from kind.pages()
    yield from gallery.pages(sources)
    yield from commands.pages(known_commands)


def write_sources(target: Path, known_commands: Sequence[commands.Command]) -> None:
    """Write all that Sphinx reads into a folder, which need not exist."""
    folder = pages_folder()
    shutil.copytree(folder, target)
    for page in sorted(folder.glob("*.md")):
        (target / page.name).write_text(_within(page, target), encoding="utf-8")
    cluster = shipped_folder() / CLUSTER
    (target / "cluster.md").write_text(_within(cluster, target), encoding="utf-8")
    for name, text in generated(folder, known_commands):
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text(text, encoding="utf-8")


def _within(page: Path, target: Path) -> str:
    """Return the text of a page with links that stay in the folder: what they lead to is copied beside the pages."""

    def replaced(match: re.Match[str]) -> str:
        mark, text, path, anchor = match.groups()
        file = (page.parent / path).resolve()
        if not file.is_file():  # pages of a wheel, which does not hold the results of the repository
            return text if not mark else ""
        if file.match(CLUSTER):
            return f"[{text}](cluster.md{anchor or ''})"
        if file.suffix == ".md":  # whose own links lead to files that are not copied
            return text
        copied = target / "repository" / path.replace("../", "")
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)
        return f"{mark}[{text}]({copied.relative_to(target).as_posix()})"

    return _OUTSIDE.sub(replaced, page.read_text(encoding="utf-8"))
