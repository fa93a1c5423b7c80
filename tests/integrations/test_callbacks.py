"""What the callbacks of all trainers share: their arguments, what they need installed, and how long they are."""

from __future__ import annotations

import inspect
import math
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from support import forked
from support.digit_trainings import Net, arguments
from torch import nn

import elastic
from elastic.cube.liveness import is_alive
from elastic.cube.names import STATUS, Status
from elastic.cube.ownership import LOCK
from elastic.errors import ElasticError, ModelError, NotReproduced
from elastic.integrations.trained_model import check_whole, own_forward
from elastic.integrations.training_run import TrainingRun, _given

FOLDER = Path(elastic.__file__).parent / "integrations"
NAMES = ("lightning", "transformers")


def made(**options):
    given = {**arguments(), **options}
    logged, on_record = given.pop("logged", None), given.pop("on_record", None)
    return TrainingRun("study", given, logged, on_record)


@pytest.mark.parametrize("name", NAMES)
def test_a_callback_is_short(name):
    assert len((FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()) < 80


@pytest.mark.parametrize("name", NAMES)
def test_a_callback_takes_the_arguments_of_the_recorder(name):
    pytest.importorskip(name)
    module = __import__(f"elastic.integrations.{name}", fromlist=["ElasticCallback"])
    own = inspect.signature(module.ElasticCallback).parameters
    assert list(own) == ["folder", "logged", "on_record", "recorder_arguments"]
    module.ElasticCallback("study", **arguments(title="Digits", restart=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_package_is_told_with_its_extra(name, monkeypatch):
    for loaded in {name, *(one for one in sys.modules if one.startswith(f"{name}."))}:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.delitem(sys.modules, f"elastic.integrations.{name}", raising=False)
    with pytest.raises(ElasticError) as caught:
        import_module(f"elastic.integrations.{name}")
    text = f"`elastic.integrations.{name}` should find {name} installed"
    assert text in str(caught.value)
    assert f"try pip install 'elastic-collapse[{name}]'" in str(caught.value)


def test_elastic_loads_no_trainer(tmp_path):
    """Neither the Recorder nor, where the process is forked, any module of elastic but the callbacks themselves."""
    script = tmp_path / "loads.py"
    script.write_text("import sys, elastic, elastic.integrations.training_run; elastic.Recorder; print(*sys.modules)")
    done = forked.script(script)
    assert done.returncode == 0, done.stdout
    assert "elastic.integrations.training_run" in done.stdout.split()
    assert not {*NAMES, "accelerate", "pytorch_lightning", "datasets"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": Net}, "`model` should be left to the trainer"),
        ({"lyers": ["hidden"]}, "argument of elastic.Recorder; found 'lyers'; try 'layers'"),
        ({"logged": ["train_loss"]}, "`logged` should be a mapping"),
        ({"logged": {"train_loss": "train_loss"}}, "`train_loss` should be left to the Recorder"),
        ({"logged": {"nc1": "nc1"}}, "have another name"),
        ({"logged": {"size": "size"}, "coordinates": {"size": 3}}, "other names than the run's coordinates"),
        ({"coordinates": {"width": [3]}}, "be a number, a text or a truth value"),
    ],
)
def test_mistakes_are_told_when_a_callback_is_made(options, text):
    with pytest.raises(ElasticError) as caught:
        made(**options)
    assert text in str(caught.value)


def test_samples_to_train_on_are_asked_for():
    with pytest.raises(ElasticError, match="`train` should be given"):
        TrainingRun("study", {"layers": ["hidden"]}, None, None)


@pytest.mark.parametrize("folder", [None, ""])
def test_a_folder_is_asked_for_when_training_begins(folder):
    with pytest.raises(ElasticError, match="`folder` should"):
        TrainingRun(folder, arguments(), None, None).begin(Net(), 0, 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NotReproduced("a", "b", "c", "d")])
def test_a_record_that_fails_releases_its_run(error, tmp_path, monkeypatch):
    """Of the trainers, Transformers calls no callback after an error."""
    run = TrainingRun(tmp_path, {**arguments(), "probes": None}, None, None)
    run.begin(Net(), 0.5, 1)
    recorder = run._recorder
    lock = recorder.journal.folder.parent / LOCK
    assert is_alive(lock)
    monkeypatch.setattr(recorder, "record", Mock(side_effect=error))
    run.hold(1)
    with pytest.raises(type(error)):
        run.flush({}.get)
    assert not is_alive(lock)


def test_numbers_that_were_not_logged_are_not_given_when_an_epoch_is_repeated():
    recorder = SimpleNamespace(evaluates=False, subject=SimpleNamespace(samples={"train": None, "test": None}))
    # What is of a split, what is not, and what a probe gave.
    numbers = {
        "training/loss": np.array([0.5, math.nan]),
        "training/lr": np.array(math.nan),
        "collapse/nc1": np.ones(2),
    }
    assert _given({STATUS: Status.DONE, **numbers}, recorder) == {"train_loss": 0.5}
    diverged = _given({STATUS: Status.DIVERGED, **numbers}, recorder)
    assert diverged == pytest.approx({"train_loss": 0.5, "test_loss": math.nan, "lr": math.nan}, nan_ok=True)


def test_a_network_of_its_own_forward_keeps_it():
    net = Net()
    with own_forward(net):
        assert "forward" not in vars(net)
    net.forward = replaced = lambda x: x  # the user's
    with own_forward(net):
        assert net.forward is replaced


def test_a_forward_that_was_replaced_comes_back_after_an_error():
    net = Net()
    net._original_forward, net.forward = net.forward, len
    with pytest.raises(KeyError), own_forward(net):
        raise KeyError
    assert net.forward is len


def test_sharded_models_are_refused(tmp_path):
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        check_whole(nn.parallel.DistributedDataParallel(Net()))
        parts = torch.distributed.fsdp.fully_shard(
            nn.Linear(2, 2), mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        )
        with pytest.raises(ModelError, match="weight in parts"):
            check_whole(parts)
    finally:
        torch.distributed.destroy_process_group()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import lightning.pytorch as pl
import torch
from support.digit_trainings import Net, arguments, digits, optimizer_of
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from elastic.integrations.lightning import ElasticCallback

class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = Net()

    def forward(self, inputs):
        return self.model(inputs)

    def training_step(self, batch, _):
        return functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return optimizer_of(self)

if __name__ == "__main__":
    given = arguments("model.", on_record=lambda recorded: print("recorded", recorded.epoch, flush=True))
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", devices=2, strategy="ddp_fork", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[ElasticCallback({folder!r}, **given)],
    )
    trainer.fit(Module(), DataLoader(TensorDataset(*digits()[0]), batch_size=10))
"""


@pytest.mark.skipif(find_spec("lightning") is None, reason="Lightning is not installed (extra: lightning)")
def test_of_two_processes_that_train_together_one_records(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1]), folder=str(tmp_path / "study")))
    done = forked.script(script, PYTHONWARNINGS="ignore")
    assert done.returncode == 0, done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith("recorded")] == ["recorded 0", "recorded 1"]
    study = elastic.open_study(tmp_path / "study")
    assert [run.state for run in study.runs()] == ["done"]
    assert study.cube["training"]["epoch"].values.tolist() == [0, 1]
