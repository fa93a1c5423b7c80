"""The click group of all commands and how it exits."""

from __future__ import annotations

import inspect
from typing import Any

import click

import elastic

#: Longest first sentence of a command.
SUMMARY = 200

#: Commands by what they are for, in the order in which a study needs them.
SECTIONS = {
    "Write a protocol": ("list", "show", "new", "schema", "plan"),
    "Run a study": ("run", "record", "status", "watch", "verify"),
    "Read a study": ("check", "plot", "report", "notebook", "export", "compare"),
    "Publish a study": ("publish", "reproduce", "checklist", "index"),
    "Read more": ("docs",),
}


class Command(click.Command):
    """Writes its example as one line, which can be pasted; click would fold it."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the text, then the example."""
        text, _, example = inspect.cleandoc(self.help or "").partition("Example:")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text.strip())
            if example:
                formatter.write_paragraph()
                formatter.write(f"{'':{formatter.current_indent}}Example: {' '.join(example.split())}\n")


class Group(click.Group):
    """Passes elastic's errors and signals on to `elastic.ending`, which prints them."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first sentence of every command, whole, by section."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(SUMMARY)) for name in names])

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
