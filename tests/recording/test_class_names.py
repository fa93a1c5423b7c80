"""Names of the classes that a user gives to a Recorder, and the study that it writes."""

from __future__ import annotations

import numpy as np
import pytest
from support import recordings

import elastic
from elastic.errors import DegenerateInput

pytestmark = pytest.mark.usefixtures("unsealed", "few_metrics")

NAMES = ["cat", "dog", "ship"]


def test_classes_have_the_names_that_are_given(tmp_path):
    recordings.record(tmp_path / "named", classes=NAMES, probes=recordings.PROBES)
    recordings.record(tmp_path / "plain", probes=recordings.PROBES)
    named, plain = (elastic.open_study(tmp_path / name).cube for name in ("named", "plain"))
    for group, dims in (("collapse", ("class", "other_class")), ("elasticity", ("stepped_class", "observed_class"))):
        for dim in dims:
            assert named[group][dim].values.tolist() == NAMES
            assert plain[group][dim].values.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(named["collapse"]["class_mean_norm"], plain["collapse"]["class_mean_norm"])


def test_names_may_be_given_by_label(sealing, tmp_path):
    recordings.record(tmp_path, classes={2: "ship", 1: "dog", 0: "cat", 7: "unused"})
    assert elastic.open_study(tmp_path)["collapse"]["class"].values.tolist() == NAMES


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        (["cat", "dog"], "`classes` should name every class; found 2 names, none of label 2"),
        ({0: "cat", 2: "ship"}, "found 2 names, none of label 1"),
        (["cat", "cat", "ship"], "`classes` should be different texts or whole numbers"),
        (["cat", 0.5, "ship"], "`classes` should be different texts or whole numbers; found 0.5"),
        ("abc", "`classes` should be names by label; found 'abc'"),
        (3, "`classes` should be names by label; found 3"),
    ],
)
def test_names_that_do_not_fit_are_told_and_leave_nothing_behind(tmp_path, classes, text):
    with pytest.raises(DegenerateInput, match=text):
        recordings.record(tmp_path / "mine", classes=classes)
    assert not (tmp_path / "mine").exists()


def test_a_recorder_gives_the_study_that_it_writes(tmp_path):
    with recordings.recorder(tmp_path, title="Mine") as recorder:
        recorder.record(0)
        assert recorder.study["loss"].sizes["epoch"] == 1
    assert "Mine" in recorder.study.report().read_text()


def test_layers_are_returned_without_being_printed(capsys):
    tree = elastic.layers(recordings.network(), recordings.samples()[0][:2], show=False)
    assert [row.width for row in tree] == [6, 6, 4, 4, 3]
    assert capsys.readouterr().out == ""
