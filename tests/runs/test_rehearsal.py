"""What fails at the first epoch is refused before there is a folder."""

from __future__ import annotations

import contextlib

import pytest
import torch
from support import studies

import elastic
from elastic.errors import ElasticError, ModelError
from elastic.protocol import load_protocol
from elastic.registry import registry
from elastic.runs.rehearsal import rehearse

BATCH_NORM = "model={name: mlp, widths: [8], norm: batch}"


def refused(tmp_path, *settings, kind=ElasticError):
    with pytest.raises(kind) as text:
        studies.run(tmp_path, *settings)
    assert text.value.exit_code == 2
    assert not (tmp_path / "results").exists()
    return str(text.value)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (["probes.at.count=1000000000000"], "`probes.at.count` should be less than or equal to 1000001"),
        (["probes.at={name: linear, count: 9000000000000000000}"], "`probes.at.count` should be less than"),
        (["probes.memory_budget=1"], "`memory_budget` should be at least"),
        (["probes.memory_budget=2KiB"], "`memory_budget` should be at least"),
        (["probes.memory_budget=1", "probes.elasticity=null"], "for the features of one sample; found 1"),
        (["optimizer.lr=1e308"], "`optimizer.lr` should be less than or equal to"),
        (["optimizer.weight_decay=1e308"], "`optimizer.weight_decay` should be less than or equal to"),
        (["training.init_scale=1e308"], "`training.init_scale` should be less than or equal to"),
        (["training.penalties={logits: 1e308}"], "`training.penalties.logits` should be less than or equal to"),
        (["probes.elasticity={update: finite, lr: 1e308}"], "`probes.elasticity.lr` should be less than"),
        (["axes.rate={path: optimizer.lr, values: [0.1, 1e308]}"], "should be less than or equal to"),
        (["optimizer={name: adam, lr: 1e30, beta1: 0.9999999999999999}"], "the first training step should be possible"),
        ([BATCH_NORM, "training.batch_size=1"], "`training.batch_size` should suit the model's norms; found Expected"),
        (["data={name: indices, per_class_counts: [1000000000000, 5]}"], "data `indices` should load"),
    ],
)
def test_what_no_run_could_do_is_refused_before_anything_is_written(tmp_path, settings, text):
    assert text in refused(tmp_path, *settings)


@pytest.mark.parametrize(
    "settings",
    [
        ["probes.at.count=1000000"],
        ["optimizer.lr=1e30"],
        [BATCH_NORM, "training.batch_size=2"],
        ["optimizer={name: lbfgs}", "training.batch_size=null"],
        ["training.epochs=1", "axes.size={path: training.batch_size, values: [64, 1]}"],
    ],
)
def test_what_a_run_can_do_is_not_refused(tmp_path, settings):
    rehearse(load_protocol(studies.write(tmp_path), settings=settings), (), None)


def test_a_rehearsal_leaves_generators_and_deterministic_mode_as_they_were(tmp_path):
    state, mode = torch.get_rng_state(), torch.are_deterministic_algorithms_enabled()
    rehearse(load_protocol(studies.write(tmp_path)), (), None)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.are_deterministic_algorithms_enabled() == mode


def test_a_recorder_refuses_a_budget_before_it_writes(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    samples = torch.randn(20, 4), torch.arange(20) % 2
    with pytest.raises(ModelError, match="`memory_budget` should be at least"):
        elastic.Recorder(tmp_path / "study", net, train=samples, epochs=2, probes={"memory_budget": 1})
    assert not (tmp_path / "study").exists()


ABSURD = {int: [10**12, 2**63 - 1, 0, -1, True], float: [1e308, -1e308, 5e-324, 0.0, -1.0, float("nan"), float("inf")]}
PLACES = {
    "optimizers": "optimizer",
    "losses": "loss",
    "schedules": "optimizer.schedule",
    "probe_schedules": "probes.at",
}


def numeric_options():
    """Yield every option of these kinds that takes a number: where it stands, by whose name, and its type."""
    for kind, place in PLACES.items():
        for entry in registry(kind):
            for name, field in entry.options.model_fields.items():
                if field.annotation in ABSURD:
                    yield place, entry, name, field.annotation


@pytest.mark.parametrize(
    ("place", "entry", "option", "kind"),
    [pytest.param(*result, id=f"{result[1].kind}-{result[1].name}-{result[2]}") for result in numeric_options()],
)
def test_an_absurd_number_in_any_option_is_refused_or_rehearsed(tmp_path, place, entry, option, kind):
    file = studies.write(tmp_path)
    needed = {"lr": "0.1", "milestones": "[1]", "values": "[1]", "step": "1"}
    given = {name: needed[name] for name, field in entry.options.model_fields.items() if field.is_required()}
    size = "null" if entry.name in ("lbfgs", "gradient_flow") else "64"
    for value in ABSURD[kind]:
        options = {"name": entry.name, **given, option: repr(value).lower()}
        written = ", ".join(f"{name}: {text}" for name, text in options.items())
        probes = [] if place == "loss" else ["probes.elasticity=null"]  # which takes steps of the loss alone
        settings = [*probes, "training.epochs=2", f"training.batch_size={size}", f"{place}={{{written}}}"]
        with contextlib.suppress(ElasticError):  # and no other
            rehearse(load_protocol(file, settings=settings), (), None)
