"""The command line: parses arguments, calls the library, prints the result.

Commands import libraries inside their functions, so that ``elastic --help`` loads none.
"""

from __future__ import annotations

from elastic.cli import documentation, names, output, publishing, running, studies  # noqa: F401  (they enter their commands)
from elastic.cli.group import cli

__all__ = ["cli"]
