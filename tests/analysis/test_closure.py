"""The account of class means closes for short steps and stays open for long ones, beside a network written in NumPy."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from support import studies
from support import written_network as twin

import elastic
from elastic.analysis.closure import closure
from elastic.claims.checking import verdict_on
from elastic.data.contract import Samples
from elastic.errors import ModelError, NotMeasured, OptionError
from elastic.losses import build_loss
from elastic.models.taps import Tapped
from elastic.probes.contract import Subject, build_probes

pytestmark = pytest.mark.usefixtures("unsealed")

LAYERS = ("hidden", "logits")
OFF = ("probes.collapse=null", "probes.elasticity=null")
SHORT = {"lr": 0.002, "steps": 400, "every": 20}


def recorded(folder, x, labels, path, *, every, lr, probe, loss="cross_entropy"):
    """Record every few of the parameters [steps + 1] of a path as a study, one step an epoch."""
    net = twin.module()
    at = list(range(0, len(path), every))
    probes = {"at": at, "collapse": None, "elasticity": None, "class_steps": probe}
    train = torch.as_tensor(x), torch.as_tensor(labels)
    with elastic.Recorder(
        folder, net, layers=["1", "2"], train=train, probes=probes, evaluate=False, loss=loss
    ) as recorder:
        for number in at:
            twin.load(net, path[number])
            recorder.record(number, lr=lr(number - 1) if callable(lr) else lr)
    return elastic.open_study(folder).cube


def account(folder, *, steps, every, lr, momentum=0.0, decay=0.0, nesterov=False, counts=(6, 6, 6)):
    """Return the cube, its account, and the path of a training."""
    x, labels = twin.data(counts)
    path = twin.train(x, labels, steps=steps, lr=lr, momentum=momentum, decay=decay, nesterov=nesterov)
    probe = {"momentum": momentum, "nesterov": nesterov, "steps_per_epoch": 1, "weight_decay": decay}
    cube = recorded(folder, x, labels, path, every=every, lr=lr, probe=probe)
    return cube, closure(cube).isel(seed=0), path, x, labels


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"counts": (3, 6, 9)},
        {"decay": 0.05},
        {"momentum": 0.8, "lr": 0.0003},
        {"momentum": 0.8, "lr": 0.0003, "nesterov": True, "decay": 0.05},
        {"lr": lambda step: 0.002 if step < 240 else 0.0005},
    ],
    ids=["plain", "unequal classes", "decay", "momentum", "nesterov and decay", "schedule"],
)
def test_the_account_of_short_steps_closes(tmp_path, rule):
    _, result, path, x, labels = account(tmp_path, **{**SHORT, **rule})
    for place, layer in enumerate(LAYERS):
        changes = result["mean_gram_change"].isel(layer=place)
        wanted = twin.gram(path[-1], x, labels, layer) - twin.gram(path[0], x, labels, layer)
        np.testing.assert_allclose(changes.sum("epoch"), wanted, atol=1e-12)
    assert (result["residual"] < 0.02).all()
    assert (result["total_residual"] < 0.01).all()
    assert (result["log_ratio_residual"] < 0.01).all()
    for name in ("between", "within", "log_ratio"):
        whole = sum(result[f"{name}_{part}"] for part in ("own", "other", "decay"))
        np.testing.assert_allclose(result[f"{name}_account"], whole, rtol=1e-12)
        np.testing.assert_allclose(whole.sum("epoch"), result[f"{name}_change"].sum("epoch"), rtol=0.01)


def test_without_the_decay_or_the_momentum_of_training_it_stays_open(tmp_path):
    cube, result, *_ = account(tmp_path, **{**SHORT, "lr": 0.0003, "momentum": 0.8, "decay": 0.3})
    assert (result["total_residual"] < 0.02).all()
    assert (closure(cube, momentum=0.0)["total_residual"] > 0.5).all()
    part = result["between_decay"].sum("epoch") / result["between_change"].sum("epoch")
    assert (abs(part) > 0.2).all()


def test_the_account_of_long_steps_stays_open(tmp_path):
    _, result, *_ = account(tmp_path, lr=6.0, steps=20, every=1)
    assert (result["total_residual"] > 0.5).all()
    assert (result["total_r_squared"] < 0.75).all()


def test_it_sums_the_rates_of_every_step_where_every_step_is_probed(tmp_path):
    rule = {"lr": 0.3, "momentum": 0.6, "decay": 0.02}
    _, result, path, x, labels = account(tmp_path, steps=8, every=1, **rule)
    for place, layer in enumerate(LAYERS):
        steps = [
            [-(g + rule["decay"] * p) for g, p in zip(twin.gradient(theta, x, labels), theta, strict=True)]
            for theta in path
        ]
        rates = [twin.along(lambda t: twin.gram(t, x, labels, layer), *at) for at in zip(path, steps, strict=True)]  # noqa: B023
        middle = [(one + other) / 2 for one, other in pairwise(rates)]
        wanted = []
        for now in range(len(middle)):
            since = [rule["momentum"] ** (now - then) for then in range(now + 1)]
            then = sum(weight * rate for weight, rate in zip(since, middle, strict=False))
            wanted.append(rule["lr"] * (then + sum(since) * middle[now]) / 2)
        np.testing.assert_allclose(result["mean_gram_account"].isel(layer=place), wanted, rtol=1e-6, atol=1e-9)


def test_what_has_no_logarithm_or_does_not_move_has_no_share_of_it(tmp_path):
    cube, *_ = account(tmp_path, steps=2, every=1, lr=0.1)
    held = cube["class_steps"].dataset.load()
    middle = held["epoch"] == 1
    cube["class_steps"] = held.assign(
        class_variance=held["class_variance"].where(~middle, 0.0),
        mean_gram=held["mean_gram"].where(~middle, held["mean_gram"].sel(epoch=0)),
    )
    estimates = closure(cube).isel(seed=0)
    assert estimates["log_ratio_change"].isnull().all()
    changes = estimates["within_change"].transpose("epoch", "layer").values
    assert (changes[0] == -held["class_variance"].sel(epoch=0).isel(seed=0).mean("class")).all()
    assert (changes[1] == held["class_variance"].sel(epoch=2).isel(seed=0).mean("class")).all()
    assert estimates["r_squared"].isnull().transpose("epoch", "layer").values.tolist() == [[True] * 2, [False] * 2]


def test_its_variables_say_their_units_and_bounds(tmp_path):
    _, result, *_ = account(tmp_path, steps=2, every=1, lr=0.1)
    bounds = {name: one.attrs["value_bounds"] for name, one in result.items() if "value_bounds" in one.attrs}
    shares, rest = ["-inf", "1.0"], ["0.0", "inf"]
    assert bounds == {
        "r_squared": shares, "total_r_squared": shares,
        "residual": rest, "total_residual": rest, "log_ratio_residual": rest,
    }  # fmt: skip
    squared = {name for name, one in result.items() if one.attrs["units"] == "squared feature"}
    parts = ("change", "account", "own", "other", "decay")
    assert squared == {"mean_gram_change", "mean_gram_account"} | {
        f"{name}_{part}" for name in ("between", "within") for part in parts
    }
    assert {one.attrs["units"] for name, one in result.items() if name not in squared} == {"1"}


def test_rates_are_those_of_steps_on_single_classes(tmp_path):
    cube, _, path, x, labels = account(tmp_path, steps=2, every=1, lr=0.1, decay=0.4, counts=(3, 6, 9))
    held = cube["class_steps"].isel(seed=0, epoch=1)
    np.testing.assert_allclose(held["step_share"], [3 / 18, 6 / 18, 9 / 18])
    for place, layer in enumerate(LAYERS):
        grams, spreads = (lambda t, of=of, layer=layer: of(t, x, labels, layer) for of in (twin.gram, twin.variances))
        of_layer, theta = held.isel(layer=place), path[1]
        np.testing.assert_allclose(of_layer["mean_gram"], grams(theta), atol=1e-12)
        np.testing.assert_allclose(of_layer["class_variance"], spreads(theta), atol=1e-12)
        for j in range(3):
            step = [-g for g in twin.gradient(theta, x[labels == j], labels[labels == j])]
            moved = twin.along(grams, theta, step)
            np.testing.assert_allclose(of_layer["between_response"][j], np.diag(moved), atol=1e-8)
            np.testing.assert_allclose(
                of_layer["class_variance_response"][j], twin.along(spreads, theta, step), atol=1e-8
            )
        every = [-g for g in twin.gradient(theta, x, labels)]
        np.testing.assert_allclose(of_layer["mean_gram_response"], twin.along(grams, theta, every), atol=1e-8)
        decay = [-0.4 * p for p in theta]
        np.testing.assert_allclose(of_layer["mean_gram_decay_response"], twin.along(grams, theta, decay), atol=1e-8)
        np.testing.assert_allclose(
            of_layer["class_variance_decay_response"], twin.along(spreads, theta, decay), atol=1e-8
        )


@pytest.mark.parametrize(
    ("options", "batches"),
    [({"reduction": "sum"}, 2), ({"weight": torch.tensor([1.0, 2.0, 5.0]).double()}, 1), ({"ignore_index": 1}, 1)],
    ids=["sum", "class weights", "ignored"],
)
def test_steps_are_on_the_scale_of_the_loss_of_a_batch(tmp_path, options, batches):
    """A sum over half of the samples has half the gradient of the sum over all, and is no mean."""
    x, labels = twin.data((3, 6, 9))
    loss = torch.nn.CrossEntropyLoss(**options)
    cube = recorded(tmp_path, x, labels, [twin.start()], every=1, lr=0.1, probe={"steps_per_epoch": batches}, loss=loss)
    net = twin.module()
    twin.load(net, twin.start())
    (loss(net(torch.as_tensor(x)), torch.as_tensor(labels)) / batches).backward()
    step = [-p.grad.numpy() for p in net.parameters()]
    for place, layer in enumerate(LAYERS):
        result = cube["class_steps"]["mean_gram_response"].isel(seed=0, epoch=0, layer=place)
        wanted = twin.along(lambda theta: twin.gram(theta, x, labels, layer), twin.start(), step)  # noqa: B023
        np.testing.assert_allclose(result, wanted, atol=1e-8)


def test_a_sum_over_batches_of_unknown_size_is_refused(tmp_path):
    x, labels = twin.data()
    with pytest.raises(ModelError, match=r"`probes\.class_steps\.steps_per_epoch` should be given"):
        recorded(
            tmp_path,
            x,
            labels,
            [twin.start()],
            every=1,
            lr=0.1,
            probe={},
            loss=torch.nn.CrossEntropyLoss(reduction="sum"),
        )


def test_an_account_of_which_a_part_is_not_known_does_not_close(tmp_path):
    x, labels = twin.data()
    path = twin.train(x, labels, steps=40, lr=0.01)
    probe = {"momentum": 0.0, "steps_per_epoch": 1}
    cube = recorded(tmp_path, x, labels, path, every=10, lr=lambda step: 0.01 if step < 20 else np.nan, probe=probe)
    estimates = closure(cube)
    assert (estimates["residual"].isnull().any("layer") == [False, False, True, True]).all()
    for name in ("total_residual", "total_r_squared", "log_ratio_residual"):
        assert estimates[name].isnull().all(), name
    for claim, options in {"account_closes": {}, "steps_move_collapse": {}}.items():
        of_all, of_half = (
            verdict_on(cube, claim, options | {"layer": "1", "until": until}).findings[0] for until in (40, 20)
        )
        assert (of_all.seeds, of_half.seeds) == (0, 1), claim


def test_the_penalty_on_features_is_a_part_of_the_decay(tmp_path):
    text = studies.SMALL.replace("axes:", "  class_steps: {}\naxes:").replace("[0, 1]", "[0]")
    text = text.replace("{name: log, count: 4}", "{name: every}").replace("norm: batch", "norm: none")
    text = text.replace("training: {", "training: {penalties: {features: 2.0}, ").replace(
        "batch_size: 16", "batch_size: null"
    )
    settings = ("optimizer.lr=0.002", "optimizer.momentum=0", "optimizer.weight_decay=0")
    estimates = closure(studies.run(tmp_path, *OFF, *settings, text=text).cube).sel(layer="penultimate")
    assert estimates["total_residual"] < 0.05
    assert estimates["between_decay"].sum() < -abs(estimates["between_change"].sum()) / 4


def test_what_the_cube_does_not_know_of_the_steps_is_asked_for(tmp_path):
    x, labels = twin.data()
    path = twin.train(x, labels, steps=2, lr=0.1)
    cube = recorded(tmp_path, x, labels, path, every=1, lr=0.1, probe={})
    with pytest.raises(NotMeasured, match="`momentum` of the training should be that of SGD"):
        closure(cube)
    with pytest.raises(NotMeasured, match="`steps_per_epoch` of the training"):
        closure(cube, momentum=0.0)
    estimates = closure(cube, momentum=0.0, steps_per_epoch=1)
    assert (estimates["residual"] < 0.2).all()
    xr.testing.assert_identical(estimates, cube.elastic.closure(momentum=0.0, steps_per_epoch=1))
    halved = closure(cube, momentum=0.0, steps_per_epoch=1, lr=0.05)["mean_gram_account"]
    xr.testing.assert_allclose(2 * halved, estimates["mean_gram_account"])
    for wrong in ({"momentum": 1.0}, {"lr": -1.0}, {"steps_per_epoch": float("nan")}):
        with pytest.raises(OptionError, match=f"`{next(iter(wrong))}` should be"):
            closure(cube, **wrong)
    with pytest.raises(NotMeasured, match="two probed epochs"):
        closure(cube.isel(epoch=[0]))


def test_a_protocol_tells_the_probe_how_it_steps(tmp_path):
    """The rule, the frequencies, and λ of every penalty; a budget in which classes go one by one changes nothing."""
    text = studies.SMALL.replace("axes:", "  class_steps: {}\naxes:").replace("[0, 1]", "[0]")
    text = text.replace("norm: batch", "norm: none").replace("training: {", "training: {penalties: {weights: 2.0e-3}, ")
    one = studies.run(tmp_path / "one", *OFF, text=text).cube
    held = one["class_steps"].isel(seed=0, epoch=-1)
    assert float(held["step_momentum"]) == 0.9
    assert float(held["steps_per_epoch"]) == 4  # 60 samples in batches of 16
    np.testing.assert_allclose(held["step_share"], 1 / 3)
    assert (held["mean_gram_decay_response"] != 0).any()
    assert (closure(one)["total_residual"] < 1).all()
    few = studies.run(tmp_path / "few", *OFF, "probes.memory_budget=40KiB", text=text).cube
    for name, values in held.data_vars.items():
        other = few["class_steps"].isel(seed=0, epoch=-1)[name]
        np.testing.assert_allclose(other, values, rtol=1e-4, atol=1e-5, err_msg=str(name))


def test_what_it_cannot_account_for_is_refused():
    x, labels = twin.data()
    samples = Samples(torch.as_tensor(x), torch.as_tensor(labels), (0, 1, 2))
    model = Tapped(twin.module(), ["1"])
    with pytest.raises(ModelError, match="be of a loss of the logits"):
        build_probes(Subject(model, build_loss("supervised_contrastive"), {"train": samples}), {"class_steps": {}})
    (probe,) = build_probes(
        Subject(model, build_loss("mse"), {"train": samples}, memory_budget=500), {"class_steps": {}}
    ).values()
    with pytest.raises(ModelError, match="`memory_budget` should be larger"):
        probe.rehearse()
