from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from support.pretended_device import Pretended, PretendedDevice, pretend

from elastic.metrics.class_statistics import read_classes
from elastic.metrics.on_processor import fetch, on_processor
from elastic.metrics.tabulation import tabulate


@dataclass(frozen=True)
class Reading:
    held: torch.Tensor
    several: tuple
    count: int = 3


class OnDemand(Mapping):
    """Computes its values anew whenever they are asked for."""

    def __init__(self, functions):
        self.functions = functions

    def __getitem__(self, name):
        return self.functions[name]()

    def __iter__(self):
        return iter(self.functions)

    def __len__(self):
        return len(self.functions)


@pytest.fixture
def device():
    with PretendedDevice() as device:
        yield device


def test_readings_of_all_kinds_are_transferred_with_one_wait_for_each_dtype(device):
    shared = pretend(torch.arange(6).reshape(2, 3))
    readings = {
        "one": Reading(pretend(torch.eye(2)), (None, [Reading(shared, ())])), "labels": shared, "name": "x",
        "here": torch.ones(2),
    }  # fmt: skip
    result = on_processor(readings)
    assert device.waits == 2
    assert result["one"].held.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert result["one"].count == 3
    assert result["one"].several[0] is None
    assert type(result["one"].several[1]) is list
    assert result["one"].several[1][0].held is result["labels"]
    assert result["labels"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert result["labels"].device.type == "cpu"
    assert result["name"] == "x"
    assert result["here"] is readings["here"]


def test_a_mapping_that_computes_its_values_on_request_is_asked_once(device):
    readings = OnDemand({"labels": lambda: pretend(torch.tensor([1, 2]))})
    assert on_processor(readings)["labels"].tolist() == [1, 2]


def test_large_readings_and_unknown_objects_stay_where_they_are_together(device):
    small, large = pretend(torch.ones(2)), pretend(torch.ones(3))
    for readings in ({"a": small, "b": large}, {"a": small, "unknown": object()}):
        assert on_processor(readings, most=4)["a"] is small
    assert [type(part) for part in fetch([small, large], most=4)] == [Pretended, Pretended]
    assert device.waits == 0


@pytest.mark.parametrize("counts", [(4, 4, 4), (2, 3, 7)])
def test_collapse_of_features_elsewhere_is_that_of_the_processor_with_few_waits(device, counts):
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    layers = {f"layer {depth}": torch.randn(12, 5 + depth, dtype=torch.float64) for depth in range(4)}

    def table(place):
        batches = [({name: place(h[part]) for name, h in layers.items()}, place(labels[part]))
                   for part in (slice(0, 7), slice(7, 12))]  # fmt: skip
        readings = read_classes(lambda: batches, 3)
        assert all(reading.statistics.means.device.type == "cpu" for reading in readings.values())
        by_layer = {
            name: {"statistics": reading.statistics, "nearest": reading.nearest, "labels": reading.labels}
            for name, reading in readings.items()
        }
        return tabulate("collapse", tuple(layers), by_layer)

    expected, result = table(lambda tensor: tensor), table(pretend)
    assert result.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(result[name], values, rtol=1e-9, atol=1e-12, err_msg=name)
    assert device.waits <= 8 + 4 * len(layers)  # labels of a batch in a pass; a pass and a dtype of a layer
