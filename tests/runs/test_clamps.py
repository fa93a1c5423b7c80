"""Numbers that the data or the training cut are told, with the line that writes them; defaults are not."""

import pytest
from support import studies

import elastic
from elastic.protocol import load_protocol
from elastic.runs.clamps import clamps
from elastic.runs.setup import build_setup, resolve_device


def notes_of(tmp_path, *settings, text=studies.SMALL):
    protocol = load_protocol(studies.write(tmp_path, text), settings=["training.epochs=5", *settings])
    return clamps(build_setup(protocol.cells[0].settings, resolve_device("cpu")), protocol)


def test_what_fits_is_not_told(tmp_path):
    assert notes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("setting", "most"),
    [
        ("training.batch_size=64000", 60), ("probes.elasticity.stepped_per_class=4000", 20),
        ("probes.elasticity.observed_per_class=21", 20), ("probes.elasticity.most_per_class=21", 20),
        ("probes.collapse.per_class=21", 20), ("probes.weights.per_class=30", 20),
        ("probes.at={name: every, step: 6}", 5), ("probes.at={name: listed, values: [1, 9]}", 5),
        ("optimizer.schedule.milestones=[0.5, 6]", 5),
    ],
)  # fmt: skip
def test_what_is_cut_is_told_at_its_place(tmp_path, setting, most):
    (note,) = notes_of(tmp_path, setting)
    assert note.startswith(f"--set {setting}: `{setting.partition('=')[0]}")
    assert f" should be at most {most}, " in note


@pytest.mark.parametrize("settings", [["training.batch_size=60"], ["probes.at.count=9"], ["data.per_class=null"]])
def test_the_bound_itself_and_what_the_file_does_not_say_are_not_told(tmp_path, settings):
    bare = studies.SMALL.replace("{per_class: 20}", "{}").replace("{stepped_per_class: 2, observed_per_class: 4}", "{}")
    assert notes_of(tmp_path, *settings, text=bare) == []


@pytest.mark.parametrize(
    ("settings", "split", "classes"),
    [
        (["probes.collapse.per_class=1"], ["train", "test"], "every class"),
        (["data.imbalance={ratio: 20, minority_classes: 1}"], ["train"], "class 8"),
    ],
)
def test_a_class_of_one_sample_is_named_since_it_reads_as_collapsed(tmp_path, settings, split, classes):
    notes = [one for one in notes_of(tmp_path, *settings) if "should leave two" in one]
    assert [one.partition("leave two ")[2].split()[0] for one in notes] == split
    assert all(f"; found one of {classes}; nothing varies within it" in one for one in notes)


def test_values_of_an_axis_are_told_once(tmp_path):
    axes = "  size: {path: training.batch_size, values: [16, 61, 64000]}\n"
    path = studies.write(tmp_path, studies.SMALL + axes)
    notes = notes_of(tmp_path, text=studies.SMALL + axes)
    assert [note.partition("found ")[2].partition(";")[0] for note in notes] == ["61", "64000"]
    assert all(note.startswith(f"{path}:14:") for note in notes)


def test_the_plan_tells_them(tmp_path):
    settings = ["training.epochs=1", "training.batch_size=61", "probes.elasticity=null", "axes.seed=[0]"]
    planned = elastic.plan(studies.write(tmp_path), out=tmp_path / "results", settings=settings, budget=0)
    (note,) = planned.notes
    assert "`training.batch_size`" in note
    assert f"note: {note}" in planned.lines()
    assert not (tmp_path / "results").exists()
