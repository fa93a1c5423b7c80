"""Training: the same bits whatever happens around it, and the steps that a textbook would take."""

from __future__ import annotations

import copy
import io
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import studies
from torch import nn

from elastic.checkpoint import FILE
from elastic.cube import Status
from elastic.data.contract import Samples
from elastic.losses import build_loss
from elastic.models.contract import Stages
from elastic.optimizers import build_optimizer
from elastic.registry import registry
from elastic.training import (
    Randomness,
    Trainer,
    batches,
    build_objective,
    deterministic_algorithms,
    evaluate,
    probed_epochs,
    train,
)  # fmt: skip

EPOCHS = 5

#: Everything that has a state of its own: momenta, second moments, a step count.
OPTIMIZERS = {
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
    "adam": {"lr": 0.01, "weight_decay": 1e-2},
    "adamw": {"lr": 0.01},
}


def points(count, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    return Samples(torch.randn(count, 4, generator=generator).to(dtype) + labels[:, None], labels, (0, 1, 2))


def make_trainer(
    seed=0, *, optimizer="sgd", options=None, schedule=lambda epoch: 1.0, batch_size=8, dtype=torch.float32,
    dropout=0.3, batch_norm=True, loss="cross_entropy", epochs=EPOCHS, penalties=None,
):  # fmt: skip
    randomness = Randomness(seed, torch.device("cpu"))
    with randomness.isolated_rng():
        hidden = [nn.Linear(4, 6), *([nn.BatchNorm1d(6)] if batch_norm else []), nn.ReLU(), nn.Dropout(dropout)]
        model = Stages({"penultimate": nn.Sequential(*hidden), "logits": nn.Linear(6, 3)}).to(dtype)
    return Trainer(
        objective=build_objective(model, build_loss(loss), penalties),
        optimizer=build_optimizer(optimizer, options or {"lr": 0.1, "momentum": 0.9}, model.parameters()),
        schedule=schedule,
        splits={"train": points(30, 1, dtype), "test": points(12, 2, dtype)},
        epochs=epochs,
        batch_size=batch_size,
        randomness=randomness,
    )


def finish(trainer, between=lambda: None):
    """Train to the end and return (epoch, losses, lr, gradient norm) of each snapshot."""
    collected = []
    for snapshot in train(trainer):
        collected.append((snapshot.epoch, snapshot.loss, snapshot.lr, snapshot.gradient_norm))
        between()
    return collected


def assert_same_state(found, expected):
    assert type(found) is type(expected)
    if isinstance(found, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(found, dict):
        assert found.keys() == expected.keys()
        for key in found:
            assert_same_state(found[key], expected[key])
    elif isinstance(found, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same_state(one, other)
    else:
        assert found == expected


def written_and_read(state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=True)


# The same bits


def test_a_training_yields_its_epochs_from_before_the_first_to_the_last():
    assert [epoch for epoch, *_ in finish(make_trainer())] == list(range(EPOCHS + 1))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("epoch", [0, 1, EPOCHS - 1])
def test_a_training_taken_up_from_its_state_is_the_unbroken_one(optimizer, epoch):
    def fresh(seed=0):
        schedule = registry("schedules").get("cosine").function
        return make_trainer(seed, optimizer=optimizer, options=OPTIMIZERS[optimizer],
                            schedule=lambda e: schedule(e, EPOCHS, final=0.0))  # fmt: skip

    unbroken, first = fresh(), fresh()
    result = finish(unbroken)
    for snapshot in train(first):
        if snapshot.epoch == epoch:
            break
    state = written_and_read(first.state_dict())
    second = fresh(seed=7)  # other weights, another order: all of it has to come from the state
    second.load_state_dict(state)
    rest = finish(second)
    assert [r[0] for r in rest] == ([0] if epoch == 0 else []) + list(range(epoch + 1, EPOCHS + 1))
    np.testing.assert_equal(rest[-(EPOCHS - epoch) :], result[epoch + 1 :])
    assert_same_state(second.state_dict(), unbroken.state_dict())


def noise():
    torch.manual_seed(5)
    torch.rand(100)
    np.random.seed(3)
    random.random()


def test_random_numbers_drawn_between_epochs_change_no_weight():
    quiet, disturbed = make_trainer(), make_trainer()
    finish(quiet)
    with torch.random.fork_rng():
        finish(disturbed, between=noise)
    assert_same_state(disturbed.state_dict(), quiet.state_dict())


def test_two_trainings_side_by_side_are_each_as_if_alone():
    alone = [make_trainer(seed) for seed in (0, 1)]
    for trainer in alone:
        finish(trainer)
    together = [make_trainer(seed) for seed in (0, 1)]
    for _ in zip(*(train(trainer) for trainer in together), strict=True):
        pass
    for one, other in zip(together, alone, strict=True):
        assert_same_state(one.state_dict(), other.state_dict())


def test_a_training_leaves_the_global_generators_as_they_were():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    finish(make_trainer())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


def test_a_seed_makes_weights_order_and_dropout():
    states = [make_trainer(seed) for seed in (0, 0, 1)]
    result = [finish(trainer) for trainer in states]
    np.testing.assert_equal(result[0], result[1])
    assert result[0][0][1] != result[2][0][1]
    assert not torch.equal(states[0].order.get_state(), states[2].order.get_state())
    assert not torch.equal(states[0].randomness.states["cpu"], states[2].randomness.states["cpu"])


@pytest.mark.parametrize(
    "probes",
    [(), ("probes.elasticity={update: finite, lr: 0.01}",), ("probes.at={name: every}",)],
    ids=["first order", "finite", "every epoch"],
)
def test_probes_change_no_bit_of_a_run(tmp_path, monkeypatch, probes):
    monkeypatch.setattr("elastic.study.Study.seal", lambda self: None)
    states = []
    for name, settings in (("probed", probes), ("bare", studies.NO_PROBES)):
        study = studies.run(tmp_path / name, "axes.seed=[3]", *settings)
        states.append(torch.load(study.run_folder(study.cells[0]["digest"]) / FILE, weights_only=True)["state"])
    assert_same_state(*states)


# The steps of a textbook


def test_full_batch_steps_are_gradient_descent_with_momentum_and_decay():
    lr, momentum, decay = 0.2, 0.5, 0.01
    factors = [1.0, 1.0, 0.1, 0.1]
    trainer = make_trainer(
        batch_size=None, dropout=0.0, batch_norm=False, dtype=torch.float64, epochs=len(factors), loss="mse",
        options={"lr": lr, "momentum": momentum, "weight_decay": decay}, schedule=lambda epoch: factors[epoch],
    )  # fmt: skip
    twin = copy.deepcopy(trainer.model)
    x, y = trainer.splits["train"].inputs, nn.functional.one_hot(trainer.splits["train"].labels, 3)
    velocity = [torch.zeros_like(p) for p in twin.parameters()]
    result = finish(trainer)
    for epoch, factor in enumerate(factors, start=1):
        loss = (twin(x) - y).square().sum() / (2 * len(x))
        gradients = torch.autograd.grad(loss, list(twin.parameters()))
        norm = sum(float(g.square().sum()) for g in gradients) ** 0.5
        with torch.no_grad():
            for p, v, g in zip(twin.parameters(), velocity, gradients, strict=True):
                v.mul_(momentum).add_(g + decay * p)
                p.sub_(lr * factor * v)
            after = float((twin(x) - y).square().sum() / (2 * len(x)))
        assert result[epoch][2] == lr * factor
        assert result[epoch][3] == pytest.approx(norm, rel=1e-12)
        assert result[epoch][1]["train"] == pytest.approx(after, rel=1e-12)
    for p, q in zip(trainer.model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


def test_minibatch_steps_go_through_the_batches_in_their_order():
    trainer = make_trainer(dropout=0.0, dtype=torch.float64, epochs=2, options={"lr": 0.1})
    twin, order = copy.deepcopy(trainer.model), torch.Generator().manual_seed(0)
    optimizer, data = torch.optim.SGD(twin.parameters(), lr=0.1), trainer.splits["train"]
    norms = []
    for _ in range(2):
        for batch in batches(len(data), 8, order):
            optimizer.zero_grad()
            nn.functional.cross_entropy(twin(data.inputs[batch]), data.labels[batch]).backward()
            norms.append(sum(float(p.grad.square().sum()) for p in twin.parameters()) ** 0.5)
            optimizer.step()
    result = finish(trainer)
    for name, value in trainer.model.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name], rtol=1e-12, atol=1e-14)
    assert result[2][3] == pytest.approx(np.mean(norms[len(norms) // 2 :]), rel=1e-12)


def test_before_training_there_is_neither_rate_nor_gradient():
    first = next(train(make_trainer()))
    assert (first.epoch, first.diverged) == (0, False)
    assert np.isnan([first.lr, first.gradient_norm]).all()


@given(samples=st.integers(2, 60), size=st.one_of(st.none(), st.integers(1, 70)), seed=st.integers(0, 9))
def test_batches_hold_each_sample_once_and_none_alone(samples, size, seed):
    cut = batches(samples, size, torch.Generator().manual_seed(seed))
    assert sorted(torch.cat(cut).tolist()) == list(range(samples))
    lengths = [len(batch) for batch in cut]
    if size is None:
        assert lengths == [samples]
    elif size > 1:
        assert min(lengths) > 1
        assert set(lengths[:-1]) <= {size}
        assert lengths[-1] <= size + 1
    else:
        assert set(lengths) == {1}


def test_the_order_of_the_samples_is_new_in_every_epoch():
    order = torch.Generator().manual_seed(0)
    first, second = (torch.cat(batches(30, 8, order)) for _ in range(2))
    assert not torch.equal(first, second)


# Scores


def test_scores_are_of_the_model_in_evaluation_mode():
    trainer = make_trainer(dropout=0.9)
    for snapshot in train(trainer):
        assert not any(module.training for module in snapshot.model.modules())
        twin = copy.deepcopy(snapshot.model).eval()
        for split, data in trainer.splits.items():
            with torch.no_grad():
                logits = twin(data.inputs)
            expected = nn.functional.cross_entropy(logits.double(), data.labels)
            assert snapshot.loss[split] == pytest.approx(float(expected), rel=1e-6)
            assert snapshot.accuracy[split] == float((logits.argmax(1) == data.labels).double().mean())


def test_scores_do_not_depend_on_how_the_samples_are_cut(monkeypatch):
    trainer = make_trainer(dtype=torch.float64)
    trainer.model.eval()
    whole = evaluate(trainer.model, trainer.loss, trainer.splits["train"])
    monkeypatch.setattr("elastic.training.evaluation.EVALUATION_BATCH", 7)
    assert evaluate(trainer.model, trainer.loss, trainer.splits["train"]) == pytest.approx(whole, rel=1e-12)


def test_a_training_that_diverges_ends_with_the_epoch_at_which_it_did():
    results = list(train(make_trainer(options={"lr": 1e30}, batch_norm=False)))
    assert [snapshot.diverged for snapshot in results] == [False] * (len(results) - 1) + [True]
    assert len(results) < EPOCHS + 1
    assert not np.isfinite(list(results[-1].loss.values())).all()


def test_a_diverged_run_is_sealed_with_what_it_has(tmp_path):
    study = studies.run(tmp_path, "optimizer.lr=1.0e30", "model.norm=none", "axes.seed=[0]", "loss=mse")
    assert [run.state for run in study.runs()] == ["diverged"]
    training, collapse = study.cube["training"].dataset.isel(seed=0), study.cube["collapse"].dataset.isel(seed=0)
    status = training["status"].values.tolist()
    end = status.index(Status.DIVERGED)
    assert status == [Status.DONE] * end + [Status.DIVERGED] * (len(status) - end)
    assert not np.isfinite(training["loss"].isel(epoch=end)).all()
    assert training["loss"].isel(epoch=slice(end + 1, None)).isnull().all()
    assert collapse["nc1"].sel(epoch=0, split="train").notnull().any()
    assert collapse["nc1"].sel(epoch=slice(end, None)).isnull().all()
    assert collapse["status"].sel(epoch=6) == Status.DIVERGED
    before = studies.contents(study.folder)
    again = studies.run(tmp_path, "optimizer.lr=1.0e30", "model.norm=none", "axes.seed=[0]", "loss=mse")
    assert studies.contents(again.folder) == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_run_is_trained_in_the_precision_that_is_asked(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("elastic.study.Study.seal", lambda self: None)
    study = studies.run(tmp_path, f"training.dtype={dtype}", "axes.seed=[0]", "training.epochs=1")
    state = torch.load(study.run_folder(study.cells[0]["digest"]) / FILE, weights_only=True)["state"]
    weights = [w for w in state["model"].values() if w.is_floating_point()]
    assert {w.dtype for w in weights} == {getattr(torch, dtype)}
    assert study.cube["collapse"].dataset["nc1"].notnull().any()


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1]),
        ("{name: multistep, milestones: [0.5, 3], gamma: 0.5}", [1, 1, 0.5, 0.25]),
        ("{name: cosine, final: 0.2}", [0.2 + 0.4 * (1 + np.cos(np.pi * e / 4)) for e in range(4)]),
    ],
    ids=["constant", "multistep", "cosine"],
)
def test_the_cube_tells_the_rate_at_which_each_epoch_was_trained(tmp_path, monkeypatch, schedule, factors):
    monkeypatch.setattr("elastic.study.Study.seal", lambda self: None)
    study = studies.run(
        tmp_path, *studies.NO_PROBES, "training.epochs=4", "axes.seed=[0]", f"optimizer.schedule={schedule}"
    )
    rates = study.cube["training"].dataset["lr"].isel(seed=0)
    np.testing.assert_allclose(rates, [np.nan, *(0.1 * np.array(factors))], rtol=1e-12)


def test_full_batch_is_one_step_an_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr("elastic.study.Study.seal", lambda self: None)
    study = studies.run(
        tmp_path, *studies.NO_PROBES, "training={epochs: 3, batch_size: null}", "axes.seed=[0]",
        "optimizer={name: adam}",
    )  # fmt: skip
    state = torch.load(study.run_folder(study.cells[0]["digest"]) / FILE, weights_only=True)["state"]
    assert {int(of_parameter["step"]) for of_parameter in state["optimizer"]["state"].values()} == {3}


@pytest.mark.parametrize("wanted", [True, False])
def test_kernels_are_deterministic_where_it_is_asked_and_the_model_is_projected_after_each_step(monkeypatch, wanted):
    trainer, seen, projected = make_trainer(), [], []
    trainer.deterministic = wanted
    trainer.model.register_forward_pre_hook(lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    monkeypatch.setattr(trainer.model, "project", lambda: projected.append(len(seen)))
    trainer.train_epoch()
    assert set(seen) == {wanted}
    assert projected == [1, 2, 3, 4]  # 30 samples in batches of 8


def test_the_norm_of_the_gradient_is_that_where_a_search_begins():
    trainer = make_trainer(
        optimizer="lbfgs",
        options={"iterations": 3},
        batch_size=None,
        dropout=0.0,
        batch_norm=False,
        dtype=torch.float64,
    )
    train_part = trainer.splits["train"]
    value = trainer.objective.batch(train_part.inputs, train_part.labels)
    gradients = torch.autograd.grad(value, list(trainer.model.parameters()))
    expected = torch.cat([one.flatten() for one in gradients]).norm().item()
    assert trainer.train_epoch()[1] == pytest.approx(expected, rel=1e-12)


# Probe schedules


@given(
    schedule=st.sampled_from(["log", "linear", "every", "listed"]),
    epochs=st.integers(1, 400),
    number=st.integers(2, 30),
)
def test_probed_epochs_ascend_from_before_training_to_the_last(schedule, epochs, number):
    options = {"log": {"count": number}, "linear": {"count": number}, "every": {"step": number},
               "listed": {"values": [number, 1, number]}}[schedule]  # fmt: skip
    probed = probed_epochs(schedule, options, epochs)
    assert probed == sorted(set(probed))
    assert (probed[0], probed[-1]) == (0, epochs)
    assert all(type(epoch) is int for epoch in probed)
    if schedule in ("log", "linear"):
        assert len(probed) <= number + 1


@pytest.mark.parametrize("wanted", [True, False])
def test_deterministic_kernels_are_asked_for_as_long_as_an_epoch_lasts(wanted):
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic_algorithms(wanted):
        assert torch.are_deterministic_algorithms_enabled() is wanted
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_choice_to_only_warn_of_other_algorithms_is_kept():
    torch._C._set_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic_algorithms(True):
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch._C._set_deterministic_algorithms(False, warn_only=False)
