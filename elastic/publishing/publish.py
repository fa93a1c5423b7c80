"""`elastic publish`: a finished study as one archive."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elastic.errors import OptionError, StudyError
from elastic.publishing.anonymous_study import anonymize, check_nothing_left
from elastic.publishing.checklist import checklist
from elastic.publishing.citation_file import study_citation
from elastic.publishing.contents import (
    CHECKLIST,
    CITATION,
    CRATE,
    DATA,
    ENVIRONMENT,
    FIGURES,
    NOTEBOOK,
    README,
    REPORT,
    REQUIREMENTS,
    SUMS,
)
from elastic.publishing.crate import Publication, crate_of, require_rocrate, times_of
from elastic.publishing.data_sources import data_of
from elastic.publishing.environment import environment_of, requirements_of
from elastic.publishing.folder_writer import check_replaceable, write_folder
from elastic.publishing.identity_words import Anonymizer
from elastic.publishing.listing import archive_digest, encode_sums, files_below, sums_of
from elastic.publishing.notebook_outputs import settle_notebook
from elastic.publishing.readme import readme_of
from elastic.publishing.staging import check_publishable, stage
from elastic.publishing.zip_writer import write_zip
from elastic.study import Study, open_study

#: Authors of a study without given authors.
NO_AUTHORS, ANONYMOUS = ("The authors of the study",), ("Anonymous",)

ENDING = ".zip"


@dataclass(frozen=True)
class Published:
    """An archive that was written.

    Attributes
    ----------
    path
        Of the file.
    digest
        SHA-256 of the list of its files.
    files, size
        Number of files, and bytes of the ZIP file or of the files in the folder.
    """

    path: Path
    digest: str
    files: int
    size: int


@dataclass(frozen=True)
class Figures:
    """Which figures to draw, in which formats; all if none is named."""

    names: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


def publish(
    study: Study | Path | str,
    output: Path | str | None = None,
    *,
    authors: Sequence[str] = (),
    license: str = "",
    anonymous: bool = False,
    hide: Sequence[str] = (),
    figures: Sequence[str] = (),
    formats: Sequence[str] = (),
    execute: bool = True,
    cube: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Published:
    """Write a finished study as one archive, which anyone can open, verify and reproduce.

    The same study gives the same bytes on any day and in any folder.

    Parameters
    ----------
    study
        A sealed study, its folder or its name. Nothing of it is changed except the history of its claims.
    output
        File to write, which ends in ``.zip``, or a folder; by default ``<name>.zip`` in the working folder.
    authors
        Of the study, for its citation.
    license
        Of the study: an SPDX identifier or a URL.
    anonymous
        Leave out names, hosts, commits and paths, for double-blind review.
    hide
        Further words that an anonymous archive must not contain.
    figures
        Names of the figures to draw; by default all for which the study has data.
    formats
        Of the figures: "svg", "pdf", "png"; by default all.
    execute
        Execute the notebook (extra ``notebook``).
    cube
        Whether a folder contains the cube. A repository can store the rest of an archive if its cube is too large:
        the digest is that of the complete archive, and ``elastic verify --without-cube`` checks the other files.
    tell
        Receives the next step.

    Returns
    -------
    Published
        The archive.

    Raises
    ------
    StudyError
        If the study is not sealed, a package is missing, or the file cannot be written.
    Damaged
        If a file of the study is damaged.
    """
    require_rocrate()
    study = study if isinstance(study, Study) else open_study(study)
    target = Path(output) if output is not None else Path(f"{study.name}{ENDING}")
    _check_options(target, authors, license, anonymous, hide, cube)
    check_publishable(study)
    if target.suffix != ENDING:
        check_replaceable(target)
    publication = Publication(tuple(authors) or (ANONYMOUS if anonymous else NO_AUTHORS), license)
    with tempfile.TemporaryDirectory(prefix="elastic-publish-") as temporary:
        folder = Path(temporary) / "archive"
        tell("laying out the study")
        staged, cleaner = stage(study, folder), None
        for note in study.notes():
            tell(note)
        if anonymous:
            folder = Path(temporary) / "anonymous"
            staged, cleaner = anonymize(staged, folder, study.folder, hide)
            _tell_kept(cleaner, tell)
        _derive(staged, folder, Figures(tuple(figures), tuple(formats)), execute, tell)
        _describe_for_readers(staged, folder, publication, anonymous)
        sums = _describe(staged, folder, publication)
        if cleaner is not None:
            check_nothing_left(folder, cleaner)
        if target.suffix == ENDING:
            write_zip(folder, target)
        else:
            write_folder(folder, target, cube=cube)
    return _published(target, sums)


def _check_options(
    target: Path, authors: Sequence[str], license: str, anonymous: bool, hide: Sequence[str], cube: bool
) -> None:
    if target.suffix not in (ENDING, ""):
        raise OptionError(
            "`output`", f"end in {ENDING}, or name a folder", repr(target.name), f"-o {target.stem or 'study'}{ENDING}"
        )
    if anonymous and authors:
        raise OptionError("`author`", "be left out of an anonymous archive", repr(authors[0]), "--anonymous alone")
    if hide and not anonymous:
        raise OptionError("`hide`", "be given with --anonymous", repr(hide[0]), "--anonymous --hide WORD")
    for text in (*authors, license):
        if not text.isprintable():
            raise OptionError("`author`, `license`", "be printable text", repr(text), "--author NAME")
    if not cube and target.suffix == ENDING:
        raise OptionError("`without_cube`", "be given for a folder", repr(target.name), f"-o {target.stem}")


def _tell_kept(cleaner: Anonymizer, tell: Callable[[str], None]) -> None:
    for word in cleaner.kept:
        tell(f"{word!r} is a name of this machine or its user, and a word of elastic: it is left as it stands")


def _published(target: Path, sums: Mapping[str, str]) -> Published:
    """Return the facts of an archive that is written, of files with these sums."""
    written = [target] if target.is_file() else [target / name for name in files_below(target)]
    size, files = sum(path.stat().st_size for path in written), len(sums) + 1 if target.is_file() else len(written)
    return Published(target, archive_digest(encode_sums(sums)), files, size)


def _derive(staged: Study, folder: Path, figures: Figures, execute: bool, tell: Callable[[str], None]) -> None:
    """Write the files made from the cube: figures, report, notebook."""
    from elastic.figures.drawing import FORMATS, draw
    from elastic.notebook import write_notebook
    from elastic.report import write_report

    tell("drawing the figures")
    try:
        formats = figures.formats or FORMATS
        list(draw(staged, figures.names, tell=lambda _: None, formats=formats, folder=folder / FIGURES))
    except StudyError:
        if figures.names:
            raise
        tell("no figure: the study has nothing that a figure shows")
    tell("writing the report")
    write_report(staged, folder / REPORT)
    tell("executing the notebook" if execute else "writing the notebook")
    write_notebook(staged, folder / NOTEBOOK, execute=execute)
    settle_notebook(folder / NOTEBOOK)


def _describe_for_readers(staged: Study, folder: Path, publication: Publication, anonymous: bool) -> None:
    """Write environment, data, citation and README."""
    made, data = staged.facts["provenance"], data_of(staged)
    date = times_of(staged)[1][:10]
    version = str(made.get("elastic_version") or "")
    texts = {
        ENVIRONMENT: _json(environment_of(staged)),
        REQUIREMENTS: requirements_of(made),
        DATA: _json(data),
        CHECKLIST: checklist(staged),
        CITATION: study_citation(staged.facts["protocol"], publication.authors, date, version),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / README).write_text(readme_of(staged, data, folder, anonymous=anonymous), encoding="utf-8")


def _describe(staged: Study, folder: Path, publication: Publication) -> dict[str, str]:
    """Write the description of the archive and the list of sums, and return the list."""
    sums = sums_of(folder)
    (folder / CRATE).write_bytes(crate_of(staged, folder, sums, publication))
    sums = sums_of(folder)
    (folder / SUMS).write_bytes(encode_sums(sums))
    return sums


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
