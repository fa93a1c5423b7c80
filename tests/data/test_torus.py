"""The torus of He and Su: where its samples lie, and what its geodesic coordinate survives."""

import math

import numpy as np
import pytest
import torch

from elastic.data.preparation import prepare
from elastic.data.torus import torus


def drawn(**options):
    return torus(torch.Generator().manual_seed(1), **options)


def test_each_sample_lies_on_the_tube_at_its_angle_and_the_classes_are_opposite():
    samples = drawn(samples_per_class=200, radius=5.0, twists=3)
    x, y, z = samples.inputs.double().numpy().T
    angle = samples.geodesic.numpy()
    np.testing.assert_allclose(np.arctan2(y, x), angle, atol=1e-6)
    np.testing.assert_allclose((np.hypot(x, y) - 5) ** 2 + z**2, 1, atol=1e-5)
    side = np.where(samples.labels.numpy() == 1, 1, -1)
    np.testing.assert_allclose(np.hypot(x, y) - 5, side * np.sin(3 * angle), atol=1e-5)
    np.testing.assert_allclose(z, side * np.cos(3 * angle), atol=1e-5)


def test_distances_go_the_shorter_way_around():
    samples = drawn(samples_per_class=40)
    result = samples.geodesic_distances(samples).numpy()
    on_circle = np.exp(1j * samples.geodesic.numpy())
    expected = np.abs(np.angle(on_circle[:, None] / on_circle[None, :]))
    np.testing.assert_allclose(result, expected, atol=1e-12)
    assert result.max() <= math.pi


def test_the_coordinate_stays_with_its_sample_through_split_choice_and_normalisation():
    for normalize in ("none", "standardize"):
        data = prepare("torus", {"samples_per_class": 60}, per_class=20, test_fraction=0.5, normalize=normalize)
        assert (len(data.train), len(data.test)) == (40, 60)
        for part in (data.train, data.test):
            centred = part.inputs.double() - (0 if normalize == "none" else data.train.inputs.double().mean())
            if normalize == "none":
                angle = torch.atan2(centred[:, 1], centred[:, 0])
                torch.testing.assert_close(angle, part.geodesic, atol=1e-5, rtol=0)
            assert part.geodesic_period == pytest.approx(2 * math.pi)


def test_data_without_a_curve_have_no_distances():
    data = prepare("digits", {}, per_class=5)
    assert data.train.geodesic_distances(data.train) is None
