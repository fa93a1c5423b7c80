"""``training.evaluate``: epochs without loss and accuracy are NaN and said to be so, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support import studies

from elastic.protocol import load_protocol

#: Epochs at which each value evaluates, of 0 … 6; probed are 0, 1, 2 and 6.
EPOCHS = {"every": range(7), "probed": (0, 1, 2, 6), "fourth": (0, 4, 6)}

pytestmark = pytest.mark.usefixtures("few_metrics", "unsealed")


@pytest.fixture(scope="module")
def study(few_metrics, tmp_path_factory):
    """Return one run by every value; its probes are those of the finished study."""
    axis = "axes.evaluate={path: training.evaluate, values: [every, probed, 4], labels: [every, probed, fourth]}"
    return studies.run(tmp_path_factory.mktemp("evaluate"), "axes.seed=[0]", axis)


def test_scores_are_those_of_every_epoch_or_not_there(study, study_of_few):
    expected = study_of_few.cube["training"].sel(seed=0)
    result = study.cube["training"].sel(seed=0)
    for value, epochs in EPOCHS.items():
        there = np.isin(expected.epoch, list(epochs))
        one = result.sel(evaluate=value)
        for name in ("loss", "accuracy", "objective"):
            full = expected[name].transpose("epoch", ...).values
            wanted = np.where(there.reshape(-1, *[1] * (full.ndim - 1)), full, np.nan)
            np.testing.assert_array_equal(one[name].transpose("epoch", ...).values, wanted, err_msg=f"{value} {name}")
        if value != "every":
            np.testing.assert_array_equal(one.scores_evaluated, there)
        np.testing.assert_array_equal(one.gradient_norm, expected.gradient_norm)
        assert (one.status == 1).all()


def test_what_is_probed_is_the_same(study, study_of_few):
    expected = study_of_few.cube["collapse"].nc1.sel(seed=0)
    for place in range(3):
        np.testing.assert_array_equal(study.cube["collapse"].nc1.sel(seed=0).isel(evaluate=place), expected)


def test_a_protocol_that_evaluates_every_epoch_has_the_digest_of_one_that_does_not_say_so(tmp_path):
    path = studies.write(tmp_path)
    digests = [
        load_protocol(path, settings=settings).digest
        for settings in ([], ["training.evaluate=every"], ["training.evaluate=probed"])
    ]
    assert digests[0] == digests[1] != digests[2]


def test_a_training_that_diverges_is_seen_at_an_epoch_that_is_not_evaluated(tmp_path):
    settings = ("axes.seed=[0]", "training.evaluate=6", "optimizer.lr=1.0e+30", "model.norm=none", *studies.NO_PROBES)
    result = studies.run(tmp_path, *settings).cube["training"].sel(seed=0)
    last = int(result.epoch.where(result.status == 2, drop=True)[0])
    assert 0 < last < 6
    assert not np.isfinite(result.loss.sel(epoch=last)).all()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam])
def test_a_step_without_the_compiler_is_the_step_of_torch(monkeypatch, optimizer):
    import sys

    from elastic.optimizers import step_of

    def moved(direct):
        weight = torch.nn.Parameter(torch.arange(4.0))
        made = optimizer([weight], lr=0.1, weight_decay=0.1)
        step = step_of(made)
        for number in range(3):
            weight.grad = torch.cos(weight.detach() + number)
            if direct:
                monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
                step()
                monkeypatch.undo()
            else:
                made.step()
        return weight.detach()

    assert torch.equal(moved(True), moved(False))
