"""Commands that list and describe registered names and protocols, and write a template protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

import click

from elastic.cli.group import cli
from elastic.cli.printing import file_of, show


@cli.command(name="list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def list_(kind: str | None, as_json: bool) -> None:
    """List the names of one KIND, or of all kinds.

    Kinds: data, models, losses, optimizers, schedules, probe_schedules, metrics, probes, claims, figures, sections (of
    a protocol), protocols (shipped ones, and those in the folder protocols).

    Example: elastic list metrics
    """
    from elastic import listing

    if kind is not None:
        check_kind(kind, listing.KINDS)
    names = listing.names([kind] if kind else listing.KINDS)
    show(names if as_json else listing.names_table(names), as_json)


@cli.command(name="show")
@click.argument("name")
@click.option("--kind", metavar="KIND", help="Show only the NAME of this kind (elastic list).")
def show_(name: str, kind: str | None) -> None:
    """Show what a NAME is and which options it takes.

    NAME is any name from `elastic list`, including protocols, or the path of a protocol file.

    Example: elastic show nc1
    """
    from elastic import listing
    from elastic.protocol.shipped import shipped_protocols

    if kind in (None, listing.PROTOCOLS) and name in shipped_protocols():
        file_of(name)  # says so where a file could be meant
    show(listing.description(name, kind), False)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "start", metavar="PROTOCOL", default="quickstart", help="Protocol to copy [quickstart].")
def new(file: Path, start: str) -> None:
    """Write a new protocol FILE from a template.

    The file lists every option; those that the template does not set are comments with their defaults.

    Example: elastic new mine.yaml --from losses
    """
    from elastic.listing.starts import write_start

    file_of(start)
    path = write_start(file, start)
    name = quote(str(path))
    click.echo(f"{path}\nnext:  elastic plan {name}   what it takes\n       elastic run {name}")


@cli.command()
def schema() -> None:
    """Print the JSON Schema of protocol files, for editors.

    Example: elastic schema > protocol.schema.json
    """
    from elastic.protocol import json_schema

    show(json_schema(), True)


def check_kind(kind: str, kinds: Sequence[str]) -> None:
    """Raise an error for an unknown kind of names."""
    if kind not in kinds:
        from elastic.registry import nearest

        meant = nearest(kind, list(kinds), fallback="")
        suggestion = f" Did you mean {meant}?" if meant else ""
        raise click.UsageError(
            f"{kind!r} is not one of {', '.join(map(repr, kinds))}.{suggestion}", click.get_current_context()
        )
