"""What no closed form can be computed from is told in a sentence, by the name of the argument."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from elastic import theory
from elastic.errors import DegenerateInput, OptionError

nan, inf = math.nan, math.inf
WRONG_VALUES = {
    "a negative penalty": (lambda: theory.mse_factor_model([3, 3], [0.1, -0.1]), "`penalties[1]` should be a number"),
    "no penalty": (lambda: theory.mse_factor_model([3, 3], []), "`penalties` should hold one number a factor"),
    "one number for all": (lambda: theory.mse_factor_model([3, 3], 0.1), "`penalties` should be one number a factor"),
    "a layer beyond the last": (
        lambda: theory.mse_factor_layer([3, 3], [0.1, 0.1], 3),
        "`layer` should be one of the 2",
    ),
    "a layer without penalty": (
        lambda: theory.mse_factor_layer([3, 3], [0.1, 0.0], 1),
        "`penalties[1]` should be a number above 0",
    ),
    "a penalty of nan": (lambda: theory.cross_entropy_ufm(3, 3, nan, 0.1), "`lambda_w` should be a number of at least"),
    "an infinite penalty": (lambda: theory.cross_entropy_ufm(3, 3, 0.1, inf), "`lambda_h` should be a number"),
    "too much smoothing": (
        lambda: theory.cross_entropy_ufm(3, 3, 0.1, 0.1, 1.5),
        "at least 0 and at most 1; found 1.5",
    ),
    "a text": (lambda: theory.minority_collapse_count(9, "strong", 0.1), "`lambda_w` should be a number"),
    "a negative bound": (lambda: theory.layer_peeled(3, -1.0, 1.0), "`e_h` should be a number of at least 0"),
    "a bound of nothing": (
        lambda: theory.layer_peeled_imbalanced([3, 2], 1.0, 0.0),
        "`e_w` should be a number above 0",
    ),
    "a negative bound of the ratio": (lambda: theory.minority_collapse_ratio(4, 2, 1.0, -1.0), "`e_w` should be"),
    "half a class": (lambda: theory.layer_peeled(2.5, 1.0, 1.0), "`classes` should be an integer; found 2.5"),
    "half a sample": (lambda: theory.seli([2, 2.5]), "`per_class[1]` should be an integer; found 2.5"),
    "one count for all": (lambda: theory.seli(5), "`per_class` should be one number of samples a class; found 5"),
}
DEGENERATE = {
    "one class": (lambda: theory.cross_entropy_ufm(1, 3, 0.1, 0.1), "`classes` should be at least 2; found 1"),
    "counts of one class": (lambda: theory.seli([7]), "`per_class` should name at least 2 classes; found 1"),
    "counts of none": (
        lambda: theory.mse_factor_model([], [0.1]),
        "`per_class` should name at least 2 classes; found 0",
    ),
    "an empty class": (lambda: theory.layer_peeled_imbalanced([3, 0], 1, 1), "`per_class[1]` should be at least 1"),
    "no samples": (lambda: theory.cross_entropy_ufm(3, 0, 0.1, 0.1), "`per_class` should be at least 1; found 0"),
    "layer zero": (lambda: theory.mse_factor_layer([3, 3], [0.1], 0), "`layer` should be at least 1; found 0"),
    "no samples at all": (lambda: theory.minority_collapse_count(0, 0.1, 0.1), "`total` should be at least 1"),
    "one minority class": (
        lambda: theory.minority_collapse_ratio(4, 3, 1, 1),
        "leave at least 2 classes; found 3 of 4",
    ),
    "no majority class": (
        lambda: theory.minority_collapse_ratio(4, 0, 1, 1),
        "`majority_classes` should be at least 1",
    ),
}


@pytest.mark.parametrize(("ask", "text"), WRONG_VALUES.values(), ids=WRONG_VALUES)
def test_a_value_that_no_model_takes_is_told_by_its_name(ask, text):
    with pytest.raises(OptionError, match=re.escape(text)):
        ask()


@pytest.mark.parametrize(("ask", "text"), DEGENERATE.values(), ids=DEGENERATE)
def test_what_defines_no_optimum_is_told_by_its_name(ask, text):
    with pytest.raises(DegenerateInput, match=re.escape(text)):
        ask()


def test_numbers_of_numpy_are_numbers():
    counts = np.array([4, 2], dtype=np.int32)
    np.testing.assert_array_equal(theory.seli(counts).feature_gram, theory.seli([4, 2]).feature_gram)
    penalties = np.array([0.25, 0.5], dtype=np.float32)
    assert theory.mse_factor_model(counts, penalties).loss == theory.mse_factor_model([4, 2], [0.25, 0.5]).loss
