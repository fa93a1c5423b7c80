"""Strengths and separability, against locally elastic dynamics that are simulated with known α(t) and β(t)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from elastic.analysis.separability import separability, separation_rate, strengths_of_course
from elastic.errors import OptionError
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.spectrum import class_mean_spectrum, class_mean_spectrum_centred

NUMBERS = st.floats(-3, 3)


def matrix(alpha, beta, classes):
    return beta + (alpha - beta) * np.eye(classes)


@given(NUMBERS, NUMBERS, st.integers(2, 12))
def test_the_rate_is_the_least_eigenvalue_of_the_matrix_of_effects(alpha, beta, classes):
    result = float(separation_rate(xr.DataArray(alpha), xr.DataArray(beta), classes))
    assert result == pytest.approx(np.linalg.eigvalsh(matrix(alpha, beta, classes)).min(), abs=1e-12)


def course(values, time, **coords):
    return xr.DataArray(values, dims="epoch", coords={"epoch": time, **coords})


@pytest.mark.parametrize(("power", "separable"), [(0.5, 1), (0.0, 1), (-0.9, 1), (-1.1, 0), (-2.0, 0)])
def test_rates_that_fall_more_slowly_than_the_time_separate(power, separable):
    t = np.geomspace(1, 1000, 12)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(12))
    estimates = separability(course(2.5 * t**power * noise, t))
    assert float(estimates.exponent) == pytest.approx(power, abs=0.03)
    assert float(estimates.separable) == separable
    assert float(estimates.least) > 0


def test_a_rate_that_is_not_positive_to_the_end_does_not_separate():
    t = np.arange(1.0, 30.0)
    estimates = separability(course(1 - t / 20, t))
    assert float(estimates.separable) == 0
    assert math.isnan(estimates.exponent)
    early = separability(course(np.where(t < 5, -1.0, 1.0), t), since=6)
    assert float(early.separable) == 1  # what was before the tail does not count


def test_a_tail_of_two_probes_and_the_time_before_training_tell_nothing():
    assert math.isnan(separability(course([1.0, 1.0, 1.0], [0, 50, 100])).separable)
    t = [0.0, 20.0, 40.0, 100.0]
    assert float(separability(course([np.nan, 1.0, 1.0, 1.0], t), since=0).exponent) == pytest.approx(0)
    assert int(separability(course([5.0, 1.0, 1.0, 1.0], t), since=0).probes) == 3


def test_seeds_and_settings_are_kept_apart():
    t = np.geomspace(1, 100, 9)
    rates = xr.concat([course(t**p, t) for p in (-0.5, -1.5)], dim="seed")
    estimates = separability(rates)
    assert estimates.separable.values.tolist() == [1, 0]
    assert estimates.exponent.dims == ("seed",)


def spectra(means, times):
    """Return both spectra of class means [time, K, d], as the cube has them."""
    labels = torch.arange(means.shape[1])
    both = [ClassStatistics.of(torch.tensor(at), labels) for at in means]
    coords = {"epoch": times}
    return tuple(
        xr.DataArray(np.stack([spectrum(s).numpy() for s in both]), dims=("epoch", "component"), coords=coords)
        for spectrum in (class_mean_spectrum, class_mean_spectrum_centred)
    )


def start(classes, d, seed=0):
    return 1 + np.random.default_rng(seed).standard_normal((classes, d))


@pytest.mark.parametrize("classes", [2, 5])
def test_the_course_of_the_exact_solution_tells_the_strengths_that_made_it(classes):
    # α = a/√(1+t), β = b/(1+t): E has the same eigenvectors at all times, so that its exponential is known.
    a, b, times = 1.5, -0.2, np.linspace(0, 4, 201)
    A, B = 2 * a * (np.sqrt(1 + times) - 1), b * np.log1p(times)
    means = start(classes, 6)
    common, apart = means.mean(0), means - means.mean(0)
    grown = [
        np.exp((up + (classes - 1) * other) / classes) * common + np.exp((up - other) / classes) * apart
        for up, other in zip(A, B, strict=True)
    ]
    estimates = strengths_of_course(*spectra(np.stack(grown), times))
    np.testing.assert_allclose(estimates.intra_integral, A, atol=1e-10)
    np.testing.assert_allclose(estimates.inter_integral, B, atol=1e-10)
    inner = slice(1, -1)
    np.testing.assert_allclose(estimates.intra[inner], (a / np.sqrt(1 + times))[inner], atol=1e-3)
    np.testing.assert_allclose(estimates.inter[inner], (b / (1 + times))[inner], atol=1e-3)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.3), (0.8, -0.1), (0.5, 0.5)])
def test_simulated_stochastic_dynamics_tell_their_strengths(alpha, beta):
    """One class and one sample of it are drawn at each step; all samples of class k move by h E_kl X + √h σ ζ."""
    K, n, d, h, steps, sigma = 3, 40, 8, 0.002, 2000, 0.02
    draws = np.random.default_rng(1)
    E, X = matrix(alpha, beta, K), start(K, d)[:, None] + 0.1 * draws.standard_normal((K, n, d))
    kept = [X.mean(1)]
    for step in range(1, steps + 1):
        drawn, sample = draws.integers(K), draws.integers(n)
        X = X + h * E[:, drawn, None, None] * X[drawn, sample] + math.sqrt(h) * sigma * draws.standard_normal(X.shape)
        if step % 100 == 0:
            kept.append(X.mean(1))
    T = h * steps
    estimates = strengths_of_course(*spectra(np.stack(kept), np.linspace(0, T, len(kept)))).isel(epoch=-1)
    assert float(estimates.intra_integral) / T == pytest.approx(alpha, abs=0.05)
    assert float(estimates.inter_integral) / T == pytest.approx(beta, abs=0.05)


def test_probes_that_are_missing_are_bridged_and_a_mean_at_zero_has_no_growth():
    times = np.linspace(0, 2, 21)
    means = np.exp(times)[:, None, None] * start(3, 4)
    whole, centred = spectra(means, times)
    gap = (whole.epoch > 0.5) & (whole.epoch < 1)
    estimates = strengths_of_course(whole.where(~gap), centred.where(~gap))
    np.testing.assert_allclose(estimates.intra[~gap], 3.0, rtol=1e-9)  # all grows by e^t: (α + 2β)/3 = (α − β)/3 = 1
    np.testing.assert_allclose(estimates.inter[~gap], 0.0, atol=1e-9)
    assert estimates.intra[gap].isnull().all()
    about_zero = strengths_of_course(centred, centred)
    assert about_zero.intra.isnull().all()


def test_a_cube_keeps_its_other_dims():
    whole, centred = spectra(np.exp(np.linspace(0, 1, 5))[:, None, None] * start(3, 4), np.arange(5.0))
    both = [xr.concat([values, values], dim="seed") for values in (whole, centred)]
    estimates = strengths_of_course(*both)
    assert dict(estimates.intra.sizes) == {"seed": 2, "epoch": 5}


def test_what_makes_no_sense_is_told():
    one = xr.DataArray(1.0)
    with pytest.raises(OptionError, match="at least 2"):
        separation_rate(one, one, 1)
    with pytest.raises(OptionError, match="epoch"):
        separability(one)
