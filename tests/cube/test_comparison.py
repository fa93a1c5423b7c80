"""A record of an earlier release is the same but for rounding, or the message says which numbers are others."""

import numpy as np
import pytest

from elastic.cube.comparison import differences, same_but_for_rounding

NAN, INF = np.nan, np.inf
VALUES = np.array([[1000.0, -3.0], [0.0, NAN]])


def same(old, new, key="elasticity/response"):
    return same_but_for_rounding({key: np.asarray(old)}, {key: np.asarray(new)})


@pytest.mark.parametrize(
    ("off", "expected"), [(0.0, True), (0.0099, True), (-0.0099, True), (0.0101, False), (NAN, False), (INF, False)]
)
def test_movements_may_differ_by_a_hundred_thousandth_of_the_largest(off, expected):
    """Of 1000: by 0.01, wherever it is."""
    for place in ((0, 0), (0, 1), (1, 0)):
        new = VALUES.copy()
        new[place] += off
        assert same(VALUES, new) == expected


def test_the_error_of_an_engine_may_differ_by_as_much_in_all():
    assert same([1e-9, 0.0], [1e-5, 0.0], key="elasticity/probe_error")
    assert not same([1e-9, 0.0], [1.1e-5, 0.0], key="elasticity/probe_error")
    assert not same([1e-9, 0.0], [1e-5, 0.0])


def test_what_is_not_finite_is_so_in_both():
    assert not same([1.0, NAN], [1.0, 1.0])
    assert not same([1.0, NAN], [1.0, INF])
    assert not same([1.0, INF], [1.0, -INF])
    assert same([1.0, INF], [1.000001, INF])
    for key in ("elasticity/response", "elasticity/probe_error"):
        assert same([NAN, NAN], np.copysign([NAN, NAN], -1), key), "processors give NaN either sign"
    assert not same([NAN, NAN], [NAN, 0.0])


def test_other_groups_types_shapes_and_names_are_the_same_to_the_bit():
    near = VALUES * (1 + 1e-9)
    for key in ("collapse/nc1", "training/loss"):
        assert same(VALUES, VALUES.copy(), key)
        assert not same(VALUES, near, key)
    assert not same(VALUES, near.astype(np.float32))
    assert not same(VALUES, near.reshape(-1))
    old = {"elasticity/response": VALUES}
    for new in ({}, {"elasticity/other": VALUES}, {**old, "elasticity/other": VALUES}):
        assert not same_but_for_rounding(old, new)
        assert not same_but_for_rounding(new, old)


def test_the_largest_difference_is_named_and_the_scores_of_training_first():
    old = {f"collapse/{letter}": np.array([1.0, 2.0, 3.0, NAN, INF]) for letter in "abcdefg"}
    old |= {"training/loss": np.array([1.0]), "training/seen": np.array([2])}
    new = {key: values.copy() for key, values in old.items()}
    assert differences(old, new) == "equal numbers in other bytes (the sign of a zero or of a NaN)"
    new["collapse/a"][:2] = 1.25, 1.5
    new["collapse/b"][3] = 0.0
    new["collapse/c"][4] = -INF
    new["training/loss"][0] = 0.0
    named = ["training/loss other by up to 1", "collapse/a other by up to 0.5", "collapse/b finite or not"]
    assert differences(old, new) == ", ".join([*named, "collapse/c finite or not"])
    new["collapse/d"] = np.zeros(2)
    named += ["collapse/c finite or not", "collapse/d of another shape"]
    assert differences(old, new) == ", ".join(named), "five are named, where one more would be said of the last"
    del new["training/seen"]
    assert differences(old, new) == ", ".join(["training/seen in one of them only", *named[:3], "and 2 more"])
