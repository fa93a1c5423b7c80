"""`elastic compare`: two studies, or two archives, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from elastic.cube.atomic import write_atomically
from elastic.display.recorded import study_title
from elastic.protocol.canonical import explain_difference
from elastic.publishing.archive import no_archive, open_archive
from elastic.publishing.unpacking import unpacked
from elastic.report.comparison_page import AXIS, Compared, comparison_page, setting_words
from elastic.report.study_differences import check_axes, differences, selected
from elastic.study import Study, open_study
from elastic.study.combining import combine
from elastic.study.study_file import FACTS

#: Parts of a protocol that do not affect what is measured.
WORDS = ("name", "title", "question", "cites", "claims")


def compare(first: Path | str, second: Path | str, *, where: Mapping[str, Any] | None = None) -> Compared:
    """Combine two studies into one cube, and compare them at the end of training.

    Parameters
    ----------
    first, second
        Folders or names of studies, or archives. Of an archive only the cube is read; `elastic verify` checks it.
    where
        Labels {axis: label} for axes that only one of them has.

    Raises
    ------
    OptionError
        If one has an axis that the other lacks, and no label of it is selected.
    NotMeasured
        If they have no variable in common.
    StudyError
        If one is no study, or a ZIP file of something else.
    """
    with ExitStack() as opened:
        studies = [opened.enter_context(_opened(path)) for path in (first, second)]
        names = _names(studies)
        cubes = [selected(study.cube, where or {}) for study in studies]
        check_axes(cubes, names)
        combined = combine(cubes, dim=AXIS, labels=list(names))
        return Compared(
            names=names,
            facts=(_facts(studies[0]), _facts(studies[1])),
            cube=combined,
            changed=_changed(*studies),
            differences=differences(*cubes),
        )


@contextmanager
def _opened(path: Path | str) -> Iterator[Study]:
    """Yield the study in a folder, of a name, or in an archive, which is unpacked temporarily."""
    if not Path(path).is_file():
        yield open_study(path)
        return
    archive = open_archive(path)
    if FACTS not in archive.entries:
        raise no_archive(archive.path, f"one without {FACTS}")
    with unpacked(archive) as folder:
        yield Study(folder)


def _names(studies: list[Study]) -> tuple[str, str]:
    first, second = (study.name for study in studies)
    return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")


def _facts(study: Study) -> dict[str, str]:
    seeds = study.facts["axes"].get("seed", ())
    return {"title": study_title(study.facts["protocol"]), "seeds": str(len(seeds)), "digest": study.digest[:16]}


def _changed(first: Study, second: Study) -> list[str]:
    """Return where two protocols differ in training and measurement."""
    if first.recorded or second.recorded:
        return []
    lines = explain_difference(first.facts["protocol"], second.facts["protocol"])
    return [line for line in lines if line.partition(":")[0].partition(".")[0].partition("[")[0] not in WORDS]


def write_comparison(compared: Compared, path: Path) -> Path:
    """Write the comparison as one HTML page and return its path."""
    write_atomically(path, comparison_page(compared).encode())
    return path


def comparison_table(compared: Compared) -> RenderableType:
    """Return the differences as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    for column in ("variable", "where", *map(escape, compared.names), "difference", "seeds"):
        table.add_column(column)
    for one in compared.differences:
        estimate = Text(one.text(), style="bold" if one.excludes_none else "")
        table.add_row(one.variable, Text(setting_words(one)), *one.means(), estimate, str(one.seeds))
    heading = Text(f"{compared.names[1]} against {compared.names[0]}, at the last probed epoch of each", style="bold")
    note = Text("Welch's 95 % intervals over seeds; ×: ratio; no correction for the number of comparisons", style="dim")
    return Group(heading, note, Text(""), table)


def comparison_facts(compared: Compared) -> dict[str, Any]:
    """Return the differences as JSON types."""
    rows = []
    for one in compared.differences:
        row = {name: getattr(one, name) for name in one.__dataclass_fields__}
        rows.append({k: None if isinstance(v, float) and not isfinite(v) else v for k, v in row.items()})
    studies = [{"name": name, **facts} for name, facts in zip(compared.names, compared.facts, strict=True)]
    return {"studies": studies, "protocols_differ": list(compared.changed), "differences": rows}
