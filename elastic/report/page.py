"""Rendering and writing the report: passes the context to every part and fills one template."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from altair.utils.schemapi import debug_mode

import elastic
from elastic.cube.atomic import make_folder, translate_os_errors, write_atomically
from elastic.display.recorded import settings_table
from elastic.display.verdicts import SIGNS
from elastic.protocol.references import references
from elastic.report import citation, claims_table, tables
from elastic.report.context import Context, read_context
from elastic.report.embedded_figures import embedded_figures
from elastic.report.history import SYMBOLS, history
from elastic.report.metric_explorer import metric_explorer
from elastic.report.overview import overview
from elastic.report.response_explorer import response_explorer
from elastic.report.vega import Explorer, script
from elastic.study import Study

#: The parts of the page by name in the template.
PARTS: Mapping[str, Callable[[Context], Any]] = {
    "overview": overview,
    "claims": claims_table.claims_table,
    "sentences": tables.sentences,
    "numbers": tables.numbers,
    "onsets": tables.onsets,
    "quantities": tables.quantities,
    "figures": embedded_figures,
    "history": history,
    "commands": citation.commands,
    "installation": citation.installation,
    "papers": citation.cited,
}

EXPLORERS: tuple[Callable[[Context], Explorer | None], ...] = (response_explorer, metric_explorer)


def write_report(study: Study, path: Path | str | None = None) -> Path:
    """Write the report of a study: one self-contained HTML file.

    Parameters
    ----------
    study
        The study; its runs may be unfinished.
    path
        Output file; ``report.html`` in the study's folder by default.

    Returns
    -------
    Path
        The written file.

    Raises
    ------
    StudyError
        If the file cannot be written, or a record of the study is damaged.
    """
    target = study.folder / "report.html" if path is None else Path(path)
    with translate_os_errors(target):
        make_folder(target.parent)  # before the page is drawn, which takes seconds
    write_atomically(target, page(study).encode())
    return target


def page(study: Study) -> str:
    """Return the report of a study as HTML; the same study always gives the same text.

    Raises
    ------
    ElasticError
        If the study cannot be read.
    """
    return render(read_context(study))


def render(context: Context) -> str:
    """Return the report of a context as HTML."""
    parts = {name: part(context) for name, part in PARTS.items()}
    with debug_mode(False):  # the charts are valid whatever the study holds: Altair need not validate each part
        explorers = [explorer for build in EXPLORERS if (explorer := build(context)) is not None]
    source = script() if explorers else ""
    return template().render(
        parts,
        study=context,
        explorers=explorers,
        script=source,
        script_digest=base64.b64encode(hashlib.sha256(source.encode()).digest()).decode(),
        settings=settings_table(context.protocol) if context.recorded else {},
        protocol_address=f"data:text/yaml;base64,{base64.b64encode(context.text.encode()).decode()}",
    )


@cache
def template() -> jinja2.Template:
    """Load the template of the page; values are escaped unless marked as safe."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("elastic.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "version": elastic.__version__,
        "style": resources.files("elastic.report").joinpath("templates", "report.css").read_text("utf-8"),
        "verdict_symbols": SIGNS,
        "state_symbols": SYMBOLS,
        "strip_length": claims_table.LENGTH,
        "references": references(),
        "software": citation.software(),
    }
    return environment.get_template("report.html.j2")
