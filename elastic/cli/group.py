"""The click group of all commands and how it exits."""

from __future__ import annotations

from typing import Any

import click

import elastic


class Group(click.Group):
    """Passes elastic's errors and signals on to `elastic.ending`, which prints them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run without click's handling of exceptions and exit codes."""
        try:
            return super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.Abort as abort:  # which knows the signal
            cause = abort.__cause__
            raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from None
        except OSError as error:  # click writes a line on Ctrl-C, also to a terminal that has been closed
            raise error.__context__ if isinstance(error.__context__, KeyboardInterrupt) else error from None
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(elastic.__version__, prog_name="elastic")
def cli() -> None:
    """Measure local elasticity and neural collapse layer by layer."""
