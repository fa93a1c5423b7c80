"""Models of free features: what they are made of. Where training ends stands in test_closed_forms.py."""

import pytest
import torch

from elastic.data.preparation import prepare
from elastic.errors import ModelError
from elastic.models.building import build_model
from elastic.models.contract import Task
from elastic.models.layer_peeled import LayerPeeled


def test_projection_gives_the_nearest_point_of_the_ellipsoid():
    torch.manual_seed(0)
    labels = torch.tensor([0, 0, 0, 0, 1])
    features = torch.nn.Linear(5, 3, bias=False).double()
    start = features.weight.detach().clone() * 10
    features.weight.data.copy_(start)
    model = LayerPeeled(features, torch.nn.Linear(3, 2, bias=False).double(), labels, 0.5, 1.0)
    share = torch.tensor([1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2], dtype=torch.float64)  # 1/(K n_k)
    u = features.weight.detach()
    assert (share * u.square().sum(0)).sum() == pytest.approx(0.5, rel=1e-9)
    # At the nearest point the way there is normal to the surface: v − u = μ · share · u.
    multiplier = ((start - u) / (share * u)).flatten()
    torch.testing.assert_close(multiplier, multiplier.mean().expand_as(multiplier))
    model.project()
    torch.testing.assert_close(features.weight.detach(), u, rtol=1e-9, atol=0)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("spread", [1.0, 1e4])
def test_projection_ends_on_the_surface_however_far_it_starts(size, spread):
    squares = size * torch.linspace(1, 5, 9, dtype=torch.float64)
    share = torch.logspace(0, 1, 9, base=spread, dtype=torch.float64)
    energy = 1e-6 * (share * squares).sum().item()
    shrinkage = LayerPeeled._shrinkage(squares, share, energy)
    assert (share * squares * shrinkage.square()).sum().item() == pytest.approx(energy, rel=1e-12)


def test_indices_are_unit_vectors_whatever_the_normalisation():
    data = prepare("indices", {"per_class_counts": [3, 2]}, normalize="standardize")
    assert torch.equal(data.train.inputs, torch.eye(5))
    assert torch.equal(data.test.inputs, data.train.inputs)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]


def test_free_features_need_one_index_a_sample():
    labels = torch.arange(6) % 2
    with pytest.raises(ModelError, match="one-hot indices"):
        build_model("unconstrained_features", {"width": 3}, Task((1, 8, 8), 10))
    with pytest.raises(ModelError, match="one-hot indices"):
        build_model("unconstrained_features", {"width": 3}, Task((5,), 2, labels=labels))
    with pytest.raises(ModelError, match="train labels"):
        build_model("layer_peeled", {"width": 3}, Task((6,), 2))
