"""Clusters and neighbours by similarity: on matrices whose classes are known, and in He and Su's own setting."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.analysis.kernel_clusters import best_named_share
from elastic.analysis.similarity_clustering import clustering_accuracy, neighbour_accuracy, relative_similarity
from elastic.errors import OptionError

quick = settings(max_examples=20, deadline=None)


def square(values, **coords):
    dims = (*coords, "stepped", "observed")
    return xr.DataArray(np.asarray(values, dtype=float), dims=dims, coords=coords)


def noisy_blocks(seed, classes=3, each=8, within=1.0, between=0.3, noise=0.05):
    draws = np.random.default_rng(seed)
    labels = draws.permutation(np.repeat(np.arange(classes), each))
    near = np.where(labels[:, None] == labels[None], within, between)
    return square(near + noise * draws.standard_normal(near.shape)), labels


@quick
@given(st.integers(0, 999), st.integers(2, 4))
def test_similar_within_and_dissimilar_between_is_found_whatever_the_order_and_the_names(seed, classes):
    similarity, labels = noisy_blocks(seed, classes)
    names = np.array([30, 7, 11, 2])
    assert float(clustering_accuracy(similarity, names[labels])) == 1.0
    assert float(neighbour_accuracy(similarity, names[labels], neighbours=3)) == 1.0


def test_similarity_that_knows_nothing_of_the_classes_is_near_chance():
    collected = []
    for seed in range(20):
        similarity, _ = noisy_blocks(seed, 2, each=30, noise=1.0, between=1.0)
        labels = np.random.default_rng(seed + 100).permutation(np.repeat([0, 1], 30))
        collected.append(
            [float(clustering_accuracy(similarity, labels)), float(neighbour_accuracy(similarity, labels))]
        )
    clustered, nearest = np.mean(collected, axis=0)
    assert 0.5 < clustered < 0.62  # the best naming is above ½ by chance
    assert 0.4 < nearest < 0.6


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=3, max_size=15))
def test_the_naming_is_the_best_of_all(pairs):
    clusters, labels = map(np.array, zip(*pairs, strict=True))
    best = max(np.mean(np.array(names)[clusters] == labels) for names in itertools.permutations(range(3)))
    assert best_named_share(clusters, labels) == pytest.approx(best)


@quick
@given(st.integers(0, 999), st.integers(1, 6))
def test_neighbours_are_voted_on_as_by_hand(seed, neighbours):
    draws = np.random.default_rng(seed)
    values, labels = draws.standard_normal((9, 9)), draws.integers(0, 3, 9)
    right = 0
    for m in range(9):
        nearest = sorted((a for a in range(9) if a != m), key=lambda a: -values[a, m])[:neighbours]
        votes = [labels[a] for a in nearest]
        winner = max(votes, key=lambda y: (votes.count(y), -votes.index(y)))
        right += winner == labels[m]
    assert float(neighbour_accuracy(square(values), labels, neighbours=neighbours)) == pytest.approx(right / 9)


def test_layers_are_clustered_one_by_one():
    similarity, labels = noisy_blocks(0)
    nothing = noisy_blocks(1, between=1.0, noise=1.0)[0]
    both = xr.concat([similarity, nothing], dim=xr.Variable("layer", ["deep", "shallow"]))
    result = clustering_accuracy(both, labels)
    assert result.dims == ("layer",)
    assert result.sel(layer="deep") == 1
    assert result.sel(layer="shallow") < 0.8


def test_relative_similarity_knows_neither_the_size_of_steps_nor_the_missing_diagonal():
    draws = np.random.default_rng(2)
    moved, own, sizes = draws.random((6, 6)), 1 + draws.random(6), 10.0 ** draws.uniform(-9, 2, 6)
    moved[np.diag_indices(6)] = np.nan
    own = xr.DataArray(own, dims="stepped")
    for given_own in (own, None):
        scaled = None if given_own is None else own * sizes
        first = relative_similarity(square(moved), given_own)
        xr.testing.assert_allclose(relative_similarity(square(moved * sizes[:, None]), scaled), first)
        assert first.notnull().all()
    assert (np.diagonal(relative_similarity(square(moved), own)) == 1).all()


def test_what_does_not_fit_is_told():
    similarity, labels = noisy_blocks(0)
    for wrong, of in (
        (similarity.isel(observed=slice(1, None)), labels),
        (similarity, labels[1:]),
        (similarity.where(similarity < 1), labels),
    ):
        for accuracy in (clustering_accuracy, neighbour_accuracy):
            with pytest.raises(OptionError, match="similarity"):
                accuracy(wrong, of)
    with pytest.raises(OptionError, match="neighbours"):
        neighbour_accuracy(similarity, labels, neighbours=len(labels))
