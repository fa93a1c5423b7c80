import pytest
import torch

from elastic.data.linked_rings import linked_rings
from elastic.errors import OptionError
from elastic.registry import registry


def rings(seed=0, **options):
    samples = linked_rings(torch.Generator().manual_seed(seed), **options)
    return samples.inputs.double(), samples.labels


def centre_line(ring, count=720):
    """Points on the centre line of the flat ring (0) or the upright one (1)."""
    turn = 2 * torch.pi * torch.arange(count, dtype=torch.float64) / count
    x, other, still = turn.cos(), turn.sin(), torch.zeros(count, dtype=torch.float64)
    return torch.stack([x - 0.5, other, still] if ring == 0 else [x + 0.5, still, other], dim=1)


@pytest.mark.parametrize("ring", [0, 1])
def test_each_sample_lies_one_tube_radius_from_its_own_line_and_further_from_the_other(ring):
    x, y = rings(samples_per_class=400, thickness=0.2)
    own, other = (torch.cdist(x[y == ring], centre_line(k)).amin(1) for k in (ring, 1 - ring))
    torch.testing.assert_close(own, torch.full_like(own, 0.2), atol=1e-4, rtol=0)
    assert (other > 0.5).all()


def test_the_rings_are_linked():
    # The upright line crosses the flat ring's disc once: at (−1/2, 0, 0), its centre.
    line = centre_line(1)
    crossing = line[line[:, 2].abs() < 1e-9]
    inside = (crossing + torch.tensor([0.5, 0.0, 0.0])).norm(dim=1) < 1
    assert inside.sum() == 1


def test_no_plane_parts_the_rings():
    from sklearn.linear_model import LogisticRegression

    x, y = rings(samples_per_class=500)
    fitted = LogisticRegression(C=1e6).fit(x.numpy(), y.numpy())
    assert fitted.score(x.numpy(), y.numpy()) < 0.85


def test_the_generator_alone_decides():
    torch.manual_seed(1)
    one, _ = rings(5, samples_per_class=3)
    torch.manual_seed(2)
    assert torch.equal(one, rings(5, samples_per_class=3)[0])
    assert not torch.equal(one, rings(6, samples_per_class=3)[0])


@pytest.mark.parametrize("options", [{"thickness": 0.5}, {"thickness": -0.1}, {"samples_per_class": 0}])
def test_rings_that_touch_or_are_empty_are_refused(options):
    with pytest.raises(OptionError):
        registry("data").get("linked_rings").complete(options)
