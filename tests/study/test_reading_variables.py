"""Reading a study by names, as a notebook does: variables, figures, their help, and what plain xarray tells."""

from __future__ import annotations

import inspect
import pydoc
import re
import shutil

import pytest
import xarray as xr
from matplotlib.figure import Figure

import elastic
from elastic.cube import open_sealed
from elastic.errors import NotMeasured
from elastic.registry import registry


def test_a_variable_or_a_group_is_read_by_its_name(finished_study):
    cube = finished_study.cube
    for name in ("nc1", "collapse/nc1"):
        xr.testing.assert_identical(finished_study[name], cube["collapse"]["nc1"])
        assert name in finished_study
    xr.testing.assert_identical(finished_study["training/status"], cube["training"]["status"])
    xr.testing.assert_identical(finished_study["training"], cube["training"].to_dataset())
    assert finished_study["kernel_change"].dims[:2] == ("seed", "epoch")  # computed, not stored


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("NC1", "`NC1` should be a variable of the cube; found 'NC1'; try"),
        ("fuzzines", "try 'fuzziness'"),
        ("training/los", "try 'loss'"),
        (0, "the key should be the name of a variable or a group; found 0; try one of collapse, elasticity, training"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_the_nearest(finished_study, name, text):
    assert name not in finished_study
    with pytest.raises(NotMeasured, match=re.escape(text)):
        finished_study[name]


def test_names_are_completed(finished_study):
    proposed = finished_study._ipython_key_completions_()
    assert {"nc1", "loss", "locality", "kernel_change", "collapse"} <= set(proposed)
    assert list(finished_study) == proposed == sorted(set(proposed))
    assert all(name in finished_study for name in proposed[::12])  # each opens the cube
    assert {"plot", "cube", "report"} <= set(dir(finished_study))
    assert set(registry("figures").names()) <= set(dir(finished_study.plot))


@pytest.mark.parametrize("name", registry("figures").names())
def test_help_on_a_figure_tells_what_it_takes(finished_study, name):
    method, registered = getattr(finished_study.plot, name), registry("figures").get(name)
    _, *options = inspect.signature(registered.function).parameters
    assert list(inspect.signature(method).parameters) == options
    text = pydoc.plain(pydoc.render_doc(method))
    assert f"{name}(" in text
    assert registered.summary in text
    entries = re.findall(r"^ {4}(\w+)$", text, re.MULTILINE)
    assert "cube" not in entries
    assert set(options) - {"width", "caption", "ax", "theme"} <= set(entries)
    assert registered.summary in repr(finished_study.plot)


def test_figures_are_drawn_of_a_study_and_of_any_cube(finished_study):
    assert isinstance(finished_study.plot.depth_profile(epochs=[6]), Figure)
    assert isinstance(finished_study.cube.elastic.plot.depth_profile(epochs=[6]), Figure)


def test_the_root_of_a_cube_says_how_to_open_it(finished_study, tmp_path):
    root = xr.open_dataset(finished_study.folder / "cube.zarr", engine="zarr")
    assert next(iter(root.attrs)) == "how_to_open"
    assert "how_to_open:         use xarray.open_datatree" in repr(root)
    with xr.open_datatree(finished_study.folder / "cube.zarr", engine="zarr") as tree:
        assert "nc1" in tree["collapse"]
    cube = finished_study.cube
    root = xr.DataTree.from_dict({"/": cube.to_dataset(), "/training": cube["training"].to_dataset()})
    root.to_netcdf(tmp_path / "cube.nc")
    with xr.open_dataset(tmp_path / "cube.nc") as root:
        assert "how_to_open" in repr(root)


def test_a_cube_that_was_sealed_without_it_says_so_once_it_is_open(finished_study, tmp_path, monkeypatch):
    shutil.copytree(finished_study.folder, tmp_path / "old")
    study = elastic.open_study(tmp_path / "old")
    (study.folder / "manifest.sha256").unlink()
    monkeypatch.setattr("elastic.study.cube_attributes.HOW_TO_OPEN", {})
    study.seal()
    monkeypatch.undo()
    assert "how_to_open" not in open_sealed(study.folder).attrs
    assert next(iter(study.cube.attrs)) == "how_to_open"
    assert not study.verify().damaged


def test_a_report_is_written_by_the_study(finished_study, tmp_path):
    assert finished_study.report(tmp_path / "page.html") == tmp_path / "page.html"
    assert "A small study" in (tmp_path / "page.html").read_text()
