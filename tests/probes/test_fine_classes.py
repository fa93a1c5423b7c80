"""Fine classes inside super-classes: scored on test samples, each super-class apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from elastic.data.preparation import prepare
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.taps import Tapped
from elastic.probes.contract import Subject, build_probes

GROUPS = {"low": [0, 1, 2], "high": [5, 6], "alone": [9]}


def subject(**options):
    data = prepare("digits", {}, per_class=12, test_fraction=0.4, **options)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, len(data.train.classes)))
    return Subject(Tapped(net, ["1"]), build_loss("cross_entropy"), {"train": data.train, "test": data.test})


def test_nearest_means_are_of_train_samples_and_of_one_super_class():
    of = subject(superclasses=GROUPS)
    (probe,) = build_probes(of, {"fine_classes": {"per_class": 10, "shots": [3], "episodes": 4}}).values()
    table = probe.read(0)
    accuracies = []
    for part in probe.parts:  # not of the super-class of one class
        train, test = probe.fit.inputs.flatten(1).numpy(), probe.held.inputs.flatten(1).numpy()[part.held.numpy()]
        for episode in part.supports[3].numpy():
            means = np.stack([train[part.fit.numpy()][chosen].mean(axis=0) for chosen in episode])
            nearest = np.linalg.norm(test[:, None] - means, axis=2).argmin(axis=1)
            accuracies.append((len(episode), np.mean(nearest == part.held_labels.numpy())))
    of_parts = [np.mean([result for classes, result in accuracies if classes == count]) for count in (3, 2)]
    assert table["fine_few_shot_accuracy"][0, 0] == pytest.approx(np.mean(of_parts)), "layer 0 is the input"
    assert table["fine_linear_probe_accuracy"][0] > 0.9
    assert probe.declare().dims["layer"] == ("input", "1", "logits")


@pytest.mark.parametrize("options", [{"classes": [0, 1]}, {"superclasses": {"a": [0], "b": [1]}}])
def test_data_without_fine_classes_are_refused(options):
    with pytest.raises(ModelError, match=r"fine_classes|superclasses"):
        build_probes(subject(**options), {"fine_classes": {}})
