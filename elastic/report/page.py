"""The page: what every part of a report tells, put into one template, and the file written."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr

import elastic
from elastic.analysis.reading import spelled
from elastic.cube import write_atomically
from elastic.display.verdicts import SIGNS
from elastic.report import citation, claims_table
from elastic.report.embedded_figures import illustrations
from elastic.report.history import SYMBOLS, History, history
from elastic.report.metric_explorer import course_explorer
from elastic.report.response_explorer import response_explorer
from elastic.report.tables import numbers, onsets, quantities, sentences
from elastic.report.vega import script
from elastic.study import Study


def write_report(study: Study, path: Path | str | None = None) -> Path:
    """Write a study's report: one HTML file that needs no network and no other file.

    Parameters
    ----------
    study
        Finished or not.
    path
        File to write; ``report.html`` in the study's folder by default.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StudyError
        If the file cannot be written, or a record of the study is damaged.
    """
    target = study.folder / "report.html" if path is None else Path(path)
    write_atomically(target, page(study).encode())
    return target


def page(study: Study) -> str:
    """Return a study's report as HTML; the same study gives the same text.

    Raises
    ------
    ElasticError
        If the study cannot be read.
    """
    cube = study.cube
    claims, happened = claims_table.judgements(study), history(study)
    explorers = [found for found in (response_explorer(cube), course_explorer(cube)) if found is not None]
    source = script() if explorers else ""
    told: dict[str, Any] = {
        "asked": study.facts["protocol"],
        "study": study,
        "claims": claims,
        "sentences": sentences(cube),
        "numbers": list(numbers(cube)),
        "onsets": list(onsets(cube)),
        "figures": illustrations(cube),
        "explorers": explorers,
        "quantities": quantities(cube),
        "history": happened,
        "glance": glance(study, happened),
        "papers": citation.cited(papers(study, cube, claims)),
        "script": source,
        "script_digest": base64.b64encode(hashlib.sha256(source.encode()).digest()).decode(),
        "protocol_address": f"data:text/yaml;base64,{base64.b64encode(study.facts['text'].encode()).decode()}",
    }
    return template().render(told)


@cache
def template() -> jinja2.Template:
    """Return the page's template; whatever is put into it is escaped unless it says otherwise."""
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
        "references": citation.references(),
        "software": citation.software(),
        "commands": citation.commands,
        "installation": citation.installation,
    }
    return environment.get_template("report.html.j2")


def glance(study: Study, happened: History) -> dict[str, str]:
    """Return the study in a few words: what was trained, for how long, over which axes."""
    asked = study.facts["protocol"]
    told = {part: named(asked.get(part)) for part in ("data", "model", "loss", "optimizer")}
    training = asked.get("training") or {}
    axes = {axis: ", ".join(map(spelled, labels)) for axis, labels in study.facts["axes"].items() if axis != "seed"}
    return {
        "Data": told["data"],
        "Model": told["model"],
        "Training": f"{told['loss']}, {told['optimizer']}, {training.get('epochs', '–')} epochs",
        **axes,
        "Seeds": str(len(study.facts["axes"]["seed"])),
        "Runs": ", ".join(f"{count} {state}" for state, count in happened.states.items()),
    }


def named(component: Any) -> str:
    """Return a component's name, and the widths of a model that has some.

    >>> named({"name": "mlp", "widths": [64, 32]}), named("digits")
    ('mlp 64-32', 'digits')
    """
    if not isinstance(component, Mapping):
        return str(component)
    widths = component.get("widths")
    sizes = "-".join(map(str, widths)) if isinstance(widths, list) else ""
    return f"{component.get('name', '–')} {sizes}".strip()


def papers(study: Study, cube: xr.DataTree, claims: claims_table.Judgements) -> set[str]:
    """Return the cite keys of what the page shows: the study's own, those of its claims and of its quantities."""
    keys = set(study.facts["protocol"].get("cites") or ()) | {claim.source for claim in claims.claims}
    variables = (values for group in cube.children.values() for values in group.dataset.values())
    return keys | {str(values.attrs["source"]) for values in variables if "source" in values.attrs}
