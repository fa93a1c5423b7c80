"""Onsets and their order, against loops; unmoved by units, honest about what has not happened yet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.analysis.onset import LEAST_CHANGE, onset_epoch, onset_order
from elastic.errors import OptionError

EPOCHS = [0, 1, 2, 5, 12, 30]
COURSES = st.lists(st.sampled_from([0.01, 0.02, 0.1, 0.5, 1.0, 4.0, math.nan]), min_size=6, max_size=6)


def course(values, epochs=EPOCHS) -> xr.DataArray:
    return xr.DataArray(values, dims="epoch", coords={"epoch": epochs[: len(values)]}, name="nc1")


def layered(onsets, depth=None) -> xr.DataArray:
    coords = {} if depth is None else {"depth": ("layer", depth)}
    return xr.DataArray(onsets, dims="layer", coords=coords, name="onset")


def onset_by_hand(values, level, epochs=EPOCHS):
    """Go back from the last probe as long as the values are low enough."""
    onset = math.nan
    for epoch, value in reversed(list(zip(epochs, values, strict=True))):
        if math.isnan(value):
            continue
        if not value <= level:
            break
        onset = epoch
    return onset


def level_by_hand(values, fraction):
    there = [value for value in values if not math.isnan(value)]
    if not there or there[-1] >= there[0]:
        return math.nan
    if fraction == 1:
        return there[-1]
    return there[0] * (there[-1] / there[0]) ** fraction


@pytest.mark.parametrize("fraction", [0.25, 0.5, 1.0])
def test_a_value_that_changes_by_rounding_alone_makes_no_fall(fraction):
    random = np.random.default_rng(0)
    still = course(231.13 * (1 + 1e-4 * random.uniform(-1, 1, 6)))
    still[-1] = still.min() * (1 - 1e-5)
    assert np.isnan(onset_epoch(still, fraction=fraction))
    assert onset_epoch(course([1.02, 1.02, 1.0]), fraction=fraction) == 2
    assert onset_epoch(course([LEAST_CHANGE, LEAST_CHANGE, 1.0]), fraction=fraction) == 2
    assert onset_epoch(still, threshold=1e3) == 0


def order_by_hand(onsets):
    pairs, score = 0, 0
    for shallow in range(len(onsets)):
        for deep in range(shallow + 1, len(onsets)):
            pairs += 1
            score += (onsets[deep] > onsets[shallow]) - (onsets[deep] < onsets[shallow])
    return score / pairs


@settings(max_examples=25)
@given(COURSES, st.sampled_from([0.005, 0.05, 0.5, 5.0]))
def test_onset_is_the_first_probe_from_which_all_are_below_the_threshold(values, threshold):
    result = float(onset_epoch(course(values), threshold=threshold))
    assert result == pytest.approx(onset_by_hand(values, threshold), nan_ok=True)


@settings(max_examples=25)
@given(COURSES, st.sampled_from([0.25, 0.5, 0.9, 1.0]))
def test_onset_of_a_fraction_is_that_of_the_level_part_of_the_way(values, fraction):
    result = float(onset_epoch(course(values), fraction=fraction))
    assert result == pytest.approx(onset_by_hand(values, level_by_hand(values, fraction)), nan_ok=True)


@settings(max_examples=25)
@given(COURSES, st.floats(1e-3, 1e3))
def test_units_do_not_move_the_onset_of_a_fraction(values, scale):
    # A third of a way between these values meets none of them, so that rounding decides nothing.
    plain, scaled = (float(onset_epoch(course(values) * by, fraction=0.3371)) for by in (1, scale))
    assert scaled == pytest.approx(plain, nan_ok=True)


@settings(max_examples=25)
@given(COURSES, st.sampled_from([{"threshold": 0.05}, {"fraction": 0.3371}]))
def test_an_interpolated_onset_lies_between_the_probes_around_it(values, options):
    probed = float(onset_epoch(course(values), **options))
    placed = float(onset_epoch(course(values), interpolate=True, **options))
    earlier = [e for e, v in zip(EPOCHS, values, strict=True) if e < probed and not math.isnan(v)]
    assert math.isnan(placed) == math.isnan(probed)
    if not math.isnan(probed):
        assert max(earlier, default=probed) - 1e-9 <= placed <= probed + 1e-9


def test_an_interpolated_onset_is_exact_for_a_power_law():
    fall = course([100 / (1 + epoch) ** 2 for epoch in EPOCHS])
    for threshold in (50.0, 7.0, 0.2):
        assert float(onset_epoch(fall, threshold=threshold, interpolate=True)) == pytest.approx(
            math.sqrt(100 / threshold) - 1
        )


def test_layers_that_fall_between_the_same_probes_are_told_apart_by_interpolation_only():
    values = xr.DataArray([[1.0, 1.0], [0.8, 0.6], [0.1, 0.01]], dims=("epoch", "layer"), coords={"epoch": [0, 1, 2]})
    assert onset_epoch(values, threshold=0.5).values.tolist() == [2, 2]
    first, second = onset_epoch(values, threshold=0.5, interpolate=True).values
    assert second < first


def test_a_dip_is_no_onset():
    assert float(onset_epoch(course([1.0, 0.01, 1.0, 0.01, 0.01, 0.01]), threshold=0.1)) == 5


def test_what_has_not_fallen_has_no_onset():
    assert np.isnan(onset_epoch(course([1.0, 0.5, 0.2]), threshold=0.1))
    assert np.isnan(onset_epoch(course([1.0, 0.01, 2.0]), fraction=0.5))
    assert np.isnan(onset_epoch(course([1.0, 1.0, 1.0]), fraction=0.5))
    assert np.isnan(onset_epoch(course([math.nan] * 3), threshold=0.5))


def test_an_exact_collapse_is_below_every_threshold():
    for interpolate in (False, True):
        assert float(onset_epoch(course([1.0, 0.5, 0.0]), threshold=0.1, interpolate=interpolate)) == 2


def test_half_of_the_way_is_meant_where_nothing_is_said():
    values = course([4.0, 1.5, 0.3, 0.2])
    assert onset_epoch(values).identical(onset_epoch(values, fraction=0.5))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=7))
def test_order_counts_pairs_of_layers(onsets):
    assert float(onset_order(layered(onsets))) == pytest.approx(order_by_hand(onsets), abs=1e-12)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=7))
def test_order_turns_with_the_layers_and_knows_ranks_only(onsets):
    order = float(onset_order(layered(onsets)))
    assert float(onset_order(layered(onsets[::-1]))) == pytest.approx(-order, abs=1e-12)
    assert float(onset_order(layered([math.exp(onset) for onset in onsets]))) == pytest.approx(order, abs=1e-12)


@settings(max_examples=25)
@given(st.lists(st.sampled_from([1.0, 2.0, math.nan]), min_size=2, max_size=6))
def test_layers_that_never_collapse_come_last_and_together(onsets):
    result = float(onset_order(layered(onsets)))
    late = [9.0 if math.isnan(onset) else onset for onset in onsets]
    if all(map(math.isnan, onsets)):
        assert math.isnan(result)
    else:
        assert result == pytest.approx(order_by_hand(late), abs=1e-12)


def test_order_follows_depth_and_leaves_out_layers_that_are_not_there():
    assert float(onset_order(layered([1.0, 9.0, 4.0], [1.0, 2.0, 3.0]))) == pytest.approx(1 / 3)
    assert float(onset_order(layered([1.0, 9.0, 4.0], [1.0, 3.0, 2.0]))) == 1
    assert float(onset_order(layered([9.0, 4.0, math.nan], [1.0, 2.0, math.nan]))) == -1
    assert np.isnan(onset_order(layered([9.0, math.nan], [1.0, math.nan])))


def test_inward_collapse_is_seen_as_such():
    epochs, layers = np.geomspace(1, 1000, 16), np.arange(5)
    inward = 1 / (1 + (epochs[:, None] / (20.0 * 2.0 ** (4 - layers))) ** 2)
    values = xr.DataArray(inward, dims=("epoch", "layer"), coords={"epoch": epochs})
    assert float(onset_order(onset_epoch(values, threshold=0.1))) == -1
    assert float(onset_order(onset_epoch(values.isel(layer=slice(None, None, -1)), threshold=0.1))) == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fraction": 0.5, "threshold": 0.1}, "`threshold` should be given without a fraction"),
        ({"fraction": 0}, "`fraction` should be above 0 and at most 1; found 0"),
        ({"fraction": 1.5}, "`fraction` should be above 0 and at most 1"),
        ({"threshold": 0}, "`threshold` should be positive; found 0"),
        ({"threshold": math.nan}, "`threshold` should be positive"),
        ({"dim": "layer"}, "`nc1` should lie along layer"),
    ],
)
def test_a_wrong_option_is_told(options, sentence):
    with pytest.raises(OptionError, match=sentence):
        onset_epoch(course([1.0, 0.5]), **options)
