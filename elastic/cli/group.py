"""The program and how it ends: the group that all commands belong to."""

from __future__ import annotations

from typing import Any

import click

import elastic


class Group(click.Group):
    """Lets elastic's own errors and signals through to `elastic.ending`, which words them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run without click's own handling of the end."""
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
    """Local elasticity and inner-layer neural collapse, measured layer by layer."""
