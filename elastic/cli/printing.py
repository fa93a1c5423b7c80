"""Printing results, and resolving the PROTOCOL argument."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


def file_of(protocol: str) -> Path:
    """Return the file of a protocol given by name or path; print a note if the name matches both."""
    from elastic.protocol.sources import find_protocol

    source = find_protocol(protocol)
    if source.note:
        click.echo(f"elastic: {source.note}", err=True)
    return source.path


def show(what: Any, as_json: bool) -> None:
    """Print JSON as it is, anything else as rich renders it."""
    if as_json:
        click.echo(json.dumps(what, indent=1, sort_keys=True))
        return
    from rich.console import Console

    Console().print(what)
