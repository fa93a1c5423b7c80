"""The site of this installation: built once, and again when what it is made of has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import elastic
from elastic.protocol.shipped import shipped_folder
from elastic.site.building import build_site
from elastic.site.commands import Command
from elastic.site.sources import pages_folder

#: File beside the pages with the digest of what they were made from.
STAMP = "made-from.txt"


def built_site(commands: Callable[[], Sequence[Command]]) -> Path:
    """Return the first page of the site in the user's cache, which is built where it is missing or out of date.

    Parameters
    ----------
    commands
        Gives the facts of the command line.

    Raises
    ------
    ElasticError
        As `build_site`.
    """
    folder = cache_folder()
    stamp, first, made_from = folder / STAMP, folder / "index.html", digest_of_sources()
    if not (first.is_file() and stamp.is_file() and stamp.read_text("utf-8") == made_from):
        stamp.unlink(missing_ok=True)  # pages of a build that is killed must not pass as those of the one before
        build_site(folder, commands())
        stamp.write_text(made_from, encoding="utf-8")
    return first


def cache_folder() -> Path:
    """Return the folder of the built pages: ``$XDG_CACHE_HOME/elastic/docs/<version>``, by default below ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "elastic" / "docs" / elastic.__version__


def digest_of_sources() -> str:
    """Return a digest of the names, sizes and times of all files that the pages are made from."""
    digest = hashlib.sha256()
    for file in _sources():
        known = file.stat()
        digest.update(f"{file}\0{known.st_size}\0{known.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    package = Path(elastic.__file__).parent
    yield from sorted(package.rglob("*.py"))
    yield package / "references.bib"
    yield from sorted(file for file in pages_folder().rglob("*") if file.is_file())
    yield from sorted(shipped_folder().glob("*.yaml"))
