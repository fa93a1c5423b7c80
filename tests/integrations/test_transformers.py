"""A training by the Trainer of transformers gives the records of its weights, which are those without the callback."""

from __future__ import annotations

import copy
import os
import shutil

import numpy as np
import pytest
import torch
from support.digit_trainings import Net, assert_equal_records, digits
from torch import nn
from torch.nn import functional

import elastic
from elastic.cube import Journal, is_sealed
from elastic.errors import NotReproduced
from elastic.study import Study

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # models are built from configurations: nothing is to be downloaded
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: transformers)")
pytest.importorskip("accelerate", reason="accelerate is not installed (extra: transformers)")

from elastic.integrations.transformers import ElasticCallback  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("unsealed"),
    pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator"),
]

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "num_labels": 3}
PROBES = {"at": [0], "collapse": {"per_class": 6}, "elasticity": {"stepped_per_class": 1, "observed_per_class": 2}}
CHEAP = {**PROBES, "at": [0, 1], "elasticity": None}


def tokens():
    """Return digits as sentences of twelve of their pixels, for training and for test; labels under "labels"."""

    def sentences(x, y):
        words = (x.reshape(-1, 8, 8)[:, ::2, 1:7:2].reshape(-1, 12) * 16).long()
        return [
            {"input_ids": w.tolist(), "attention_mask": [1] * 12, "labels": int(k)}
            for w, k in zip(words, y, strict=True)
        ]

    train, test = digits()
    return sentences(*train), sentences(*test)


def images():
    return tuple(
        [{"pixel_values": x.reshape(1, 8, 8), "labels": y} for x, y in zip(*part, strict=True)] for part in digits()
    )


def bert():
    config = transformers.BertConfig(vocab_size=17, max_position_embeddings=12, **SMALL)
    return transformers.BertForSequenceClassification(config)


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=18, n_positions=12, n_embd=16, n_layer=2, n_head=2, num_labels=3, pad_token_id=17
    )
    return transformers.GPT2ForSequenceClassification(config)


def vit():
    config = transformers.ViTConfig(image_size=8, patch_size=4, num_channels=1, **SMALL)
    return transformers.ViTForImageClassification(config)


#: Model, samples and the layers and position that are recorded.
KINDS = {
    "bert": (bert, tokens, {"layers": ["bert.encoder.layer.0", "bert.encoder.layer.1"], "position": 0}),
    "gpt2": (gpt2, tokens, {"layers": ["transformer.h.0", "transformer.h.1"], "position": "last"}),
    "vit": (vit, images, {"layers": ["vit.layernorm"], "position": "mean"}),
}


def arguments(kind="bert", **options):
    train, test = KINDS[kind][1]()
    return {**KINDS[kind][2], "train": train, "test": test, "probes": CHEAP, **options}


class Weights(transformers.TrainerCallback):
    """Keeps the weights at the beginning and at the end of every epoch, by epoch."""

    def __init__(self):
        self.states = {}

    def on_train_begin(self, args, state, control, *, model, **_):
        self.states.setdefault(state.epoch or 0, copy.deepcopy(model.state_dict()))

    def on_epoch_end(self, args, state, control, *, model, **_):
        self.states[state.epoch] = copy.deepcopy(model.state_dict())


class Failing(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **_):
        if state.global_step == 15:
            raise OSError("no more power")


def train(place, *callbacks, kind="bert", model=None, resume=None, trainer=transformers.Trainer, **options):
    """Train for two epochs of six steps; return the model and the weights by epoch."""
    torch.manual_seed(0)
    model = model or KINDS[kind][0]()
    given = {"output_dir": str(place / "trainer"), "num_train_epochs": 2, "per_device_train_batch_size": 10}
    given |= {"learning_rate": 3e-3, "use_cpu": True, "report_to": [], "disable_tqdm": True, "save_strategy": "no"}
    given |= {"logging_strategy": "epoch", "seed": 5}
    part = KINDS[kind][1]()
    weights = Weights()
    made = trainer(
        model=model,
        args=transformers.TrainingArguments(**{**given, **options}),
        train_dataset=part[0],
        eval_dataset=part[1],
        callbacks=[*callbacks, weights],
    )
    made.train(resume_from_checkpoint=None if resume is None else str(place / "trainer" / f"checkpoint-{resume}"))
    return made.model, weights.states


def plain(folder, kind, states, *, epochs=2, **options):
    """Record weights with a Recorder and no trainer."""
    model = KINDS[kind][0]()
    with elastic.Recorder(folder, model, epochs=epochs, **arguments(kind, **options)) as recorder:
        for epoch, state in states.items():
            model.load_state_dict(state)
            recorder.record(epoch, probe=True if epoch == max(states) else None)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def journal(folder):
    (run,) = (folder / "runs").iterdir()
    return Journal(run)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a training that keeps its checkpoints, and records into ``study``; tests change nothing."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "seal", lambda self: None)
        train(folder, ElasticCallback(folder / "study", **arguments()), save_strategy="epoch")
    return folder


@pytest.mark.parametrize(
    ("kind", "probes"),
    [
        ("bert", PROBES),
        *((kind, CHEAP) for kind in ("gpt2", "vit")),
        *(pytest.param(kind, PROBES, marks=pytest.mark.long) for kind in ("gpt2", "vit")),
    ],
    ids=["bert", "gpt2", "vit", "gpt2 with elasticity", "vit with elasticity"],
)
def test_a_training_gives_the_records_of_its_weights(tmp_path, kind, probes):
    callback = ElasticCallback(tmp_path / "study", **arguments(kind, probes=probes))
    model, states = train(tmp_path, callback, kind=kind)
    assert list(states) == [0, 1, 2]
    assert_equal(model.state_dict(), train(tmp_path, kind=kind)[0].state_dict())
    plain(tmp_path / "plain", kind, states, probes=probes)
    assert_equal_records(tmp_path / "study", tmp_path / "plain", but=["lr"])
    study = elastic.open_study(tmp_path / "study")
    assert [run.state for run in study.runs()] == ["done"]
    assert probes is CHEAP or study.cube["elasticity"]["probe_error"].max() < 1e-3


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"bf16": True}, marks=pytest.mark.long),
        pytest.param({"gradient_accumulation_steps": 4}, marks=pytest.mark.long),
        {"bf16": True, "gradient_accumulation_steps": 4},
    ],
    ids=["mixed precision", "accumulation", "both"],
)
def test_the_trainer_keeps_its_ways_and_weights_are_measured_in_full_precision(tmp_path, options):
    model, states = train(tmp_path, ElasticCallback(tmp_path / "study", **arguments()), **options)
    assert_equal(model.state_dict(), train(tmp_path, **options)[0].state_dict())
    plain(tmp_path / "plain", "bert", states)
    assert_equal_records(tmp_path / "study", tmp_path / "plain", but=["lr"])


def test_a_training_that_is_resumed_repeats_its_records_and_goes_on(tmp_path):
    given = {"save_strategy": "epoch", "lr_scheduler_type": "constant"}
    train(tmp_path, ElasticCallback(tmp_path / "study", **arguments()), **given)
    assert journal(tmp_path / "study").is_probed(2)
    _, states = train(
        tmp_path, ElasticCallback(tmp_path / "study", **arguments()), resume=6, **{**given, "num_train_epochs": 3}
    )
    assert list(states) == [1, 2, 3]
    result = elastic.open_study(tmp_path / "study").cube
    assert result["training"]["epoch"].values.tolist() == [0, 1, 2, 3]
    _, whole = train(tmp_path / "whole", **{**given, "num_train_epochs": 3})
    plain(tmp_path / "plain", "bert", whole, epochs=3)
    loss = elastic.open_study(tmp_path / "plain").cube["training"]["loss"]
    assert result["training"]["loss"].identical(loss)


def test_the_checkpoints_give_the_same_numbers_afterwards(tmp_path, finished):
    saved = {k: finished / "trainer" / f"checkpoint-{6 * k}" / "model.safetensors" for k in (1, 2)}
    given = arguments(probes={"at": [1, 2], "collapse": CHEAP["collapse"], "elasticity": None})
    result = elastic.record_checkpoints(tmp_path / "after", bert, saved, **given).cube
    live = elastic.open_study(finished / "study").cube
    assert result["training"]["loss"].identical(live["training"]["loss"].sel(epoch=[1, 2]))
    assert result["collapse"]["nc1"].identical(live["collapse"]["nc1"].sel(epoch=[1, 2]))


def test_another_training_is_told_and_the_records_are_kept(tmp_path, finished):
    shutil.copytree(finished / "study", tmp_path / "study")
    with pytest.raises(NotReproduced, match="epoch 1"):
        train(tmp_path, ElasticCallback(tmp_path / "study", **arguments()), learning_rate=1e-2)
    assert_equal_records(tmp_path / "study", finished / "study")
    # The run was released.
    train(tmp_path, ElasticCallback(tmp_path / "study", **arguments(restart=True)), num_train_epochs=1)
    assert journal(tmp_path / "study").epochs() == [0, 1]


def test_steps_end_within_an_epoch(tmp_path):
    _, states = train(tmp_path, ElasticCallback(tmp_path / "study", **arguments()), max_steps=9)
    assert list(states) == [0, 1, 1.5]
    assert journal(tmp_path / "study").epochs() == [0, 1, 1.5]
    assert journal(tmp_path / "study").is_probed(1.5)
    plain(tmp_path / "plain", "bert", states)
    assert_equal_records(tmp_path / "study", tmp_path / "plain", but=["lr"])


@pytest.mark.parametrize("best", [pytest.param(False, marks=pytest.mark.long), True], ids=["last", "best"])
def test_the_epoch_at_which_a_training_stops_early_is_probed(tmp_path, best):
    stop = transformers.EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=99)
    how = {"eval_strategy": "epoch", "metric_for_best_model": "eval_loss", "num_train_epochs": 9}
    how |= {"save_strategy": "epoch", "load_best_model_at_end": True} if best else {}
    callback = ElasticCallback(tmp_path / "study", **arguments(probes={**CHEAP, "at": [0]}))
    _, states = train(tmp_path, stop, callback, **how)
    assert list(states) == journal(tmp_path / "study").epochs() == [0, 1, 2, 3][: 1 + len(states) - 1]
    assert max(states) < 9
    plain(tmp_path / "plain", "bert", states, epochs=9, probes={**CHEAP, "at": [0]})
    assert_equal_records(tmp_path / "study", tmp_path / "plain", but=["lr"])


def test_the_best_weights_are_not_taken_for_the_last(tmp_path):
    # Evaluation by steps: the last epoch ends after the last of them.
    how = {"eval_strategy": "steps", "eval_steps": 4, "save_strategy": "steps", "save_steps": 4}
    how |= {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss", "greater_is_better": True}
    model, states = train(tmp_path, ElasticCallback(tmp_path / "study", **arguments()), learning_rate=3e-2, **how)
    assert any(not torch.equal(value, states[2][name]) for name, value in model.state_dict().items())
    plain(tmp_path / "plain", "bert", states)
    assert_equal_records(tmp_path / "study", tmp_path / "plain", but=["lr"])


def test_an_exception_leaves_the_run_under_way_and_the_next_training_takes_it(sealing, tmp_path):
    how = {"save_strategy": "epoch", "num_train_epochs": 3}
    kept = ElasticCallback(tmp_path / "study", **arguments())  # as a traceback keeps it
    with pytest.raises(OSError, match="power"):
        train(tmp_path, kept, Failing(), **how)
    assert journal(tmp_path / "study").epochs() == [0, 1, 2]
    _, states = train(tmp_path, ElasticCallback(tmp_path / "study", **arguments()), resume=12, **how)
    assert list(states) == [2, 3]
    assert journal(tmp_path / "study").epochs() == [0, 1, 2, 3]
    assert is_sealed(tmp_path / "study")


def test_evaluation_records_nothing(tmp_path):
    model, part = bert(), tokens()[1]
    callback = ElasticCallback(tmp_path / "study", **arguments())
    args = transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[], disable_tqdm=True)
    trainer = transformers.Trainer(model=model, args=args, eval_dataset=part, callbacks=[callback])
    trainer.evaluate()
    trainer.predict(part)
    assert not (tmp_path / "study").exists()


def test_metrics_and_the_rate_are_recorded_and_told(tmp_path):
    collected = []
    given = arguments(
        logged={"eval_loss": "eval_loss", "running": "loss", "never": "no such"}, on_record=collected.append
    )
    train(tmp_path, ElasticCallback(tmp_path / "study", **given), eval_strategy="epoch")
    assert [recorded.epoch for recorded in collected] == [0, 1, 2]
    training = elastic.open_study(tmp_path / "study").cube["training"].isel(seed=0)
    # It falls linearly, by a twelfth a step: the sixth is taken at 7/12.
    np.testing.assert_allclose(training["lr"].values[1:], [3e-3 * 7 / 12, 3e-3 / 12])
    np.testing.assert_allclose(training["eval_loss"][1:], training["loss"].sel(split="test")[1:], rtol=1e-4)
    assert np.isfinite(training["running"].values[1:]).all()
    assert "never" not in training


class Headed(nn.Module):
    """The network of plain tests with the loss that the Trainer wants, and batch norm that is frozen."""

    def __init__(self):
        super().__init__()
        self.net = Net()
        self.net.freeze()

    def train(self, mode=True):
        super().train(mode)
        self.net.freeze()
        return self

    def forward(self, x, labels=None):
        logits = self.net(x)
        return (
            {"logits": logits}
            if labels is None
            else {"loss": functional.cross_entropy(logits, labels), "logits": logits}
        )


def test_a_module_of_ones_own_with_frozen_batch_norm(tmp_path, monkeypatch):
    def samples():
        return tuple([{"x": x, "labels": y} for x, y in zip(*part, strict=True)] for part in digits())

    monkeypatch.setitem(KINDS, "own", (Headed, samples, {"layers": ["net.hidden", "net.second"]}))
    model, states = train(tmp_path, ElasticCallback(tmp_path / "study", **arguments("own")), kind="own")
    assert_equal(model.state_dict(), train(tmp_path, kind="own")[0].state_dict())
    frozen = model.net.second[1]
    assert frozen.num_batches_tracked == 0
    plain(tmp_path / "plain", "own", states)
    assert_equal_records(tmp_path / "study", tmp_path / "plain", but=["lr"])
