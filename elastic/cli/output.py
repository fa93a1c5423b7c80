"""Commands that write figures, reports, notebooks and exports of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import elastic
from elastic.cli.group import cli


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option(
    "--figure", "figures", multiple=True, metavar="NAME", help="Draw only this figure (elastic list figures)."
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

    Example: elastic plot results/quickstart --figure training_course --set metric=nc2_etf_error --width 3.3
    """
    from elastic.figures.drawing import FORMATS, draw

    look: dict[str, Any] = {"width": width, "caption": caption, "theme": theme}
    opened = elastic.open_study(study)
    for path in draw(opened, figures, settings=settings, formats=formats or FORMATS, folder=output, **look):
        click.echo(str(path))


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write [STUDY/report.html].")
def report(study: Path, output: Path | None) -> None:
    """Write a STUDY's report: one HTML page that needs no network.

    Example: elastic report results/quickstart
    """
    from elastic.report import write_report

    click.echo(str(write_report(elastic.open_study(study), output)))


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write [STUDY/analysis.ipynb].")
@click.option("--execute", is_flag=True, help="Execute the notebook.")
def notebook(study: Path, output: Path | None, execute: bool) -> None:
    """Write a notebook that reads a STUDY.

    Example: elastic notebook results/quickstart --execute
    """
    from elastic.notebook import write_notebook

    click.echo(str(write_notebook(elastic.open_study(study), output, execute=execute)))


@cli.command()
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--csv", "formats", flag_value="csv", multiple=True, help="Tidy tables, one per group and set of dims.")
@click.option("--netcdf", "formats", flag_value="netcdf", multiple=True, help="The cube as one NetCDF-4 file.")
@click.option("--latex", "formats", flag_value="latex", multiple=True, help="Claims and headline table for a paper.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write into [STUDY/export].")
def export(study: Path, formats: tuple[str, ...], output: Path | None) -> None:
    """Export a STUDY to CSV, NetCDF and LaTeX; all formats by default.

    Example: elastic export results/quickstart --csv --output tables
    """
    from elastic.export import FORMATS
    from elastic.export import export as exported

    for path in exported(elastic.open_study(study), formats or FORMATS, output):
        click.echo(str(path))
