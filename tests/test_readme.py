"""What the README shows runs, and what it lists exists."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import processes
import pytest

import elastic
from elastic.cube import is_sealed
from elastic.registry import registry

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.S)


#: What a block of the README with one of these words shows; it has a test of its own.
SPECIAL = ("open_study", "@metric", "@claim", "Recorder", "ElasticCallback")

LIBRARY = [code for code in blocks("python") if not any(word in code for word in SPECIAL)]

#: What stands before the examples of the callbacks: a module, a model, samples and the trainers' settings.
CALLBACKS = """
import torch, lightning
from torch import nn
from sklearn.datasets import load_digits

x, y = (torch.tensor(part) for part in load_digits(n_class=3, return_X_y=True))
x, y = x[:60].float() / 16, y[:60]

class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3))

    def forward(self, inputs):
        return self.model(inputs)

    def training_step(self, batch, _):
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

module = Module()
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=20, shuffle=True)
"""

QUIET_LIGHTNING = """
import functools
quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False, "accelerator": "cpu"}
lightning.Trainer = functools.partial(lightning.Trainer, **quiet)
"""

TRAINER = """
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "num_labels": 3}
model = BertForSequenceClassification(BertConfig(vocab_size=17, max_position_embeddings=64, **small))
samples = [{"input_ids": (16 * row).long().tolist(), "labels": int(label)} for row, label in zip(x, y)]
arguments = TrainingArguments("trainer", num_train_epochs=1, report_to=[], use_cpu=True, save_strategy="no")
"""


@pytest.mark.parametrize("code", LIBRARY, ids=["collapse", "elasticity"])
def test_the_library_examples_run_in_ten_lines(code, capsys):
    assert len(code.strip().splitlines()) <= 10
    exec(compile(code, "README.md", "exec"), {})
    assert "logits" in capsys.readouterr().out


def test_the_recorder_example_records_a_study_in_twelve_lines(tmp_path, monkeypatch):
    (code,) = [code for code in blocks("python") if "Recorder" in code]
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 12
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    study = elastic.open_study("results/mine")
    assert [run.state for run in study.runs()] == ["done"]
    assert is_sealed(study.folder)
    accuracy = study.cube["training"]["accuracy"].isel(seed=0, epoch=-1)
    assert accuracy.sel(split="train") > 0.9
    assert study.cube["collapse"]["layer"].values.tolist() == ["input", "1", "2"]
    assert study.cube["elasticity"]["probe_error"].max() < 1e-3


def test_the_callbacks_record_studies(tmp_path, monkeypatch):
    lightning_code, transformers_code = (code for code in blocks("python") if "ElasticCallback" in code)
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("lightning", reason="Lightning is not installed (extra: lightning)")
    pytest.importorskip("transformers", reason="transformers is not installed (extra: transformers)")
    script = "\n".join((CALLBACKS, QUIET_LIGHTNING, lightning_code, TRAINER, transformers_code))
    command = [sys.executable, "-W", "ignore", "-c", script]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    processes.run(command, env=environment, check=True)
    for name, epochs, layers in (("fit", 21, ["model.0", "model.2"]), ("tuned", 2, ["bert.encoder.layer.0"])):
        study = elastic.open_study(f"results/{name}")
        assert [run.state for run in study.runs()] == ["done"]
        assert study.cube["training"].sizes["epoch"] == epochs
        assert set(layers) < set(study.cube["collapse"]["layer"].values.tolist())


def test_the_metric_example_is_all_that_a_metric_needs():
    import numpy as np

    (code,) = [code for code in blocks("python") if "@metric" in code]
    try:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        h = np.array([[-3.0], [-1.0], [1.5], [2.5]])  # variances 1 and 1/4: their mean is 5/8
        ds = elastic.measure_collapse(h, [0, 0, 1, 1])
        assert float(ds.variance_imbalance.squeeze()) == pytest.approx(1.6)
        assert ds.variance_imbalance.attrs["formula"] == "max_k v_k / mean_k v_k"
    finally:
        registry("metrics")._entries.pop("variance_imbalance", None)


def test_the_protocol_example_runs_and_its_cube_opens_as_shown(tmp_path, monkeypatch):
    (text,) = blocks("yaml")
    file = tmp_path / "wide.yaml"
    file.write_text(text)
    small = ["training.epochs=2", "data.per_class=20", "axes.seed=[0]"]
    monkeypatch.chdir(tmp_path)  # as a user stands: studies go to results/ below
    study = elastic.run(file, settings=small)
    assert is_sealed(study.folder)
    assert dict(study.cube["collapse"]["nc1"].sizes) == {"widths": 2, "seed": 1, "epoch": 3, "split": 2, "layer": 5}
    reading = [code for code in blocks("python") if "open_study" in code]
    assert len(reading) == 2
    for code in reading:
        exec(compile(code.replace("results/quickstart", "results/wide-or-narrow"), "README.md", "exec"), {})


def test_the_error_example_is_what_elastic_says(tmp_path):
    (text,) = blocks("yaml")
    (tmp_path / "wide.yaml").write_text(text.replace("name: mlp", "name: mpl"))
    command = [sys.executable, "-m", "elastic", "run", "wide.yaml"]
    done = processes.run(command, cwd=tmp_path)
    assert done.returncode == 2
    (shown,) = re.findall(r"^    (wide\.yaml:.*)$", TEXT, re.M)
    assert shown in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["wide.yaml"]


def test_every_metric_stands_in_the_table_of_the_cube():
    assert {name for name in registry("metrics").names() if f"`{name}`" not in TEXT} == set()


def test_every_picture_is_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", TEXT)
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
