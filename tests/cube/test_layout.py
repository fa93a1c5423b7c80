from __future__ import annotations

import random

import numpy as np
import pytest

from elastic.cube import Layout, Variable, read_layout, write_layout
from elastic.errors import StudyError


def test_json_gives_back_the_same_layout(make_layout):
    for layout in (make_layout(), make_layout(hidden=3, classes=("cat", "dog")), make_layout(variables=())):
        assert Layout.from_json(layout.to_json()) == layout
        assert Layout.from_json(layout.to_json()).to_json() == layout.to_json()


def test_numpy_numbers_lists_and_tuples_make_one_layout(make_layout):
    layout = make_layout(probed=(0, 2, 4))
    same = make_layout(
        epochs=np.int64(4), probed=np.array([0, 2, 4]), classes=list(np.arange(3)), variables=list(layout.variables)
    )
    assert same == layout
    assert same.to_json() == layout.to_json()


def test_attributes_are_as_json_gives_them_back():
    variable = Variable("collapse", "nc1", ["split"], {"value_bounds": ("0.0", "inf"), "of": {"a": None}})
    assert variable.attrs == {"value_bounds": ["0.0", "inf"], "of": '{"a": null}'}
    assert variable.dims == ("split",)


def test_no_changed_byte_of_the_file_is_believed(make_layout):
    layout = make_layout()
    text = layout.to_json().encode()
    generator = random.Random(0)
    for place in range(len(text)):
        torn = bytearray(text)
        torn[place] ^= 1 << generator.randrange(8)
        try:
            read = Layout.from_json(torn.decode(errors="replace"))
        except StudyError:
            continue
        assert read == layout  # only white space was hit


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"sha256": 1}', "\x00"])
def test_what_is_no_layout_is_refused(text):
    with pytest.raises(StudyError, match="be a layout"):
        Layout.from_json(text)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ({"group": "colapse", "name": "nc1"}, "one of the groups"),
        ({"group": "training", "name": "loss", "dims": ("layer",)}, "dims among"),
        ({"group": "collapse", "name": "nc1", "dims": ("layer", "split")}, "in this order"),
        ({"group": "collapse", "name": "nc1", "dims": ("layer", "layer")}, "dims among"),
        ({"group": "collapse", "name": "nc1", "dims": ("class", "unknown")}, "dims among"),
        ({"group": "training", "name": "n", "dtype": "int64"}, "floating-point"),
        ({"group": "training", "name": "status"}, "another name"),
    ],
)
def test_a_variable_that_the_cube_cannot_hold_is_refused(variable, text):
    with pytest.raises(StudyError, match=text):
        Layout(1, [], [], [0, 1], ["train"], {}, [Variable(**variable)])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"probed": (0, 9)}, "ascending epochs"),
        ({"probed": (4, 0)}, "ascending epochs"),
        ({"probed": (0, 0)}, "ascending epochs"),
        ({"classes": (0, 0, 1)}, "different names"),
        ({"variables": (Variable("training", "loss"),) * 2}, "different names"),
    ],
)
def test_a_contradictory_layout_is_refused(make_layout, changes, text):
    with pytest.raises(StudyError, match=text):
        make_layout(**changes)


def test_counts_are_given_for_every_class():
    with pytest.raises(StudyError, match="2 counts a split"):
        Layout(1, [], [], ["a", "b"], ["train"], {"train": [1, 2, 3]}, [])


def test_components_are_numbered_from_one_as_many_as_classes(make_layout):
    spectrum = Variable("collapse", "spectrum", ("split", "component"))
    layout = make_layout(classes=("cat", "dog", "eel"), variables=(spectrum,))
    assert layout.labels("collapse", "component") == (1, 2, 3)
    assert layout.shape(spectrum) == (2, 3)


def test_a_run_without_layout_has_not_begun(tmp_path):
    assert read_layout(tmp_path / "nowhere") is None


def test_a_layout_is_written_once(tmp_path, make_layout):
    write_layout(tmp_path / "run", make_layout())
    before = (tmp_path / "run" / "layout.json").stat()
    write_layout(tmp_path / "run", make_layout())
    assert (tmp_path / "run" / "layout.json").stat().st_ino == before.st_ino
    with pytest.raises(StudyError, match=r"layout\.json: .* found other epochs, probed; try"):
        write_layout(tmp_path / "run", make_layout(epochs=5, probed=(0, 5)))
    assert read_layout(tmp_path / "run") == make_layout()


def test_a_run_begun_before_a_variable_came_is_recorded_as_it_was_begun(tmp_path, make_layout):
    old = make_layout()
    first = old.variables[0]
    reworded = Variable(first.group, first.name, first.dims, {**first.attrs, "formula": "in other words"})
    new = make_layout(variables=(reworded, *old.variables[1:], Variable("collapse", "later", ("split", "layer"))))
    assert write_layout(tmp_path / "begun", old) == old
    assert write_layout(tmp_path / "begun", new) == old
    assert read_layout(tmp_path / "begun") == old
    assert write_layout(tmp_path / "fresh", new) == new


def test_a_run_with_variables_that_are_no_longer_measured_alike_names_them(tmp_path, make_layout):
    old = make_layout()
    gone = old.variables[0]
    write_layout(tmp_path, old)
    with pytest.raises(StudyError, match=rf"found other {gone.key}; try the elastic version that began it") as text:
        write_layout(tmp_path, make_layout(variables=old.variables[1:]))
    assert "delet" not in str(text.value)  # the run is whole
    retyped = Variable(gone.group, gone.name, gone.dims, gone.attrs, "float32")
    with pytest.raises(StudyError, match=rf"found other {gone.key}"):
        write_layout(tmp_path, make_layout(variables=(retyped, *old.variables[1:])))


def test_a_damaged_layout_tells_the_file_and_what_to_do(tmp_path, make_layout):
    write_layout(tmp_path, make_layout())
    (tmp_path / "layout.json").write_bytes(b"\xff{")
    with pytest.raises(StudyError, match=r"layout\.json: .*try deleting .* the others are kept"):
        read_layout(tmp_path)
