"""What each metric of collapse does when the same network is written in other coordinates.

Features h become c·R·h + t (weights and bias follow, so that the logits stay) or the classes are renumbered.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import cases

from elastic.cube.names import CLASS_DIMS
from elastic.metrics.contract import evaluate
from elastic.registry import registry


@dataclass(frozen=True)
class Law:
    """degree: the metric of c·h is c^degree times that of h (None: no such law); rotation, shift: unchanged."""

    degree: int | None = 0
    rotation: bool = True
    shift: bool = True


UNCHANGED = Law()
#: The penalty of the squared loss ties the weights, and the bias, to the units of the features.
PENALISED = Law(degree=None, shift=False)
LAWS = {
    "nc1": UNCHANGED,
    "nc2_equinorm": UNCHANGED,
    "nc2_equiangle": UNCHANGED,
    "nc2_etf_error": UNCHANGED,
    "nc2_classifier_equinorm": UNCHANGED,
    "nc1_sample_weighted": UNCHANGED,
    "nc2_classifier_etf_error": UNCHANGED,
    "nc3_simplex_error": UNCHANGED,
    "centre_logit_norm": UNCHANGED,
    "nc3_duality": UNCHANGED,
    "nc3_duality_uncentred": Law(shift=False),
    "orthogonal_frame_error": Law(shift=False),
    "classifier_frame_error": UNCHANGED,
    "nc4_mismatch": UNCHANGED,
    "ncc_accuracy": UNCHANGED,
    "within_between_ratio": UNCHANGED,
    "fuzziness": UNCHANGED,
    "cdnv": UNCHANGED,
    "cdnv_mean": UNCHANGED,
    "class_cosine": UNCHANGED,
    "classifier_cosine": UNCHANGED,
    "class_mean_rank": UNCHANGED,
    "class_mean_norm": Law(degree=1),
    "class_mean_spectrum": Law(degree=1, shift=False),
    "class_mean_spectrum_centred": Law(degree=1),
    "within_variance": Law(degree=2),
    "mse_least_squares": PENALISED,
    "mse_perpendicular": PENALISED,
    "mse_nc1": PENALISED,
    "mse_nc23": PENALISED,
}

networks = st.builds(
    lambda counts, d, seed, offset: cases.clustered(tuple(counts), (d,), seed=seed, offset=offset),
    counts=st.lists(st.integers(2, 6), min_size=2, max_size=5),
    d=st.integers(2, 8),
    seed=st.integers(0, 2**16),
    offset=st.sampled_from([0.0, -3.0]),
)
quick = settings(max_examples=12, deadline=None)


def measure(case):
    readings = case.readings()
    return {**evaluate("collapse", readings), **evaluate("collapse", readings, layerless=True)}


def assert_same(found, expected, name):
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10, equal_nan=True, msg=lambda m: f"{name}: {m}")


def test_every_metric_of_collapse_has_a_law():
    missing = {e.name for e in registry("metrics") if e.facts.group == "collapse"} ^ set(LAWS)
    assert not missing, f"LAWS should say how {missing} change with rotation, scale and order"


@quick
@given(case=networks, seed=st.integers(0, 2**16))
def test_rotation(case, seed):
    rotation = cases.random_rotation(case.vectors.shape[1], torch.Generator().manual_seed(seed))
    before, after = measure(case), measure(case.rotated(rotation))
    for name, law in LAWS.items():
        if law.rotation:
            assert_same(after[name], before[name], name)


@quick
@given(case=networks, factor=st.sampled_from([1e-6, 0.3, 7.0, 1e5]))
def test_scale(case, factor):
    before, after = measure(case), measure(case.scaled(factor))
    for name, law in LAWS.items():
        if law.degree is not None:
            assert_same(after[name] / factor**law.degree, before[name], name)


@quick
@given(case=networks, size=st.sampled_from([0.1, 10.0]), seed=st.integers(0, 2**16))
def test_shift(case, size, seed):
    generator = torch.Generator().manual_seed(seed)
    shift = size * torch.randn(case.vectors.shape[1], generator=generator, dtype=torch.float64)
    before, after = measure(case), measure(case.shifted(shift))
    for name, law in LAWS.items():
        if law.shift:
            assert_same(after[name], before[name], name)


@quick
@given(case=networks, data=st.data())
def test_renumbered_classes_renumber_the_values(case, data):
    order = torch.tensor(data.draw(st.permutations(range(case.classes))))
    before, after = measure(case), measure(case.relabelled(order))
    for entry in (e for e in registry("metrics") if e.name in LAWS):
        expected = before[entry.name]
        for dim, name in enumerate(entry.facts.dims):
            if name in CLASS_DIMS:
                expected = expected.index_select(dim, order)
        assert_same(after[entry.name], expected, entry.name)


@quick
@given(case=networks, seed=st.integers(0, 2**16))
def test_order_of_samples_within_the_stream(case, seed):
    order = torch.randperm(len(case.labels), generator=torch.Generator().manual_seed(seed))
    shuffled = cases.Case(
        case.features[order], case.labels[order], case.weights, case.bias, case.next_weights, case.ridge
    )
    before, after = measure(case), measure(shuffled)
    for name in LAWS:
        assert_same(after[name], before[name], name)


@pytest.mark.parametrize("name", [name for name, law in LAWS.items() if law == PENALISED])
def test_the_squared_loss_does_depend_on_scale_and_shift(name):
    case = cases.clustered((4, 5, 6), (4,))
    for other in (case.scaled(3.0), case.shifted(torch.full((4,), 2.0).double())):
        assert (measure(other)[name] - measure(case)[name]).abs() > 1e-4
