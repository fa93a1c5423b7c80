"""The command line: what a user types, handed on; no logic of its own.

Libraries are imported inside the commands that need them: ``elastic --help`` loads none.
"""

from __future__ import annotations

from elastic.cli import documentation, names, output, publishing, running, studies  # noqa: F401  (they enter their commands)
from elastic.cli.group import cli

__all__ = ["cli"]
