"""Writing a study's figures to files."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from elastic.cube.atomic import write_atomically
from elastic.errors import ElasticError, NotMeasured, OptionError, StudyError
from elastic.figures.order import in_order
from elastic.figures.style import styled
from elastic.protocol.text import read_setting
from elastic.registry import Entry, nearest, registry
from elastic.study import Study

FORMATS = ("svg", "pdf", "png")

#: Resolution of PNG files, and of rasterised cells in SVG and PDF files, in dots per inch.
DOTS = 200


def on_stderr(line: str) -> None:
    """Write a line to standard error, separate from the names of files."""
    print(line, file=sys.stderr)


def draw(
    study: Study,
    names: Sequence[str] = (),
    tell: Callable[[str], None] = on_stderr,
    *,
    settings: Sequence[str] = (),
    formats: Sequence[str] = FORMATS,
    folder: Path | None = None,
    **look: Any,
) -> Iterator[Path]:
    """Draw figures of a study and yield the written files: ``figures/<name>.svg``, ``.pdf`` and ``.png``.

    Parameters
    ----------
    study
        The study to draw.
    names
        Registered figures; by default all for which the cube has values.
    tell
        Called with lines about omitted figures.
    settings
        Options of the named figures, as ``option=value`` with the value in YAML.
    formats
        Names from `FORMATS`.
    folder
        Output folder; ``figures`` in the study's folder by default.
    look
        ``width``, ``caption`` and ``theme`` of all figures.

    Raises
    ------
    UnknownName
        If a figure is not registered.
    OptionError
        If a figure lacks an option, or a value has the wrong type.
    NotMeasured
        If the cube lacks the variables of a requested figure.
    StudyError
        If the cube lacks the variables of all figures.
    """
    entries = [registry("figures").get(name) for name in dict.fromkeys(names)] or list(in_order())
    options = options_of(entries if names else [], settings)
    unknown = [ending for ending in formats if ending not in FORMATS]
    if unknown:
        hint = nearest(unknown[0], list(FORMATS), fallback=", ".join(FORMATS))
        raise OptionError("`format`", f"be one of {', '.join(FORMATS)}", repr(unknown[0]), hint)
    cube, into = study.cube, folder or study.folder / "figures"
    drawn, left_out = 0, []
    for entry in entries:
        try:
            figure = entry.function(cube, **options, **look)
        except NotMeasured as error:
            if names:
                raise error.at(f"figure {entry.name}") from None
            left_out.append(f"  {entry.name} {why_left_out(error)}")
            continue
        for ending in dict.fromkeys(formats):
            path = into / f"{entry.name}.{ending}"
            written = io.BytesIO()  # a full disk leaves no part of a file
            with styled():  # figures of other packages may not be a PaperFigure
                figure.savefig(written, format=ending, dpi=DOTS)
            write_atomically(path, written.getvalue())
            yield path
        drawn += 1
    if left_out and drawn:
        tell("\n".join(["Not drawn, because the study lacks what they show:", *left_out]))
    if not drawn:
        hint = "elastic status, or a protocol with probes"
        raise StudyError("the study", "hold something that a figure shows", "no probed epoch", hint)


def why_left_out(error: ElasticError) -> str:
    """Describe why a figure is omitted.

    >>> hint = "elastic status"
    >>> why_left_out(NotMeasured("`class_cosine`", "be a variable of the cube", "'class_cosine'", hint))
    'shows `class_cosine`, which this study does not record'
    >>> why_left_out(NotMeasured("`nc1`", "have a finite value", "none", hint))
    'shows `nc1`, which has no value yet'
    >>> why_left_out(NotMeasured("`axis`", "be an axis of the study other than the seed", "seeds only", hint))
    'shows an axis of the study other than the seed; this study has seeds only'
    """
    if "variable" in error.expected:
        return f"shows {error.field}, which this study does not record"
    if "finite" in error.expected:
        return f"shows {error.field}, which has no value yet"
    return f"shows {error.expected.removeprefix('be ').removeprefix('have ')}; this study has {error.found}"


def options_of(entries: Sequence[Entry], settings: Sequence[str]) -> dict[str, Any]:
    """Parse options of figures and validate them for each figure.

    Parameters
    ----------
    entries
        The figures.
    settings
        ``option=value``, or ``where.<axis>=label`` for an entry of a mapping; the value is YAML.

    Raises
    ------
    OptionError
        If no figure is named, a figure lacks the option, or the value has the wrong type.
    ProtocolError
        If a setting does not have this form.

    Examples
    --------
    >>> profile = registry("figures").get("depth_profile")
    >>> options_of([profile], ["metric=nc2_etf_error", "where.lr=0.1", "epochs=[0, 8]"])
    {'metric': 'nc2_etf_error', 'where': {'lr': 0.1}, 'epochs': [0, 8]}
    """
    if settings and not entries:
        raise OptionError(
            "`--set`", "be given with --figure", "no figure", f"--figure depth_profile --set {settings[0]}"
        )
    options: dict[str, Any] = {}
    for number, setting in enumerate(settings, 1):
        path, tree = read_setting(setting, number)
        *outer, name = map(str, path)
        inner = options
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise OptionError(
                    f"`{part}`", "be given once", "twice", f"--set {part}=VALUE", place=f"--set {setting}"
                )
        inner[name] = tree.data
    for entry in entries:
        try:
            entry.complete(options)
        except ElasticError as error:
            raise error.at(f"figure {entry.name}") from None
    return options
