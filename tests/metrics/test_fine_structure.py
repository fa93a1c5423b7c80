"""Fine classes found by elasticity and by features: where they must be, what must not matter, what is no number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from elastic.analysis.kernel_clusters import best_named_share, kernel_clusters
from elastic.metrics.contract import evaluate
from elastic.metrics.fine_elasticity import (
    fine_locality,
    kernel_fine_clustering_accuracy,
    relative_fine_clustering_accuracy,
    relative_fine_neighbour_accuracy,
)
from elastic.metrics.fine_features import (
    feature_fine_clustering_accuracy,
    feature_fine_neighbour_accuracy,
    fine_variance_share,
)
from elastic.metrics.fine_structure import FineFeatures
from elastic.metrics.update import UpdateResponse

quick = settings(max_examples=15, deadline=None)


def features(seed, classes=3, each=12, apart=20.0, offset=0.0):
    """Samples of classes around corners that lie apart, in random order."""
    draws = torch.Generator().manual_seed(seed)
    fine = (torch.arange(classes * each) % classes)[torch.randperm(classes * each, generator=draws)]
    h = apart * torch.eye(classes, 5)[fine] + torch.randn(len(fine), 5, generator=draws) + offset
    return h.double(), fine


def of_features(h, fine):
    return [FineFeatures(h @ h.T, fine)]


def of_linear_model(h, fine, steps):
    """What steps of these sizes do in a linear model of one output without a bias: products, and their sizes."""
    kernel, nothing = h @ h.T, torch.zeros(len(h), int(fine.max()) + 1).double()
    own = kernel.diagonal()
    return UpdateResponse(
        int(fine.max()) + 1, fine, fine, ~torch.eye(len(h), dtype=torch.bool), kernel.abs() * steps[:, None],
        kernel * (own * steps**2)[:, None], own * steps, nothing, nothing, nothing, nothing, own * steps**2,
    )  # fmt: skip


@quick
@given(seed=st.integers(0, 999), classes=st.integers(2, 4))
def test_classes_that_lie_apart_are_found_by_all(seed, classes):
    h, fine = features(seed, classes)
    update = [of_linear_model(h, fine, torch.ones(len(h)).double())]
    values = evaluate("elasticity", {"fine_updates": update, "fine_features": of_features(h, fine)})
    assert len(values) == 8
    for name, value in values.items():
        least = {"fine_locality": 3, "fine_variance_share": 0.95}.get(name, 1)
        assert value.item() >= least, name


@quick
@given(seed=st.integers(0, 999), scale=st.floats(-6, 3), apart=st.sampled_from([1.0, 8.0]))
def test_neither_the_sizes_of_steps_nor_the_order_of_samples_matter(seed, scale, apart):
    h, fine = features(seed, 2, apart=apart)
    sizes = 10 ** (scale * torch.rand(len(h), generator=torch.Generator().manual_seed(seed)).double())
    order = torch.randperm(len(h), generator=torch.Generator().manual_seed(seed))
    plain, scaled, shuffled = (
        evaluate("elasticity", {"fine_updates": [of_linear_model(x, y, steps)], "fine_features": of_features(x, y)})
        for x, y, steps in (
            (h, fine, torch.ones(len(h)).double()),
            (h, fine, sizes),
            (h[order], fine[order], torch.ones(len(h)).double()),
        )
    )
    for name, value in plain.items():
        if "clustering" in name and apart == 1.0:  # no clusters to speak of: the starts decide between optima
            continue
        torch.testing.assert_close(shuffled[name], value)
        if name != "fine_locality":  # a ratio of means over steps: larger steps weigh more
            torch.testing.assert_close(scaled[name], value)


@quick
@given(seed=st.integers(0, 999), offset=st.sampled_from([0.0, 1e4]))
def test_features_are_clustered_as_k_means_does_it(seed, offset):
    h, fine = features(seed, 3, apart=4.0, offset=offset)
    clusters = KMeans(3, n_init=20, random_state=1).fit_predict(h.numpy())
    expected = best_named_share(clusters, fine.numpy())
    assert feature_fine_clustering_accuracy(of_features(h, fine)).item() == pytest.approx(expected)
    distances = torch.cdist(h, h).fill_diagonal_(torch.inf)
    nearest = (fine[distances.argmin(1)] == fine).double().mean()
    assert feature_fine_neighbour_accuracy(of_features(h, fine)).item() == pytest.approx(nearest.item())


def test_features_without_variance_have_no_share():
    h, fine = torch.ones(6, 3).double(), torch.arange(6) % 2
    assert fine_variance_share(of_features(h, fine)).isnan().all()
    collapsed = of_features(torch.eye(2).double()[fine], fine)
    assert fine_variance_share(collapsed).item() == pytest.approx(1)
    means = torch.randn(20, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    many = [of_features(of_one[torch.arange(36) % 3], torch.arange(36) % 3)[0] for of_one in means]
    shares = fine_variance_share(many)
    torch.testing.assert_close(shares, torch.ones_like(shares))
    assert shares.max() == 1, "a share is never greater, however sums are rounded"
    assert fine_variance_share(of_features(torch.eye(2).double()[[0, 0, 1, 1]], torch.tensor([0, 1, 0, 1]))).item() == 0


def test_a_scalar_linear_model_s_kernelised_similarity_is_the_inner_product_of_inputs():
    h, fine = features(0, 2, apart=3.0)
    update = of_linear_model(h, fine, torch.rand(len(h), generator=torch.Generator().manual_seed(0)).double())
    expected = best_named_share(kernel_clusters((h @ h.T).numpy(), 2), fine.numpy())
    assert kernel_fine_clustering_accuracy([update]).item() == expected


def test_each_super_class_is_asked_for_itself_and_one_fine_class_is_no_number():
    h, fine = features(0)
    near = of_linear_model(h, fine, torch.ones(len(h)).double())
    blurred = of_linear_model(torch.randn_like(h), fine, torch.ones(len(h)).double())
    result = relative_fine_clustering_accuracy([None, near, blurred])
    assert result[0].isnan()
    assert result[1] == 1
    assert result[2] < 0.8


def test_samples_that_their_own_step_does_not_move_are_left_out():
    h, fine = features(0, 2)
    steps = torch.ones(len(h)).double()
    steps[:3] = 0
    update = of_linear_model(h, fine, steps)
    for metric in (relative_fine_clustering_accuracy, kernel_fine_clustering_accuracy):
        assert metric([update]).item() == 1
    assert fine_locality([update]).isfinite()
    still = of_linear_model(h, fine, torch.zeros(len(h)).double())
    for metric in (relative_fine_clustering_accuracy, kernel_fine_clustering_accuracy, fine_locality,
                   relative_fine_neighbour_accuracy):  # fmt: skip
        assert metric([still]).isnan().all()


def test_metrics_do_not_change_what_they_read():
    h, fine = features(0, 2)
    update = of_linear_model(h, fine, torch.ones(len(h)).double())
    before = replace(update, norms=update.norms.clone(), products=update.products.clone())
    evaluate("elasticity", {"fine_updates": [update]})
    assert torch.equal(update.norms, before.norms)
    assert torch.equal(update.products, before.products)


def test_clusters_are_the_same_however_many_threads_there_are():
    draws = np.random.default_rng(0).standard_normal((700, 30))  # no clusters at all: nothing but rounding decides
    collected = []
    for threads in (1, 2, 4, 4):
        with threadpool_limits(threads, user_api="openmp"):
            collected.append(kernel_clusters(draws @ draws.T, 3).tolist())
    assert all(clusters == collected[0] for clusters in collected)
