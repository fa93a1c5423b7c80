"""What a study does not hold is left out and told; what is drawn lies in its folder, and nothing stays open."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest
from matplotlib import pyplot

from elastic.errors import NotMeasured, StudyError, UnknownName
from elastic.figures.drawing import draw
from elastic.registry import registry


@pytest.fixture
def study(cube, tmp_path):
    return SimpleNamespace(cube=cube, folder=tmp_path)


def test_figures_that_show_nothing_are_left_out_and_told(study, capsys):
    study.cube = study.cube.filter(lambda node: node.name != "elasticity")
    stems = {path.stem for path in draw(study, formats=["svg"])}
    heading, *lines = capsys.readouterr().err.splitlines()
    left = {line.split()[0]: line for line in lines}
    assert heading == "Not drawn, because the study lacks what they show:"
    assert not any(word in line.split() for line in lines for word in ("should", "error", "found", "try"))
    assert stems | set(left) == set(registry("figures").names())
    assert stems & set(left) == set()
    assert {"depth_profile", "onset_map", "training_course"} <= stems
    assert left["response_matrices"].endswith("shows `relative_similarity`, which this study does not record")
    assert left["axis_comparison"].endswith("shows an axis of the study other than the seed; this study has seeds only")


def test_each_figure_has_three_files_and_leaves_none_open(study):
    before = pyplot.get_fignums()
    paths = list(draw(study, ["onset_map", "depth_profile"]))
    assert [path.name for path in paths] == [
        f"{name}.{ending}" for name in ("onset_map", "depth_profile") for ending in ("svg", "pdf", "png")
    ]
    starts = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG"}
    assert all(path.read_bytes().startswith(starts[path.suffix]) for path in paths)
    assert all(path.parent == study.folder / "figures" for path in paths)
    assert pyplot.get_fignums() == before


def test_a_figure_asked_for_that_shows_nothing_is_an_error(study):
    with pytest.raises(NotMeasured, match="figure axis_comparison: `axis` should be"):
        list(draw(study, ["axis_comparison"]))
    assert not (study.folder / "figures").exists()


def test_a_study_that_no_figure_shows_is_an_error(study):
    study.cube = study.cube.filter(lambda node: node.name == "training").map_over_datasets(
        lambda group: group.drop_vars("accuracy", errors="ignore")
    )
    collected = []
    with pytest.raises(StudyError, match="no probed epoch"):
        list(draw(study, tell=collected.append))
    assert collected == []


def test_an_unknown_figure_is_told_before_anything_is_drawn(study):
    with pytest.raises(UnknownName, match="depth_profile"):
        list(draw(study, ["onset_map", "depth_profil"]))
    assert not (study.folder / "figures").exists()


def test_a_disk_that_is_full_is_told_and_leaves_no_part_of_a_figure(finished_study, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (tmp_path / "figures").mkdir()
    with pytest.raises(StudyError, match=r"depth_profile\.png: .* No space left on device"):
        list(draw(finished_study, ["depth_profile"], formats=["png"], folder=tmp_path / "figures"))
    assert not list((tmp_path / "figures").iterdir())
