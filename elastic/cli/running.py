"""Commands that run and plan studies and record checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

import elastic
from elastic.cli.group import cli
from elastic.cli.printing import file_of, show


def protocol_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the argument PROTOCOL and the options that define the study."""
    for part in reversed((
        click.argument("protocol"),
        click.option("--out", type=click.Path(path_type=Path), help="Parent folder of the study [results]."),
        click.option("--set", "settings", multiple=True, metavar="PATH=VALUE",
                     help="Override a value of the protocol (YAML)."),
        click.option("--allow", multiple=True, metavar="MODULE", help="Allow importing code from a module."),
        click.option("--device", metavar="DEVICE", help="Train on auto, cpu, cuda or cuda:N."),
    )):  # fmt: skip
        command = part(command)
    return command


@cli.command()
@protocol_options
@click.option(
    "--workers",
    metavar="N",
    help="Train N runs in parallel processes [as many as the machine allows, if faster].",
)
@click.option("--scheduler", metavar="ADDRESS", help="Train on the workers of a dask scheduler, or: local.")
@click.option("--share", metavar="I/N", help="Train share I of N, as one process of a job array.")
@click.option("--restart", is_flag=True, help="Delete existing runs instead of resuming them.")
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
    """Run PROTOCOL: train, probe, check claims. Resumes an interrupted study.

    PROTOCOL is a shipped protocol (elastic list protocols) or the path of a YAML file.
    The study is written to results/NAME, or to OUT/NAME with --out.

    Example: elastic run quickstart --set training.epochs=60 --workers 2
    """
    from elastic.claims.verdict_table import verdict_table
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
        click.echo(studies.study_state(study.name, runs, study.seal_state(runs)), err=as_json)
        if not all(run.ended for run in runs):
            show(
                studies.study_facts(study) if as_json else "The process that finishes the last run seals the cube.",
                as_json,
            )
            return
    if as_json:
        checked = elastic.check(study).to_json()
        show({**studies.study_facts(study), **{key: checked[key] for key in ("claims", "standing")}}, as_json)
        return
    show(findings(study), as_json)
    if study.claims:
        show(verdict_table(elastic.check(study)), as_json)
    click.echo(next_steps(study))


@cli.command()
@protocol_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def plan(
    protocol: str,
    out: Path | None,
    settings: tuple[str, ...],
    allow: tuple[str, ...],
    device: str | None,
    as_json: bool,
) -> None:
    """Estimate the time, memory and disk that PROTOCOL takes.

    Times a few epochs; writes nothing.
    PROTOCOL is a shipped protocol (elastic list protocols) or the path of a YAML file.

    Example: elastic plan quickstart --set model.widths=[512,512]
    """
    planned = elastic.plan(file_of(protocol), out=out, settings=settings, allow=allow, device=device)
    if as_json:
        show(planned.to_json(), as_json)
    else:
        click.echo("\n".join(planned.lines()))


@cli.command()
@click.argument("checkpoints", type=click.Path(path_type=Path))
@click.option("--build", "target", required=True, metavar="MODULE:FUNCTION", help="Returns the model and samples.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the study.")
@click.option("--allow", multiple=True, metavar="MODULE", help="Allow importing code from a module.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
def record(checkpoints: Path, target: str, out: Path, allow: tuple[str, ...], as_json: bool) -> None:
    """Record a folder of CHECKPOINTS as a study; the epoch is the last number in each file name.

    MODULE:FUNCTION returns {"model": net, "train": (x, y), …}: the model and arguments of elastic.Recorder. Exits with
    3 if a checkpoint cannot be recorded; the others are recorded.

    Example: elastic record checkpoints --build mine:build --out results/mine
    """
    from elastic.listing import studies
    from elastic.recording.checkpoint_folder import record_folder
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
