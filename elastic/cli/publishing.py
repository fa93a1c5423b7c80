"""Commands that publish, reproduce and compare studies."""

from __future__ import annotations

from pathlib import Path

import click

import elastic
from elastic.cli.group import cli
from elastic.cli.printing import show


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write, or a folder [NAME.zip].")
@click.option("--author", "authors", multiple=True, metavar="NAME", help="Author of the study; may be repeated.")
@click.option("--license", default="", metavar="SPDX", help="Licence of the study, such as CC-BY-4.0.")
@click.option("--anonymous", is_flag=True, help="Leave out names, hosts, commits and paths (double-blind review).")
@click.option("--hide", multiple=True, metavar="WORD", help="Remove this word from an anonymous archive, too.")
@click.option("--figure", "figures", multiple=True, metavar="NAME", help="Draw only this figure [all].")
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(["svg", "pdf", "png"]), help="Format of the figures [all]."
)
@click.option("--execute/--no-execute", default=True, help="Execute the notebook.")
@click.option("--without-cube", is_flag=True, help="Write a folder without the cube, for a repository.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def publish(
    study: Path,
    output: Path | None,
    authors: tuple[str, ...],
    license: str,
    anonymous: bool,
    hide: tuple[str, ...],
    figures: tuple[str, ...],
    formats: tuple[str, ...],
    execute: bool,
    without_cube: bool,
    as_json: bool,
) -> None:
    """Publish a finished STUDY as one archive that anyone can open, verify and reproduce.

    The archive holds the cube, protocol, claims and verdicts, figures, report, an executed notebook, the environment,
    digests of the data, and the SHA-256 of every file. The same study gives the same bytes.

    Example: elastic publish results/quickstart --author NAME --license CC-BY-4.0
    """
    from elastic.publishing.publish import publish as published

    done = published(
        elastic.open_study(study),
        output,
        authors=authors,
        license=license,
        anonymous=anonymous,
        hide=hide,
        figures=figures,
        formats=formats,
        execute=execute,
        cube=not without_cube,
        tell=_tell,
    )
    if as_json:
        show({"path": str(done.path), "digest": done.digest, "files": done.files, "bytes": done.size}, as_json)
        return
    click.echo(f"{done.path}: {done.files} files, {done.size / 1e6:.1f} MB")
    click.echo(f"digest of the archive (SHA-256 of its list of files): {done.digest}")


@cli.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--runs", type=int, metavar="K", help="Run a sample of K runs, drawn by the archive's digest [all].")
@click.option("--workers", metavar="N", help="Train N runs in parallel processes.")
@click.option("--out", type=click.Path(path_type=Path), help="Parent folder of the new study [reproduced].")
@click.option("--data", type=click.Path(path_type=Path), help="Path of the data here, for data from a folder or file.")
@click.option("--allow", multiple=True, metavar="MODULE", help="Allow importing code from a module.")
@click.option("--within-tolerance", is_flag=True, help="Compare within tolerance, also in the same environment.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def reproduce(
    archive: Path,
    runs: int | None,
    workers: str | None,
    out: Path | None,
    data: Path | None,
    allow: tuple[str, ...],
    within_tolerance: bool,
    as_json: bool,
) -> None:
    """Reproduce an ARCHIVE: train its runs again and compare every variable and verdict.

    Exits with 1 if anything differs, and reports what and from which epoch. Verifies the digests of the data before
    training.

    Example: elastic reproduce quickstart.zip --runs 1
    """
    from elastic.progress import watcher
    from elastic.publishing.reproduction import FILE
    from elastic.publishing.reproduction import reproduce as reproduced
    from elastic.publishing.reproduction_table import reproduction_table

    reproduction = reproduced(
        archive,
        runs=runs,
        workers=workers,
        out=out,
        data=data,
        allow=allow,
        within_tolerance=within_tolerance,
        watch=watcher(),
        tell=_tell,
    )
    show(reproduction.to_json() if as_json else reproduction_table(reproduction), as_json)
    if not as_json:
        click.echo(str(reproduction.folder / FILE))
    if not reproduction.reproduced:
        raise SystemExit(1)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
def checklist(study: Path) -> None:
    """Answer reproducibility checklists from a STUDY, as Markdown on standard output.

    Covers the NeurIPS paper checklist and the machine learning reproducibility checklist. Marks questions that only the
    authors can answer.

    Example: elastic checklist results/quickstart > CHECKLIST.md
    """
    from elastic.publishing.checklist import checklist as answered

    click.echo(answered(elastic.open_study(study)), nl=False)


@cli.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--where", multiple=True, metavar="AXIS=LABEL", help="Compare at this label of an axis (YAML).")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="HTML page to write.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def compare(first: Path, second: Path, where: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Compare two studies or archives: the SECOND with the FIRST at the end of training, layer by layer.

    Protocols and depths may differ. An axis that only one of them has needs a --where.

    Example: elastic compare results/quickstart results/wide --output comparison.html
    """
    from elastic.protocol.text import read_setting
    from elastic.publishing.comparing import compare as compared
    from elastic.publishing.comparing import comparison_facts, comparison_table, write_comparison

    chosen = {".".join(map(str, path)): tree.data for path, tree in map(read_setting, where)}
    comparison = compared(first, second, where=chosen)
    show(comparison_facts(comparison) if as_json else comparison_table(comparison), as_json)
    if output is not None:
        click.echo(str(write_comparison(comparison, output)), err=as_json)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; verify every study and the README.")
def index(folder: Path, check: bool) -> None:
    """Write the README of a FOLDER of published studies: question, verdicts, effects, run time and digest of each.

    Add a study with: elastic publish STUDY -o FOLDER/published/NAME. With --check, exits with 4 if a file differs from
    what was published, or the README is out of date.

    Example: elastic index results --check
    """
    from elastic.publishing.results_index import check_index, write_index

    if not check:
        click.echo(str(write_index(folder)))
        return
    wrong = check_index(folder, _tell)
    click.echo("\n".join(wrong) if wrong else f"{folder}: every study is intact, and the README is up to date")
    if wrong:
        raise SystemExit(4)


def _tell(line: str) -> None:
    click.echo(f"elastic: {line}", err=True)
