"""A study that a training loop of the user's own recorded is read like any other, in all that reads studies."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import xarray as xr
from rich.console import Console
from support import altered
from support.recorded import LAYERS, SETTINGS, Recorded, recorded

import elastic
from elastic.analysis.reading import select
from elastic.display.headline import headline
from elastic.errors import NotMeasured
from elastic.export import export
from elastic.export.latex import claims_table, headline_table
from elastic.listing.studies import status_table, study_facts
from elastic.notebook.cells import cells
from elastic.notebook.contents import holdings
from elastic.study import Study
from elastic.summary import findings, next_steps

CLAIMS = [{"name": "below", "variable": "nc1", "layer": "fc", "threshold": 100.0}]


def only(split):
    return lambda group: group.sel(split=[split]) if "split" in group.dims else group


def without_accuracy(group):
    return group.drop_vars("accuracy", errors="ignore")


KINDS = {
    "whole": {},
    "train only": {"change": only("train")},
    "no split called train": {
        "change": lambda group: (
            only("test")(group).assign_coords(split=["held out"]) if "split" in group.dims else group
        )
    },
    "no elasticity": {"change": altered.without("locality")},
    "no collapse": {"change": altered.without("nc1")},
    "not probed": {"change": altered.without("nc1", "locality")},
    "no accuracy": {"change": without_accuracy},
    "one seed": {"change": lambda group: group.isel(seed=[0])},
    "an axis": {"change": altered.swept("rate of learning", [0.1, 0.01])},
    "half way": {"change": altered.until(0.3)},
    "claims": {"claims": CLAIMS},
    "no settings": {"settings": {}},
}


#: Variables that figures, notebooks, tables and claims read by name.
READ = {
    "accuracy", "loss", "lr", "status", "class_cosine", "class_mean_spectrum", "fuzziness", "nc1", "nc2_equiangle",
    "nc2_equinorm", "nc2_etf_error", "nc3_duality", "nc4_mismatch", "ncc_accuracy", "within_between_ratio",
    "locality", "locality_lower", "locality_upper", "relative_similarity", "response",
}  # fmt: skip

#: Figures of a kind that are those of "whole", whose part of the cube is the same: they are drawn there.
AS_WHOLE = {
    "claims": "study.plot",
    "no settings": "study.plot",
    "no elasticity": "study.plot.neural_collapse",
    "no collapse": "study.plot.response_matrices",
    "no accuracy": "study.plot.response_matrices",
    "train only": "study.plot.response_matrices",
}

#: Kinds whose cubes differ in what netCDF tells apart: dims, types of labels, and missing numbers.
NETCDF = ("whole", "no split called train", "an axis", "half way")

#: Kinds whose cubes are sealed and opened; those of the others are in memory.
SEALED = ("whole", "an axis")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def one_of_each_shape(group, names=("grad_norm",)):
    """Return a group with one variable of each set of dims and type, and some that are named."""
    shapes = {(values.dims, values.dtype): name for name, values in reversed(list(group.data_vars.items()))}
    return group[[name for name in group.data_vars if name in shapes.values() or name in names]]


def with_groups(cube, change):
    """Return a cube with each of its groups changed."""
    groups = {name: change(node.to_dataset()) for name, node in cube.children.items()}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=cube.attrs), **groups})


@pytest.fixture(scope="module")
def cube(finished_study):
    """Return the cube of the small study with what is read by name, and one variable of each other shape."""
    return with_groups(finished_study.cube.load(), lambda group: one_of_each_shape(group, READ))


@pytest.fixture(scope="module")
def written(cube, tmp_path_factory):
    """Return the study of a kind, written once for all tests, which copy it."""
    made = {}

    def study(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp("recorded") / "my run"
            made[kind] = recorded(cube, folder, sealed=kind in SEALED, **KINDS[kind])
        return made[kind]

    return study


def copied(study, folder):
    shutil.copytree(study.folder, folder / "my run")
    return Recorded(folder / "my run", study.tree)


@pytest.fixture
def study(kind, written, tmp_path):
    return copied(written(kind), tmp_path)


@pytest.fixture
def whole(written, tmp_path):
    return copied(written("whole"), tmp_path)


@pytest.mark.parametrize("kind", SEALED)
def test_a_cube_in_memory_is_the_one_that_is_sealed(written, kind, cube, tmp_path):
    held = recorded(cube, tmp_path / "my run", sealed=False, **KINDS[kind])
    assert written(kind).cube.identical(held.cube)


def printed(what):
    console = Console(width=200)
    with console.capture() as capture:
        console.print(what)
    return capture.get()


def test_a_recorded_study_knows_that_it_is_one(whole, finished_study):
    assert whole.recorded
    assert not finished_study.recorded
    assert study_facts(whole)["recorded"]
    assert json.dumps(study_facts(whole))


def test_every_kind_is_summed_up(study):
    text = printed(findings(study))
    assert "accuracy" in text
    assert "2.5" in text
    assert "2.0" not in text.split("accuracy")[1].split(":")[0]
    assert "elastic plot '" in next_steps(study)


def test_every_kind_has_a_status(study):
    text = printed(status_table(study))
    assert "2.5" in text
    assert "None" not in text


@pytest.mark.parametrize("name", ["[bold]a", "model[head]"])
def test_a_layer_is_named_as_it_is_spelled(whole, name):
    cube = whole.cube
    cube["collapse"] = cube["collapse"].to_dataset().assign_coords(layer=[name, *list(LAYERS.values())[1:]])
    cube["elasticity"] = cube["elasticity"].to_dataset()
    assert name in printed(findings(Recorded(whole.folder, cube)))


def test_every_kind_is_exported(study, kind):
    """An export tells no variables of one shape apart, and netCDF no kinds but some."""
    study = Recorded(study.folder, with_groups(study.cube, one_of_each_shape))
    files = {path.name for path in export(study, ("csv", "netcdf") if kind in NETCDF else ("csv",))}
    assert {"codebook.csv", "training.csv"} <= files
    assert ("cube.nc" in files) is (kind in NETCDF)
    assert "grad_norm" in (study.folder / "export" / "codebook.csv").read_text()
    assert "0.3333333333333333" in (study.folder / "export" / "training.csv").read_text()


def test_an_export_reads_the_cube_once(whole):
    reads = []

    class Counted(Recorded):
        @property
        def cube(self):
            reads.append(1)
            return super().cube

    list(export(Counted(whole.folder)))
    assert reads == [1]


def test_latex_tells_epochs_name_and_claims(cube, tmp_path):
    study = recorded(cube, tmp_path / "a", claims=CLAIMS, sealed=False)
    text = headline_table(study, study.cube)
    assert "epoch 0 & epoch 2.5" in text
    assert text.startswith("% mine\n")
    assert r"LayerNorm \& \$x\$" in text
    assert "nc1 is below 100 in layer fc" in claims_table(study, study.cube)
    assert claims_table(recorded(cube, tmp_path / "b", sealed=False), study.cube) == ""


def test_claims_of_a_recorded_study_are_checked(cube, tmp_path):
    study = recorded(cube, tmp_path / "a", claims=CLAIMS, sealed=False)
    (verdict,) = elastic.check(study).verdicts
    assert verdict.name == "below"
    assert verdict.findings[0].seeds == 2
    assert (study.folder / "claims.json").exists()
    assert elastic.check(recorded(cube, tmp_path / "b", sealed=False)).verdicts == ()


def test_every_kind_shows_itself_in_a_notebook(study, kind):
    text = study._repr_html_()
    assert "<strong>mine</strong>" in text
    assert "recorded from a training loop" in text
    assert ("cross_entropy" in text) is (kind != "no settings")
    assert "epoch 2.0" not in text
    assert "should" not in text  # no error is shown in place of a part


def test_the_title_is_that_of_the_study_where_it_has_one(cube, tmp_path):
    study = recorded(cube, tmp_path, title="Mine & <yours>", sealed=False)
    assert "<strong>Mine &amp; &lt;yours&gt;</strong>" in study._repr_html_()
    assert next(iter(cells(study, "."))).text.startswith("# Mine &amp; &lt;yours&gt;\n")


def test_the_cells_of_every_kind_run(study, kind, monkeypatch):
    monkeypatch.setattr(elastic, "open_study", lambda place: study)
    space: dict = {}
    for cell in cells(study, "."):
        if cell.kind == "code" and AS_WHOLE.get(kind, "no such") not in cell.text:
            exec(cell.text, space)
    assert "Recorded from a training loop" in " ".join(next(iter(cells(study, "."))).text.split())
    assert "# mine\n" in next(iter(cells(study, "."))).text


def test_a_notebook_looks_at_the_last_epoch_that_a_study_under_way_has_reached(cube, tmp_path):
    third = holdings(recorded(cube, tmp_path / "a", change=altered.until(0.3), sealed=False))
    assert (third.epoch, third.trained) == (0.25, 0.25)
    first = holdings(recorded(cube, tmp_path / "b", change=altered.until(1), sealed=False))
    assert repr(first.trained) == "1"
    assert holdings(recorded(cube, tmp_path / "c", sealed=False)).epoch == -1


def test_epochs_are_chosen_as_they_are_shown(whole):
    nc1 = whole.cube["collapse"]["nc1"]
    assert select(nc1, "epoch", 0.3333).identical(nc1.sel(epoch=1 / 3))
    assert select(nc1, "epoch", 1 / 3).identical(nc1.sel(epoch=1 / 3))
    assert select(nc1, "epoch", 0).identical(nc1.sel(epoch=0.0))
    assert select(nc1, "epoch", -2).identical(nc1.isel(epoch=-2))
    for epoch, hint in ((0.3, "0.3333"), (2, "2.5"), (-0.5, "one of 0, 0.25, 0.3333"), (-9, "one of 0, 0.25, 0.3333")):
        with pytest.raises(NotMeasured, match=rf"should be one that the cube has for nc1; .*; try {re.escape(hint)}"):
            select(nc1, "epoch", epoch)


def test_the_headline_has_the_epochs_as_they_were_recorded(whole):
    assert set(headline(whole.cube)["epoch"]) == {0.0, 2.5}


def test_a_folder_is_opened_and_reported_by_the_command_line(whole, tmp_path, monkeypatch, capsys):
    from elastic.cli import cli

    monkeypatch.chdir(tmp_path)
    for command in (["status"], ["check"], ["report"], ["notebook"], ["export"], ["plot", "--figure", "onset_map"]):
        cli.main([command[0], "my run", *command[1:]])
    out = capsys.readouterr().out
    assert "report.html" in out
    assert Path("my run/report.html").exists()
    assert Study("my run").facts["protocol"]["settings"] == SETTINGS
