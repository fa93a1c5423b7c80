"""Run ``elastic`` as a program: errors in one sentence, exit codes that scripts can read."""

from __future__ import annotations

import os
import sys

from elastic.errors import ElasticError

#: Exit code after Ctrl-C, as shells count it.
INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with its code."""
    # OpenMP's threads wait for each other by spinning for milliseconds unless told otherwise before torch is loaded.
    # On cores that are shared with another busy process a small network then trains more than ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    try:
        from elastic.cli import cli  # here, because Ctrl-C may come while it is loaded

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
