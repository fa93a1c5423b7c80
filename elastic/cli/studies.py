"""Commands that show, watch, verify and check a study."""

from __future__ import annotations

from pathlib import Path

import click

import elastic
from elastic.cli.group import cli
from elastic.cli.printing import file_of, show


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def status(study: Path, as_json: bool) -> None:
    """Show the progress of each run of a STUDY.

    Example: elastic status results/quickstart
    """
    from elastic.listing import studies

    opened = elastic.open_study(study)
    if as_json:
        show(studies.study_facts(opened), as_json)
        return
    runs = opened.runs()
    show(studies.status_table(opened, runs), as_json)
    if line := studies.how_to_resume(opened, runs):
        click.echo(line)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--metric", default="nc1", metavar="NAME", help="Variable to draw by layer [nc1].")
@click.option(
    "--interval",
    default=2.0,
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    help="Time between updates, 0.1 or more [2].",
)
@click.option("--once", is_flag=True, help="Draw once and exit; the default without a terminal.")
def watch(study: Path, metric: str, interval: float, once: bool) -> None:
    """Watch a running STUDY: draw its training curves and nc1 by layer until it is sealed.

    Only reads; Ctrl-C stops watching, not the study. Waits for a study that has not started.

    Example: elastic watch results/quickstart --metric locality
    """
    from elastic.watching import watch as watched

    try:
        watched(study, metric=metric, interval=interval, once=once)
    except KeyboardInterrupt as stopped:
        click.echo("elastic: stopped watching; the study continues", err=True)
        raise SystemExit(128 + getattr(stopped, "signal", 2)) from None


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Rebuild damaged files if possible; keeps them in STUDY/damaged.")
@click.option("--without-cube", is_flag=True, help="Accept the folder of an archive written without its cube.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def verify(study: Path, repair: bool, without_cube: bool, as_json: bool) -> None:
    """Verify a STUDY: compare every file with its checksum and report damaged, missing, swapped or unknown ones.

    STUDY may be an archive from elastic publish, or the folder it was unpacked to. Exits with 4 if a file is damaged or
    missing (for an archive: or added), even if --repair restores it. Writes nothing without --repair.

    Example: elastic verify results/quickstart --repair
    """
    if _is_archive(study):
        _verify_archive(study, repair, without_cube, as_json)
        return
    if without_cube:
        raise click.UsageError("--without-cube applies to the folder of an archive.", click.get_current_context())
    from elastic.progress import counting
    from elastic.study import study_folder
    from elastic.study.repair import repair as repaired
    from elastic.study.verification import verify as verified

    with counting() as tell:
        done = repaired(study_folder(study), tell) if repair else None
        result = done.left if done else verified(study_folder(study), tell)
    if as_json:
        show(done.to_json() if done else result.to_json(), as_json)
    else:
        click.echo("\n".join([*(done.lines() if done else result.lines()), result.summary()]))
    if result.damaged:
        raise SystemExit(4)


def _is_archive(path: Path) -> bool:
    """Return whether a path is a file, or a folder with a list of sums."""
    from elastic.publishing.contents import SUMS

    return path.is_file() or path.suffix.lower() == ".zip" or (path / SUMS).exists()


def _verify_archive(path: Path, repair: bool, without_cube: bool, as_json: bool) -> None:
    from elastic.publishing.verification import verify_archive

    if repair:
        raise click.UsageError("--repair does not work on archives: get another copy.", click.get_current_context())
    result = verify_archive(path, without_cube=without_cube)
    if as_json:
        show(result.to_json(), as_json)
    else:
        click.echo("\n".join([*result.lines(), result.summary()]))
    if result.damaged:
        raise SystemExit(4)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--claims", metavar="PROTOCOL", help="Check the claims of another protocol (name or path).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def check(study: Path, claims: str | None, as_json: bool) -> None:
    """Check the claims of a STUDY; exits with 1 if a claim is refuted, with 2 if one is invalid.

    Example: elastic check results/quickstart --claims other.yaml
    """
    from elastic.claims.verdict_table import verdict_table

    checked = elastic.check(study, claims=None if claims is None else file_of(claims))
    show(checked.to_json() if as_json else verdict_table(checked), as_json)
    if checked.mistaken:
        raise SystemExit(2)
    if checked.refuted:
        raise SystemExit(1)
