"""Words that tell who published a study, and how they are taken out of texts."""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.errors import OptionError
from elastic.study.provenance import git_identity

#: What stands in place of a word, of a path and of an address of mail.
INSTEAD, PATH_INSTEAD, MAIL_INSTEAD = "anonymous", "path-removed", "address-removed"

#: Names of users and hosts that tell nobody.
GENERIC = frozenset({
    "root", "user", "admin", "administrator", "ubuntu", "debian", "jovyan", "runner", "docker", "nobody", "guest",
    "localhost", "localdomain", "home", "work", "workspace", "data", "local", "anonymous",
})  # fmt: skip

#: Letters that a word found on the machine must have; shorter ones stand in too many others.
SHORTEST = 3

_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_PATH = re.compile(r"(?<![\w.:/<~-])(?:~[\w.-]*|/(?!/)[\w.+@~-]+)(?:/[\w.+@~-]+)+/?")
_DRIVE = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]:\\(?:[^\\\s\"']+\\)*[^\\\s\"']*")


@dataclass(frozen=True)
class Anonymizer:
    """Takes words, paths and addresses of mail out of texts.

    Attributes
    ----------
    words
        To take out, in lower case; longer ones first.

    Examples
    --------
    >>> Anonymizer(("emmy noether", "emmy")).text("by Emmy Noether <e@goe.de> in /home/emmy/nets, nn/mlp")
    'by anonymous <address-removed> in path-removed, nn/mlp'
    """

    words: tuple[str, ...]

    def text(self, text: str) -> str:
        """Return a text without them."""
        for pattern, instead in ((_MAIL, MAIL_INSTEAD), (_DRIVE, PATH_INSTEAD), (_PATH, PATH_INSTEAD)):
            text = pattern.sub(instead, text)
        for word in self.words:
            text = _pattern(word).sub(INSTEAD, text)
        return text

    def value(self, value: Any) -> Any:
        """Return plain data with every text in it, keys among them, without them."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(one) for one in value]
        return value

    def found_in(self, data: bytes) -> list[str]:
        """Return the words that stand in the bytes of a file."""
        text = data.decode("utf-8", "replace")
        wide = data.decode("utf-32-le", "replace") if len(data) % 4 == 0 and b"\0\0\0" in data else ""
        return [word for word in self.words if _pattern(word).search(text) or (wide and _pattern(word).search(wide))]


def _pattern(word: str) -> re.Pattern[str]:
    """Return what finds a word where it is not part of a longer one."""
    return re.compile(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", re.IGNORECASE)


def anonymizer(folder: Path, commits: Iterable[str], vocabulary: Iterable[str], hide: Sequence[str]) -> Anonymizer:
    """Return what takes out the words that tell who publishes a study on this machine.

    Parameters
    ----------
    folder
        Of the study.
    commits
        Of the code.
    vocabulary
        Words that the study needs: a user called Adam keeps the optimizer of this name.
    hide
        Further words.

    Raises
    ------
    OptionError
        If a word to hide is one that the study needs, or is empty.
    """
    needed = {word.lower() for word in vocabulary}
    for word in hide:
        if not word.strip() or word.strip().lower() in needed:
            found = f"{word!r}, a name that the protocol or the cube uses" if word.strip() else "an empty one"
            raise OptionError("`hide`", "be a word that the study does not need", found, "another name in the protocol")
    kept = {
        word.strip().lower()
        for word in _of_machine(folder)
        if len(word.strip()) >= SHORTEST and word.strip().lower() not in GENERIC | needed
    }
    kept |= {commit.rstrip("+").lower() for commit in commits if commit}
    kept |= {word.strip().lower() for word in hide}
    return Anonymizer(tuple(sorted(kept, key=lambda word: (-len(word), word))))


def _of_machine(folder: Path) -> list[str]:
    """Return the names of the user and the host, as far as the system tells."""
    found = [os.environ.get(key, "") for key in ("USER", "LOGNAME", "USERNAME", "SLURM_JOB_USER", "JUPYTERHUB_USER")]
    with suppress(OSError, KeyError):  # no entry for this user
        found.append(getpass.getuser())
    host = socket.gethostname()
    found += [host, host.partition(".")[0], Path.home().name, *git_identity(folder if folder.is_dir() else Path.cwd())]
    with suppress(ImportError, KeyError):  # not on Windows
        import pwd

        found.append(pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0])
    return found
