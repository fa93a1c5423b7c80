"""The command that builds and opens the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from elastic.cli.group import cli

if TYPE_CHECKING:
    from elastic.site.commands import Command


@cli.command()
@click.option("--build", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Build into DIR; open nothing.")
def docs(folder: Path | None) -> None:
    """Open the documentation in a browser, after building it if needed.

    The pages need no network. Building them takes half a minute and needs Sphinx: pip install 'elastic-collapse[docs]'.

    Example: elastic docs --build site
    """
    from elastic.site import build_site, built_site

    first = build_site(folder, known_commands()) if folder else built_site(known_commands)
    click.echo(str(first))
    if folder is None:
        click.launch(first.as_uri())


def known_commands() -> list[Command]:
    """Return the help of every command."""
    from elastic.site.commands import Command

    commands = []
    for name, command in cli.commands.items():
        context = click.Context(command, parent=click.Context(cli, info_name="elastic"), info_name=name)
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        records = [one.get_help_record(context) for one in command.params if one.name != "help"]
        commands.append(Command(name, usage, command.help or "", [one for one in records if one and one[1]]))
    return commands
