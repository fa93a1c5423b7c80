"""Nearest stepped samples: of similarities made by hand, and of linear classifiers on data where they must be right."""

from __future__ import annotations

import torch
from torch import nn

import elastic
from elastic.metrics.similarity_neighbours import kernel_neighbour_accuracy, relative_neighbour_accuracy
from elastic.metrics.update import UpdateResponse


def reading(norms, products, own, rates, counted=None, observed=(0, 1)):
    norms, products = (torch.tensor(rows).double() for rows in (norms, products))
    nothing = torch.zeros(len(norms), 2).double()
    counted = torch.ones_like(norms, dtype=torch.bool) if counted is None else torch.tensor(counted)
    return UpdateResponse(
        2, torch.tensor([0, 1]), torch.tensor(observed), counted, norms, products,
        torch.tensor(own).double(), nothing, nothing, nothing, nothing, torch.tensor(rates).double(),
    )  # fmt: skip


def test_a_great_step_alone_makes_no_neighbour():
    # Sample 1 is stepped on with ten times the gradient: it moves both further, but not relatively.
    update = reading([[2.0, 1.0], [10.0, 20.0]], [[4.0, 2.0], [100.0, 400.0]], [2.0, 20.0], [2.0, 200.0])
    assert relative_neighbour_accuracy(update).item() == 1.0
    assert kernel_neighbour_accuracy(update).item() == 1.0


def test_one_moved_far_the_other_way_is_near_by_norm_and_not_by_kernel():
    update = reading([[1.0, 3.0], [3.0, 1.0]], [[1.0, -3.0], [-3.0, 1.0]], [1.0, 1.0], [1.0, 1.0])
    assert relative_neighbour_accuracy(update).item() == 0.0
    assert kernel_neighbour_accuracy(update).item() == 1.0


def test_a_sample_is_not_its_own_neighbour():
    same = [[False, True], [True, True]]
    update = reading([[9.0, 1.0], [1.0, 2.0]], [[9.0, 1.0], [1.0, 2.0]], [1.0, 1.0], [1.0, 1.0], same)
    assert relative_neighbour_accuracy(update).item() == 0.5
    assert kernel_neighbour_accuracy(update).item() == 0.5


def test_without_any_movement_there_is_no_neighbour():
    update = reading([[0.0, 0.0]] * 2, [[0.0, 0.0]] * 2, [0.0, 0.0], [0.0, 0.0])
    assert relative_neighbour_accuracy(update).isnan()
    assert kernel_neighbour_accuracy(update).isnan()


def test_classes_in_orthogonal_directions_are_told_apart_even_by_a_linear_classifier():
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(40) % 2
    x = torch.eye(4)[2 * y] + 0.5 * torch.eye(4)[2 * y + 1] * torch.rand(40, 1, generator=generator)
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    ds = elastic.measure_elasticity(net, (x[:10], y[:10]), (x[10:], y[10:]), layers=["1"]).sel(layer="1")
    assert float(ds.relative_neighbour_accuracy) == 1.0
    assert float(ds.kernel_neighbour_accuracy) == 1.0
