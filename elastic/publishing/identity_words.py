"""Words that identify the author of a study, and their removal from texts."""

from __future__ import annotations

import getpass
import html
import importlib.metadata
import json
import os
import re
import socket
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from elastic.errors import OptionError
from elastic.study.provenance import git_identity

#: Replacements of a word, of a path and of an email address.
INSTEAD, PATH_INSTEAD, MAIL_INSTEAD = "anonymous", "path-removed", "address-removed"

#: Names of users and hosts that identify nobody.
GENERIC = frozenset({
    "root", "user", "admin", "administrator", "ubuntu", "debian", "jovyan", "runner", "docker", "nobody", "guest",
    "localhost", "localdomain", "home", "work", "workspace", "data", "local", "anonymous",
})  # fmt: skip

#: Fewest characters of a word found on the machine; shorter ones are part of too many others.
SHORTEST = 3

#: Email addresses, with what follows in a git remote (git@host:user/code); user pages on code hosts; ORCID
#: identifiers; IP addresses.
_ADDRESSES = (
    re.compile(r"[\w.%+-]+@[\w-]+(?:\.[\w-]+)+(?::[\w.~/-]+)?"),
    re.compile(r"(?:https?://)?(?:[\w-]+\.)*(?:github|gitlab|bitbucket|codeberg|huggingface|wandb)\.\w+/[\w.~/-]+"),
    re.compile(r"(?<![\w-])\d{4}-\d{4}-\d{4}-\d{3}[\dX](?![\w-])"),
    re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)"),
)

#: Paths: absolute ones, home folders, file URLs, Windows drives and shares. Paths of distributions are the same on
#: every machine: a protocol finds Fashion-MNIST there by default.
_PATHS = (
    re.compile(r"file://[^\s\"'<>]+"),
    re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:\\(?:[^\\\s\"']+\\)*[^\\\s\"']*"),
    re.compile(r"\\\\[\w.$-]+\\[^\s\"']+"),
    re.compile(r"(?<![\w.:/<~-])(?!/usr/share/)(?:~[\w.-]*|/(?!/)[\w.+@~-]+)(?:/[\w.+@~-]+)+/?"),
)

#: Files of the package that contain texts.
_TEXTS = (".py", ".j2", ".css", ".js", ".html", ".bib")


@dataclass(frozen=True)
class Anonymizer:
    """Removes words, paths and email addresses from texts.

    Attributes
    ----------
    words
        Words to remove, in lower case; longer ones first.
    kept
        Names found on the machine that are also words of the study or of elastic's own texts.

    Examples
    --------
    >>> Anonymizer(("emmy noether", "emmy")).text("by Emmy Noether <e@goe.de> in /home/emmy/nets, nn/mlp")
    'by anonymous <address-removed> in path-removed, nn/mlp'
    """

    words: tuple[str, ...]
    kept: tuple[str, ...] = ()

    def text(self, text: str) -> str:
        """Return a text with them removed."""
        for patterns, instead in ((_ADDRESSES, MAIL_INSTEAD), (_PATHS, PATH_INSTEAD)):
            for pattern in patterns:
                text = pattern.sub(instead, text)
        for word in self.words:
            text = _pattern(word).sub(INSTEAD, text)
        return text

    def value(self, value: Any) -> Any:
        """Return plain data with them removed from all texts, including keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        return value

    def found_in(self, data: bytes) -> list[str]:
        """Return the words that occur in the bytes of a file, also as JSON and HTML encode them."""
        texts = [data.decode("utf-8", "replace")]
        if len(data) % 4 == 0 and b"\0\0\0" in data:
            texts.append(data.decode("utf-32-le", "replace"))
        return [word for word in self.words if any(_pattern(word, True).search(text) for text in texts)]


@cache
def _pattern(word: str, encoded: bool = False) -> re.Pattern[str]:
    """Return a pattern that finds a word outside longer ones, whatever its composition and spacing of characters."""
    forms = {unicodedata.normalize(form, word) for form in ("NFC", "NFD")}
    if encoded:
        forms |= {json.dumps(form)[1:-1] for form in forms} | {html.escape(form) for form in forms}
    spaced = (r"\s+".join(map(re.escape, form.split())) for form in sorted(forms))
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(spaced)})(?![^\W_])", re.IGNORECASE)


@cache
def own_words() -> frozenset[str]:
    """Return the words of elastic's own texts, in lower case: reports, notebooks and formulas contain them.

    A user called Max cannot be hidden: `max` occurs in formulas, and identifies nobody.

    >>> {"max", "page", "papyan"} <= own_words(), "emmy" in own_words()
    (True, False)
    """
    folder = Path(__file__).parents[1]
    files = (path for path in folder.rglob("*") if path.suffix in _TEXTS and path != Path(__file__))  # has examples
    return frozenset(word for path in files for word in re.findall(r"[^\W_]+", path.read_text("utf-8").lower()))


def anonymizer(folder: Path, commits: Iterable[str], vocabulary: Iterable[str], hide: Sequence[str]) -> Anonymizer:
    """Return an object that removes the words that identify the author of a study on this machine.

    Parameters
    ----------
    folder
        Of the study.
    commits
        Commits of the code.
    vocabulary
        Words that the study uses: a user called Adam keeps the optimizer of this name.
    hide
        Further words.

    Raises
    ------
    OptionError
        If a word to hide is used by the study, or is empty.
    """
    needed = {word.lower() for word in vocabulary}
    for word in hide:
        if not word.strip() or word.strip().lower() in needed:
            found = f"{word!r}, a name that the protocol or the cube uses" if word.strip() else "an empty one"
            raise OptionError("`hide`", "be a word that the study does not need", found, "another name in the protocol")
    found_here = {
        word.strip().lower()
        for name in _of_machine(folder)
        for word in (name, *_parts(name))
        if len(word.strip()) >= SHORTEST and word.strip().lower() not in GENERIC
    }
    kept = found_here & (needed | own_words() | _packages())
    words = found_here - kept
    words |= {commit.rstrip("+").lower() for commit in commits if commit}
    hidden = {word.strip().lower() for word in hide}
    return Anonymizer(tuple(sorted(words | hidden, key=lambda word: (-len(word), word))), tuple(sorted(kept - hidden)))


def _parts(name: str) -> list[str]:
    """Return the parts of a person's name: texts contain the surname alone, or before a comma.

    >>> _parts("Emmy Amalie Noether"), _parts("enoether7"), _parts("emmy@uni.example")
    (['Emmy', 'Amalie', 'Noether'], [], [])
    """
    parts = re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", name)
    return parts if len(parts) > 1 and "@" not in name and " " in name.strip() else []


@cache
def _packages() -> frozenset[str]:
    """Return the words in names of installed packages, which the list of requirements contains."""
    names = (installed.name for installed in importlib.metadata.distributions())
    return frozenset(word for name in names for word in re.findall(r"[^\W_]+", name.lower()))


def _of_machine(folder: Path) -> list[str]:
    """Return the names of the user and the host, as reported by the system."""
    words = [os.environ.get(key, "") for key in ("USER", "LOGNAME", "USERNAME", "SLURM_JOB_USER", "JUPYTERHUB_USER")]
    with suppress(OSError, KeyError):  # no entry for this user
        words.append(getpass.getuser())
    host = socket.gethostname()
    words += [host, host.partition(".")[0], Path.home().name, *git_identity(folder if folder.is_dir() else Path.cwd())]
    with suppress(ImportError, KeyError):  # not on Windows
        import pwd

        words.append(pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0])
    return words
