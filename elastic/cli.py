"""The command line: what a user types, handed on; no logic of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import click

import elastic


class Group(click.Group):
    """Lets elastic's own errors and signals through to `elastic.ending`, which words them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run without click's own handling of the end."""
        try:
            return super().main(*args, **{**kwargs, "standalone_mode": False})
        except click.exceptions.Abort as abort:  # which knows the signal
            cause = abort.__cause__
            raise (cause if isinstance(cause, KeyboardInterrupt) else KeyboardInterrupt()) from None
        except OSError as error:  # click writes a line on Ctrl-C, also to a terminal that has been closed
            raise error.__context__ if isinstance(error.__context__, KeyboardInterrupt) else error from None
        except click.ClickException as error:
            error.show()
            raise SystemExit(error.exit_code) from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(elastic.__version__, prog_name="elastic")
def cli() -> None:
    """Local elasticity and inner-layer neural collapse, measured layer by layer."""


@cli.command()
@click.argument("protocol")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the study's folder [results].")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a value of the protocol (YAML).")
@click.option("--allow", multiple=True, metavar="MODULE", help="Allow code of a module to be imported.")
@click.option("--device", help="Where to train: auto, cpu, cuda, cuda:N.")
@click.option(
    "--workers",
    metavar="N",
    help="Carry out N runs at a time, in processes [as many as the machine allows, if faster].",
)
@click.option("--scheduler", metavar="ADDRESS", help="Carry out runs on the workers of a dask scheduler, or: local.")
@click.option("--share", metavar="I/N", help="Be process I of N of a job array; wait for no other.")
@click.option("--restart", is_flag=True, help="Drop the runs that are there instead of resuming them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def run(
    protocol: str,
    out: Path | None,
    settings: tuple[str, ...],
    allow: tuple[str, ...],
    device: str | None,
    workers: str | None,
    scheduler: str | None,
    share: str | None,
    restart: bool,
    as_json: bool,
) -> None:
    """Train and probe all that a PROTOCOL asks, and check its claims; resumes a study that was stopped.

    PROTOCOL is the name of a protocol that ships (elastic list protocols), or the path of a YAML file.
    """
    from elastic.claims.telling import verdict_table
    from elastic.listing import studies
    from elastic.progress import watcher
    from elastic.summary import findings, next_steps

    study = elastic.run(
        file_of(protocol),
        out=out,
        settings=settings,
        allow=allow,
        device=device,
        workers="auto" if (workers, scheduler, share) == (None, None, None) else workers,
        scheduler=scheduler,
        share=share,
        restart=restart,
        watch=watcher(),
    )
    if share is not None:
        runs = study.runs()
        click.echo(studies.study_state(study, runs), err=as_json)
        if not all(run.ended for run in runs):
            show(studies.study_facts(study) if as_json else "The process that ends the last run seals it.", as_json)
            return
    if as_json:
        show({**studies.study_facts(study), "claims": elastic.check(study).to_json()["claims"]}, as_json)
        return
    show(findings(study), as_json)
    if study.claims:
        show(verdict_table(elastic.check(study)), as_json)
    click.echo(next_steps(study))


@cli.command()
@click.argument("protocol")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the study's folder [results].")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Override a value of the protocol (YAML).")
@click.option("--allow", multiple=True, metavar="MODULE", help="Allow code of a module to be imported.")
@click.option("--device", help="Where to train: auto, cpu, cuda, cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def plan(
    protocol: str,
    out: Path | None,
    settings: tuple[str, ...],
    allow: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> None:
    """Estimate time, memory and disk of a PROTOCOL from a few measured epochs; runs nothing of the study.

    PROTOCOL is the name of a protocol that ships (elastic list protocols), or the path of a YAML file.
    """
    found = elastic.plan(file_of(protocol), out=out, settings=settings, allow=allow, device=device)
    if as_json:
        show(found.to_json(), as_json)
    else:
        click.echo("\n".join(found.lines()))


@cli.command()
@click.argument("checkpoints", type=click.Path(path_type=Path))
@click.option("--build", "target", required=True, metavar="MODULE:FUNCTION", help="Returns the model and samples.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the study.")
@click.option("--allow", multiple=True, metavar="MODULE", help="Allow code of a module to be imported.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def record(checkpoints: Path, target: str, out: Path, allow: tuple[str, ...], as_json: bool) -> None:
    """Record a folder of CHECKPOINTS; the epoch is the last number in each file's name.

    MODULE:FUNCTION returns {"model": net, "train": (x, y), …}: the model, and arguments of elastic.Recorder. Exits with
    3 if a checkpoint could not be recorded; the others are.
    """
    from elastic.listing import studies
    from elastic.recording.checkpoints import record_folder
    from elastic.summary import next_steps

    study, problems = record_folder(checkpoints, out, target, allow)
    for problem in problems:
        click.echo(f"elastic: {problem}", err=True)
    if as_json:
        show({**studies.study_facts(study), "problems": problems}, as_json)
    else:
        show(studies.status_table(study), as_json)
        click.echo(next_steps(study))
    if problems:
        raise SystemExit(3)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def status(study: Path, as_json: bool) -> None:
    """Tell how far each run of a STUDY is."""
    from elastic.listing import studies

    found = elastic.open_study(study)
    show(studies.study_facts(found) if as_json else studies.status_table(found), as_json)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--metric", default="nc1", show_default=True, help="What is drawn by layer.")
@click.option(
    "--interval", default=2.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds between pictures."
)
@click.option("--once", is_flag=True, help="Draw one picture and end; also done where there is no terminal.")
def watch(study: Path, metric: str, interval: float, once: bool) -> None:
    """Draw training curves and nc1 by layer of a STUDY under way, until it is sealed or Ctrl-C; only reads.

    A study that has not begun is waited for.
    """
    from elastic.watching import watch as watched

    try:
        watched(study, metric=metric, interval=interval, once=once)
    except KeyboardInterrupt as stopped:
        click.echo("elastic: watching ended; the study goes on without it", err=True)
        raise SystemExit(128 + getattr(stopped, "signal", 2)) from None


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--repair", is_flag=True, help="Rebuild what can be rebuilt; damaged files move into STUDY/damaged.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def verify(study: Path, repair: bool, as_json: bool) -> None:
    """Read every file of a STUDY and name each that is flipped, cut short, missing, exchanged or foreign.

    Exits with 4 if one is damaged or missing, also after a repair. Nothing is written without --repair.
    """
    from elastic.progress import counting
    from elastic.study import study_folder
    from elastic.study.repair import repair as repaired
    from elastic.study.verification import verify as verified

    with counting() as tell:
        done = repaired(study_folder(study), tell) if repair else None
        found = done.left if done else verified(study_folder(study), tell)
    if as_json:
        show(done.to_json() if done else found.to_json(), as_json)
    else:
        click.echo("\n".join([*(done.lines() if done else found.lines()), found.summary()]))
    if found.damaged:
        raise SystemExit(4)


@cli.command(name="list")
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def list_(kind: str | None, as_json: bool) -> None:
    """List what a protocol can name, of one KIND or of all."""
    from elastic import listing

    if kind is not None:
        check_kind(kind, listing.KINDS)
    found = listing.names([kind] if kind else listing.KINDS)
    show(found if as_json else listing.names_table(found), as_json)


@cli.command(name="show")
@click.argument("name")
@click.option("--kind", metavar="KIND", help="Of this kind only (elastic list), where several have the NAME.")
def show_(name: str, kind: str | None) -> None:
    """Tell what a NAME is: a protocol or its file, a part of one, or anything that `elastic list` lists."""
    from elastic import listing
    from elastic.protocol.shipped import shipped_protocols

    if kind in (None, listing.PROTOCOLS) and name in shipped_protocols():
        file_of(name)  # says so where a file could be meant
    show(listing.description(name, kind), False)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--from", "start", metavar="PROTOCOL", default="quickstart", show_default=True, help="What to start from."
)
def new(file: Path, start: str) -> None:
    """Write a protocol into a new FILE, with every option of its parts in comments."""
    from elastic.listing.starts import write_start

    file_of(start)
    path = write_start(file, start)
    name = quote(str(path))
    click.echo(f"{path}\nnext:  elastic plan {name}   what it takes\n       elastic run {name}")


@cli.command()
def schema() -> None:
    """Print the JSON Schema of protocol files, for editors."""
    from elastic.protocol import json_schema

    show(json_schema(), True)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--figure", "figures", multiple=True, metavar="NAME", help="Draw this figure only (elastic list figures)."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="Set an option of the figure (YAML; elastic show NAME).",
)
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(["svg", "pdf", "png"]), help="Format of the files [all]."
)
@click.option("--width", type=float, metavar="INCHES", help="Width of the figures [3.4 for one panel, 7 for several].")
@click.option("--caption/--no-caption", default=True, help="Draw the caption below the figures.")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", help="Colours of the figures.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write into [STUDY/figures].")
def plot(
    study: Path,
    figures: tuple[str, ...],
    settings: tuple[str, ...],
    formats: tuple[str, ...],
    width: float | None,
    caption: bool,
    theme: str,
    output: Path | None,
) -> None:
    """Draw the figures of a STUDY into its folder as SVG, PDF and PNG.

    Example: elastic plot STUDY --figure training_course --set metric=nc2_etf_error --format pdf --width 3.3
    """
    from elastic.figures.drawing import FORMATS, draw

    look: dict[str, Any] = {"width": width, "caption": caption, "theme": theme}
    opened = elastic.open_study(study)
    for path in draw(opened, figures, settings=settings, formats=formats or FORMATS, folder=output, **look):
        click.echo(str(path))


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--claims", metavar="PROTOCOL", help="Check the claims of this protocol (a file or a name) instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def check(study: Path, claims: str | None, as_json: bool) -> None:
    """Check what a STUDY claims; exit 1 if a claim is refuted, 2 if there is a mistake in one."""
    from elastic.claims.telling import verdict_table

    found = elastic.check(study, claims=None if claims is None else file_of(claims))
    show(found.to_json() if as_json else verdict_table(found), as_json)
    if found.mistaken or found.refuted:
        raise SystemExit(2 if found.mistaken else 1)


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write [STUDY/report.html].")
def report(study: Path, output: Path | None) -> None:
    """Write a STUDY's report: one HTML page that needs no network."""
    from elastic.report import write_report

    click.echo(str(write_report(elastic.open_study(study), output)))


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write [STUDY/analysis.ipynb].")
@click.option("--execute", is_flag=True, help="Run it, so that it shows its figures.")
def notebook(study: Path, output: Path | None, execute: bool) -> None:
    """Write a notebook that reads a STUDY."""
    from elastic.notebook import write_notebook

    click.echo(str(write_notebook(elastic.open_study(study), output, execute=execute)))


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--csv", "formats", flag_value="csv", multiple=True, help="Tidy tables, one a group and set of dims.")
@click.option("--netcdf", "formats", flag_value="netcdf", multiple=True, help="The cube as one NetCDF-4 file.")
@click.option("--latex", "formats", flag_value="latex", multiple=True, help="Claims and headline table for a paper.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write into [STUDY/export].")
def export(study: Path, formats: tuple[str, ...], output: Path | None) -> None:
    """Write a STUDY's numbers for other programs; all formats by default."""
    from elastic.export import FORMATS
    from elastic.export import export as exported

    for path in exported(elastic.open_study(study), formats or FORMATS, output):
        click.echo(str(path))


def check_kind(kind: str, kinds: Sequence[str]) -> None:
    """Refuse a kind of names that there is not."""
    if kind not in kinds:
        from elastic.registry import nearest

        meant = nearest(kind, list(kinds), fallback="")
        told = f" Did you mean {meant}?" if meant else ""
        raise click.UsageError(
            f"{kind!r} is not one of {', '.join(map(repr, kinds))}.{told}", click.get_current_context()
        )


def file_of(protocol: str) -> Path:
    """Return the file of a protocol that is given by its name or its path; say so where another could be meant."""
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
