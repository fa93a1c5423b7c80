"""A fit of Lightning with the callback gives the records of a plain loop, and the weights of a fit without it."""

from __future__ import annotations

import shutil
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from support.digit_trainings import (
    BATCH,
    PROBES,
    TRAIN,
    Net,
    arguments,
    assert_equal_records,
    assert_equal_weights,
    batches,
    begin,
    digits,
    loop,
    optimizer_of,
)
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, TensorDataset

import elastic
from elastic.cube import Journal, is_sealed
from elastic.errors import ModelError, NotReproduced
from elastic.models.state import ModuleState
from elastic.study import Study

lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed (extra: lightning)")

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint  # noqa: E402

from elastic.integrations.lightning import ElasticCallback  # noqa: E402

pytestmark = [
    pytest.mark.usefixtures("unsealed"),
    # Of Lightning: about loaders without workers, batch norm that is frozen, checkpoints of other callbacks, …
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Found .* module.* in eval mode at the start of training"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
    pytest.mark.filterwarnings("ignore:The `srun` command is available"),
]

#: Probes without elasticity, for tests of which epochs are recorded; and the arguments of a callback with them.
CHEAP = {**PROBES, "elasticity": None}
CHEAPLY = arguments("model.", probes=CHEAP)


class Order(BatchSampler):
    """The batches of `digit_trainings`, in the order of the epoch that Lightning sets."""

    def __init__(self):
        self.batch_size, self.drop_last, self.sampler, self.epoch = BATCH, False, self, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        # The epoch is read late: where it resumes, Lightning makes the iterator before it sets the epoch.
        yield from (batch.tolist() for batch in batches(self.epoch + 1))

    def __len__(self):
        return TRAIN // BATCH


class Module(lightning.LightningModule):
    """The network as ``model``, trained as `digit_trainings` does."""

    def __init__(self, fails=(None, None), schedule=False, logs=True):
        super().__init__()
        self.model, self.fails, self.schedule, self.logs = Net(), fails, schedule, logs

    def forward(self, inputs):
        return self.model(inputs)

    def on_train_epoch_start(self):
        begin(self.model, self.current_epoch + 1)

    def training_step(self, batch, number):
        if (self.current_epoch, number) == self.fails:
            raise OSError("no more power")
        loss = functional.cross_entropy(self(batch[0]), batch[1])
        if self.logs:
            self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, _):
        if self.logs:
            self.log("val/loss", functional.cross_entropy(self(batch[0]), batch[1]))

    test_step = validation_step

    def configure_optimizers(self):
        optimizer = optimizer_of(self)
        return ([optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]) if self.schedule else optimizer


def trainer_of(folder=None, *callbacks, arguments=arguments("model."), **options):  # noqa: B008
    """Return a quiet trainer of three epochs, which records if there is a folder."""
    kept = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    given = {"max_epochs": 3, "accelerator": "cpu", "logger": False, "enable_checkpointing": kept}
    given |= {"enable_progress_bar": False, "enable_model_summary": False}
    recording = [ElasticCallback(folder, **arguments)] if folder else []
    return lightning.Trainer(callbacks=[*recording, *callbacks], **{**given, **options})


def loaders():
    """Return loaders that draw from generators of their own: the global one is dropout's, as in the plain loop."""
    train, test = (TensorDataset(*part) for part in digits())
    draw = torch.Generator()
    return DataLoader(train, batch_sampler=Order(), generator=draw), DataLoader(test, batch_size=15, generator=draw)


def fit(trainer, module=None, **options):
    """Fit a module, return it."""
    module = Module() if module is None else module
    trainer.fit(module, *loaders(), **options)
    return getattr(module, "_orig_mod", module)


def checkpoints(folder, **options):
    """Return a callback that keeps a checkpoint of each epoch, named 1.ckpt after the first."""
    given = {"filename": "{step}", "save_top_k": -1, "auto_insert_metric_name": False}
    return ModelCheckpoint(folder, **{**given, **options})


def journal(folder):
    (run,) = (folder / "runs").iterdir()
    return Journal(run)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return the folder of a plain loop of three epochs, and its network."""
    folder = tmp_path_factory.mktemp("plain")
    return folder, loop(folder)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return a folder with the checkpoints of a fit: 6.ckpt, … of epochs, and within.9.ckpt, … of steps."""
    folder = tmp_path_factory.mktemp("saved")
    within = checkpoints(folder, filename="within.{step}", every_n_train_steps=3)
    fit(trainer_of(None, checkpoints(folder), within))
    return folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return the folder of a fit of three epochs that is recorded; tests copy it."""
    folder = tmp_path_factory.mktemp("fitted") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Study, "seal", lambda self: None)
        fit(trainer_of(folder))
    return folder


@pytest.fixture
def copied(fitted, tmp_path):
    """Return a copy of a recorded fit."""
    return shutil.copytree(fitted, tmp_path / "study")


def test_a_fit_gives_the_records_and_weights_of_a_plain_loop(sealing, tmp_path, plain):
    module = fit(trainer_of(tmp_path))
    assert_equal_weights(module, plain[1])
    assert_equal_records(tmp_path, plain[0])
    study = elastic.open_study(tmp_path)
    assert [run.state for run in study.runs()] == ["done"]
    assert is_sealed(tmp_path)
    assert study.cube["collapse"]["layer"].values.tolist() == ["input", "model.hidden", "model.second", "logits"]


@pytest.mark.parametrize(
    ("options", "how"),
    [
        pytest.param({"accumulate_grad_batches": 4}, {"accumulate": 4}, marks=pytest.mark.long),
        pytest.param({"precision": "bf16-mixed"}, {"autocast": True}, marks=pytest.mark.long),
        ({"precision": "bf16-mixed", "accumulate_grad_batches": 4}, {"autocast": True, "accumulate": 4}),
    ],
    ids=["accumulation", "mixed precision", "both"],
)
def test_the_trainer_keeps_its_ways(tmp_path, options, how):
    if "accumulate" in how:  # the last step of an epoch is one of two batches, whose losses Lightning also divides by 4
        assert len(batches(1)) % how["accumulate"] == 2
    recorded, unrecorded = fit(trainer_of(tmp_path / "lightning", **options)), fit(trainer_of(**options))
    assert_equal_weights(recorded, unrecorded.model)
    assert_equal_weights(recorded, loop(tmp_path / "plain", **how))
    assert_equal_records(tmp_path / "lightning", tmp_path / "plain")


def test_a_compiled_module_is_measured_uncompiled(tmp_path, plain):
    module = torch.compile(Module(logs=False), backend="eager")  # this torch compiles no call of log()
    assert_equal_weights(fit(trainer_of(tmp_path), module), plain[1])
    assert_equal_records(tmp_path, plain[0])


def test_a_fit_that_is_resumed_repeats_its_records_and_goes_on(tmp_path, saved):
    folder = tmp_path / "study"
    fit(trainer_of(folder, max_epochs=2, arguments=CHEAPLY))
    probed = journal(folder).is_probed(2)
    assert probed  # the end of that fit, which no schedule names
    module = fit(trainer_of(folder, max_epochs=4, arguments=CHEAPLY), ckpt_path=saved / "6.ckpt")
    assert_equal_weights(module, loop(tmp_path / "plain", epochs=4, options={"probes": CHEAP}))
    result, expected = (elastic.open_study(tmp_path / name).cube for name in ("study", "plain"))
    assert result["collapse"]["epoch"].values.tolist() == [0, 1, 2, 3, 4]
    nc1 = result["collapse"]["nc1"].sel(epoch=expected["collapse"]["epoch"])
    assert (nc1.values == expected["collapse"]["nc1"].values).all()
    for name in ("loss", "lr"):
        assert result["training"][name].identical(expected["training"][name])


@pytest.mark.parametrize(("step", "epoch"), [(6, 1), pytest.param(12, 2, marks=pytest.mark.long)])
def test_a_fit_may_begin_at_a_checkpoint_of_another(tmp_path, saved, plain, step, epoch):
    fit(trainer_of(tmp_path, arguments=CHEAPLY), ckpt_path=saved / f"{step}.ckpt")
    result, expected = (elastic.open_study(folder).cube["training"]["loss"] for folder in (tmp_path, plain[0]))
    assert result.identical(expected.sel(epoch=slice(epoch, None)))


def test_within_an_epoch_a_fit_that_is_resumed_has_nothing_to_record(tmp_path, saved):
    fit(trainer_of(tmp_path, arguments=CHEAPLY), ckpt_path=saved / "within.9.ckpt")
    assert journal(tmp_path).epochs() == [2, 3]


def test_the_checkpoints_give_the_same_numbers_afterwards(tmp_path, saved, plain):
    paths = {1: saved / "6.ckpt", 3: saved / "18.ckpt"}
    given = arguments("model.", probes={**PROBES, "at": [1, 3]})
    result, live = elastic.record_checkpoints(tmp_path, Module, paths, **given).cube, elastic.open_study(plain[0]).cube
    assert result["training"]["loss"].identical(live["training"]["loss"].sel(epoch=[1, 3]))
    for group in ("collapse", "elasticity"):
        for name in set(live[group].data_vars) - {
            "probe_error"
        }:  # the error of a run's first probe is looked at closer
            np.testing.assert_array_equal(result[group][name], live[group][name].sel(epoch=[1, 3]), err_msg=name)


def test_the_same_trainer_may_fit_on(tmp_path):
    trainer = trainer_of(tmp_path / "study", max_epochs=1, arguments=CHEAPLY)
    module = fit(trainer)
    trainer.fit_loop.max_epochs = 2
    fit(trainer, module)
    assert elastic.open_study(tmp_path / "study").cube["training"]["epoch"].values.tolist() == [0, 1, 2]


def test_what_is_not_repeated_is_told_and_the_records_are_kept(copied, plain):
    other = Module()
    torch.nn.init.zeros_(other.model.last.bias)
    with pytest.raises(NotReproduced, match=r"epoch 0 .* restart=True"):
        fit(trainer_of(copied), other)
    assert_equal_records(copied, plain[0])
    changed = {**arguments("model."), "restart": True}
    fit(trainer_of(copied, max_epochs=1, arguments=changed), other)
    assert elastic.open_study(copied).cube["training"]["epoch"].values.tolist() == [0, 1]


def test_a_resumed_fit_that_goes_another_way_is_told(copied, saved, plain):
    with pytest.raises(NotReproduced, match=r"epoch 2 .* checkpoint of every epoch"):
        fit(trainer_of(copied, gradient_clip_val=1e-3), ckpt_path=saved / "6.ckpt")
    assert_equal_records(copied, plain[0])


def test_restart_spares_what_a_resumed_fit_continues(copied, saved, plain):
    given = {**arguments("model."), "restart": True}
    fit(trainer_of(copied, arguments=given), ckpt_path=saved / "6.ckpt")
    assert_equal_records(copied, plain[0])


def test_steps_end_within_an_epoch(tmp_path):
    module = fit(trainer_of(tmp_path / "lightning", max_epochs=None, max_steps=9, arguments=CHEAPLY))
    assert_equal_weights(module, loop(tmp_path / "plain", epochs=1.5, options={"probes": CHEAP}))
    assert_equal_records(tmp_path / "lightning", tmp_path / "plain")
    assert journal(tmp_path / "lightning").epochs() == [0, 1, 1.5]
    assert journal(tmp_path / "lightning").is_probed(1.5)


def test_steps_that_ended_within_an_epoch_are_resumed(tmp_path):
    fit(trainer_of(tmp_path / "study", checkpoints(tmp_path), max_epochs=None, max_steps=9, arguments=CHEAPLY))
    fit(trainer_of(tmp_path / "study", max_epochs=None, max_steps=18, arguments=CHEAPLY), ckpt_path=tmp_path / "9.ckpt")
    assert journal(tmp_path / "study").epochs() == [0, 1, 1.5, 2, 3]


@pytest.mark.parametrize(
    ("max_epochs", "max_steps", "last"), [(3, -1, 3), (None, 9, 3), (-1, 10, 4), (5, 9, 3), (2, 9, 2), (None, -1, None)]
)
def test_the_last_epoch_is_that_of_the_limit_met_first(max_epochs, max_steps, last, monkeypatch):
    callback, trainer = ElasticCallback("study", **CHEAPLY), Mock(fast_dev_run=False, num_training_batches=10)
    trainer.configure_mock(max_epochs=max_epochs, max_steps=max_steps, accumulate_grad_batches=4)  # 3 steps an epoch
    trainer.fit_loop.epoch_loop.batch_progress.total.processed = 15
    begun = Mock()
    monkeypatch.setattr(callback._run, "begin", begun)
    callback.on_train_start(trainer, None)
    assert begun.call_args.args == (None, 1.5, last)


def test_epochs_are_counted_where_batches_are_not(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(*digits()[0], strict=True))

    trainer = trainer_of(tmp_path, max_epochs=2, arguments=CHEAPLY)
    trainer.fit(Module(), DataLoader(Stream(), batch_size=BATCH), loaders()[1])
    assert journal(tmp_path).epochs() == [0, 1, 2]


def test_the_epoch_at_which_a_fit_stops_early_is_probed(sealing, tmp_path):
    stop = EarlyStopping("val/loss", patience=1, min_delta=99)
    fit(trainer_of(tmp_path, stop, max_epochs=50, arguments=CHEAPLY))
    assert stop.stopped_epoch == 1
    assert journal(tmp_path).epochs() == [0, 1, 2]
    assert journal(tmp_path).is_probed(2)
    assert is_sealed(tmp_path)


def test_an_exception_leaves_the_run_under_way(tmp_path, plain):
    with pytest.raises(OSError, match="power"):
        fit(trainer_of(tmp_path / "study", checkpoints(tmp_path)), Module(fails=(2, 4)))
    study = elastic.open_study(tmp_path / "study")
    assert [run.state for run in study.runs()] != ["done"]
    assert journal(tmp_path / "study").epochs() == [0, 1, 2]
    fit(trainer_of(tmp_path / "study"), ckpt_path=tmp_path / "12.ckpt")
    assert_equal_records(tmp_path / "study", plain[0])


def test_validation_test_and_a_trial_record_nothing(tmp_path):
    trainer = trainer_of(tmp_path / "study")
    trainer.validate(Module(), loaders()[1], verbose=False)
    trainer.test(Module(), loaders()[1], verbose=False)
    fit(trainer_of(tmp_path / "study", fast_dev_run=True))
    assert not (tmp_path / "study").exists()


def test_metrics_and_the_rate_are_recorded_and_told(tmp_path):
    collected = []
    given = {**CHEAPLY, "logged": {"val_loss": "val/loss", "running": "train_loss", "never": "no such"}}
    fit(trainer_of(tmp_path / "study", arguments={**given, "on_record": collected.append}), Module(schedule=True))
    assert [recorded.epoch for recorded in collected] == [0, 1, 2, 3]
    assert set(collected[0].scores) == {"loss", "accuracy"}
    training = elastic.open_study(tmp_path / "study").cube["training"].isel(seed=0)
    assert training["lr"].values[1:].tolist() == [0.1, 0.05, 0.025]
    # Half of the test split is one batch of the validation, so that the means are the same.
    assert training["val_loss"].values[1:] == pytest.approx(training["loss"].sel(split="test").values[1:], rel=1e-5)
    assert (training["running"].values[2:] < training["running"].values[1]).all()
    assert "never" not in training


class Looking(lightning.Callback):
    """Asserts what is saved and restored as the state of the module, at every record."""

    def on_train_start(self, trainer, pl_module):
        assert pl_module.trainer is trainer
        saved = {id(container) for container, _ in ModuleState(pl_module).containers}
        assert id(vars(pl_module.model)) in saved
        assert id(vars(trainer)) not in saved  # with data, loops and callbacks
        self.looked = True


def test_the_trainer_is_no_state_of_its_module():
    looking = Looking()
    fit(trainer_of(None, looking, max_epochs=1))
    assert looking.looked


def test_a_coordinate_may_be_the_rate(tmp_path):
    fit(trainer_of(tmp_path, max_epochs=1, arguments={**CHEAPLY, "coordinates": {"lr": 0.1}}))
    cube = elastic.open_study(tmp_path).cube
    assert dict(cube["training"]["loss"].sizes) == {"lr": 1, "seed": 1, "epoch": 2, "split": 2}


def test_a_model_in_parts_is_refused(tmp_path):
    module = Module()
    module.model.last.weight.ds_id = 1
    with pytest.raises(ModelError, match=r"whole in each process; found model\.last\.weight in parts"):
        fit(trainer_of(tmp_path), module)
