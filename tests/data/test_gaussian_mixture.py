import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elastic.data.digits import digits
from elastic.data.gaussian_mixture import class_means, gaussian_mixture, simplex
from elastic.errors import OptionError
from elastic.registry import registry


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=30, deadline=None)
@given(vertices=st.integers(2, 30))
def test_the_simplex_has_the_gram_matrix_of_an_etf(vertices):
    v = simplex(vertices)
    assert v.shape == (vertices, vertices - 1)
    torch.testing.assert_close(v @ v.T, torch.eye(vertices, dtype=torch.float64) - 1 / vertices)


@settings(max_examples=30, deadline=None)
@given(components=st.integers(2, 12), extra=st.integers(-1, 20), separation=st.floats(0.1, 50), seed=st.integers(0, 99))
def test_means_are_a_centred_simplex_where_it_fits(components, extra, separation, seed):
    means = class_means(components, max(components + extra, components - 1), separation, seeded(seed))
    distances = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    off_diagonal = distances[~torch.eye(components, dtype=torch.bool)]
    torch.testing.assert_close(off_diagonal, torch.full_like(off_diagonal, separation))
    torch.testing.assert_close(means.sum(0) / separation, torch.zeros(means.shape[1], dtype=torch.float64))


def test_where_it_does_not_fit_means_have_the_length_of_the_simplexs():
    narrow, wide = class_means(6, 2, 3.0, seeded()), class_means(6, 5, 3.0, seeded())
    torch.testing.assert_close(narrow.norm(dim=1), wide.norm(dim=1))


def test_each_class_is_an_isotropic_gaussian_of_unit_variance_around_its_mean():
    components, dim, count = 3, 4, 20_000
    samples = gaussian_mixture(seeded(), components=components, dim=dim, samples_per_class=count, separation=5.0)
    means = class_means(components, dim, 5.0, seeded())
    for k in range(components):
        members = samples.inputs[samples.labels == k].double()
        assert len(members) == count
        # four standard errors of a mean, and of a covariance, of 20,000 samples
        assert (members.mean(0) - means[k]).abs().max() < 4 / count**0.5
        assert (members.T.cov() - torch.eye(dim)).abs().max() < 4 * (2 / count) ** 0.5


def test_the_generator_alone_decides():
    torch.manual_seed(1)
    one = gaussian_mixture(seeded(5), samples_per_class=3).inputs
    torch.manual_seed(2)
    assert torch.equal(one, gaussian_mixture(seeded(5), samples_per_class=3).inputs)
    assert not torch.equal(one, gaussian_mixture(seeded(6), samples_per_class=3).inputs)


def test_digits_are_those_of_scikit_learn():
    samples = digits(torch.Generator())
    assert samples.inputs.shape == (1797, 1, 8, 8)
    assert samples.inputs.dtype == torch.float32
    assert (samples.inputs.min(), samples.inputs.max()) == (0, 16)
    assert torch.bincount(samples.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # the first digit's picture is a ring: dark corners, an empty middle
    assert samples.labels[0] == 0
    assert samples.inputs[0, 0, 2].tolist() == [0, 3, 15, 2, 0, 11, 8, 0]
    assert samples.is_test is None


@pytest.mark.parametrize("options", [{"components": 1}, {"dim": 0}, {"samples_per_class": 0}, {"separation": -1.0}])
def test_senseless_options_are_refused(options):
    with pytest.raises(OptionError):
        registry("data").get("gaussian_mixture").complete(options)
