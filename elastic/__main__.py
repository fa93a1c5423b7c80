"""Run ``elastic`` as a program: errors in one sentence, exit codes that scripts can read."""

from __future__ import annotations

import os
import sys

from elastic.cli import cli
from elastic.errors import ElasticError

#: Exit code after Ctrl-C, as shells count it.
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        cli(prog_name="elastic")
    except ElasticError as error:
        print(f"elastic: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("elastic: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `elastic list | head`: whoever read has what they wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
