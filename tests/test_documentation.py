"""What README and the pages of the documentation show runs, and what they list exists."""

from __future__ import annotations

import doctest
import inspect
import itertools
import re
import shutil
import sys
import types
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from support import forked
from support.few_metrics import leave_few
from support.repository import RESULTS, ROOT

import elastic
from elastic import theory
from elastic.cli import cli
from elastic.cube import is_sealed
from elastic.ending import ended_by
from elastic.registry import PACKAGES, registry

README = ROOT / "README.md"
PAGES = sorted((ROOT / "elastic" / "docs").glob("*.md"))
TEXTS = {page.stem: page.read_text(encoding="utf-8") for page in (README, *PAGES)}


def blocks(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.S)


def swallowed(text):
    """Return the indented lines after the last item of a list: Markdown reads them as text of the item, not as code."""
    lines, in_list, in_fence = [], False, False
    for before, line in itertools.pairwise(["", *text.splitlines()]):
        in_fence ^= line.startswith("```")
        if in_fence or not line:
            continue
        in_list = bool(re.match(r"[-*] |\d+\. ", line)) or (in_list and line.startswith(" "))
        if in_list and not before and line.startswith("    "):
            lines.append(line)
    return lines


def run_block(code, page, **names):
    exec(compile(code, f"{page}.md", "exec"), names)


@pytest.fixture
def few_metrics(monkeypatch):
    """Leave out most metrics: what an example shows of its study it shows of these."""
    leave_few(monkeypatch, "probe_error", "fuzziness")


def test_the_readme_fits_on_one_page():
    assert len(TEXTS["README"].split()) <= 900


@pytest.mark.parametrize("page", list(TEXTS))
def test_commands_after_a_list_are_shown_as_code(page):
    assert not swallowed(TEXTS[page])


def test_an_indented_command_after_a_list_is_seen():
    assert swallowed("- an item\n  of two lines\n\n    elastic check\n\ntext\n\n    code\n") == ["    elastic check"]


def test_every_python_block_is_run_by_a_test_below():
    """A page that shows code for the first time needs a test here."""
    shown = {page for page in TEXTS if blocks(page)}
    assert shown == {
        "README", "recording", "measuring", "publishing", "reading", "extending", "tutorial_loop", "tutorial_protocol",
    }  # fmt: skip


@pytest.mark.parametrize("page", [page for page in TEXTS if blocks(page, "pycon")])
def test_every_console_example_prints_what_it_shows(page):
    text = "".join(blocks(page, "pycon"))
    examples = doctest.DocTestParser().get_doctest(text, {}, page, f"{page}.md", 0)
    assert len(examples.examples) > 2
    collected = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples, out=collected.append)
    assert not collected, "".join(collected)


@pytest.mark.usefixtures("few_metrics")
def test_the_tutorial_of_a_loop_records_reads_and_claims(tmp_path, monkeypatch, capsys):
    code = "\n".join(blocks("tutorial_loop"))
    for written, short in (("epochs = 40", "epochs = 2"), ("range(3)", "range(2)"), ("[:1400]", "[:300]")):
        assert written in code
        code = code.replace(written, short)
    monkeypatch.chdir(tmp_path)
    run_block(code, "tutorial_loop")
    assert "estimate" in capsys.readouterr().out
    study = elastic.open_study("results/tutorial")
    assert study.cube["collapse"]["nc1"].sizes["seed"] == 2
    (claims,) = blocks("tutorial_loop", "yaml")
    Path("claims.yaml").write_text(claims)
    names = [claim["name"] for claim in elastic.check(study, claims="claims.yaml").to_json()["claims"]]
    assert names == ["collapse_deepens_with_training", "collapse_deepens_with_depth", "locality_above"]


@pytest.mark.usefixtures("few_metrics")
def test_the_tutorial_of_a_protocol_runs(tmp_path, monkeypatch, capsys):
    (text,), (code,) = blocks("tutorial_protocol", "yaml"), blocks("tutorial_protocol")
    file = tmp_path / "decay.yaml"
    file.write_text(text)
    assert len(elastic.load_protocol(file).cells) == 6
    monkeypatch.chdir(tmp_path)
    elastic.run(file, settings=["training.epochs=1", "data.per_class=20", "axes.seed=[0]"])
    capsys.readouterr()
    run_block(code, "tutorial_protocol")
    assert capsys.readouterr().out.strip() == "('decay', 'seed', 'layer')"


#: What stands before the examples of the callbacks: a module, a model, samples and the trainers' settings.
CALLBACKS = """
import torch, lightning, types
from support.few_metrics import leave_few
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

leave_few(types.SimpleNamespace(delitem=dict.pop))
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


@pytest.mark.parametrize("code", blocks("measuring"), ids=["collapse", "elasticity"])
def test_the_library_examples_run_in_ten_lines(code, capsys):
    assert len(code.strip().splitlines()) <= 10
    run_block(code, "measuring")
    assert "logits" in capsys.readouterr().out


@pytest.mark.usefixtures("few_metrics")
def test_the_recorder_examples_record_studies_the_first_in_twelve_lines(tmp_path, monkeypatch):
    code = blocks("README")[0]
    assert code == blocks("recording")[0]
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 12
    monkeypatch.chdir(tmp_path)
    run_block("\n".join(blocks("recording")[:2]), "recording")
    aside = elastic.open_study("results/aside").cube["unseen"]
    assert aside["unseen_class"].values.tolist() == [8, 9]
    study = elastic.open_study("results/mine")
    assert [run.state for run in study.runs()] == ["done"]
    assert is_sealed(study.folder)
    accuracy = study.cube["training"]["accuracy"].isel(seed=0, epoch=-1)
    assert accuracy.sel(split="train") > 0.9
    assert study.cube["collapse"]["layer"].values.tolist() == ["input", "1", "2"]
    assert study.cube["elasticity"]["probe_error"].max() < 1e-3


def test_the_publishing_example_writes_an_archive_that_is_intact(finished_study, tmp_path, monkeypatch, capsys):
    shutil.copytree(finished_study.folder, tmp_path / "results" / "small")
    monkeypatch.chdir(tmp_path)
    # Seconds of drawing: reports and figures are archived in tests/publishing/test_archive.py.
    monkeypatch.setattr("elastic.figures.drawing.draw", lambda *_, **__: ())
    monkeypatch.setattr("elastic.report.write_report", lambda study, path: path.write_text("<!DOCTYPE html>"))
    (code,) = blocks("publishing")
    run_block(code, "publishing")
    assert capsys.readouterr().out.startswith("True ")


def test_the_callbacks_record_studies(tmp_path, monkeypatch):
    lightning_code, transformers_code = blocks("recording")[2:]
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("lightning", reason="Lightning is not installed (extra: lightning)")
    pytest.importorskip("transformers", reason="transformers is not installed (extra: transformers)")
    assert "max_epochs=20" in lightning_code
    short = lightning_code.replace("max_epochs=20", "max_epochs=2")
    file = tmp_path / "callbacks.py"
    file.write_text("\n".join((CALLBACKS, QUIET_LIGHTNING, short, TRAINER, transformers_code)))
    done = forked.script(file, HF_HUB_OFFLINE=1)  # the two frameworks change much of a process
    assert done.returncode == 0, done.stdout
    for name, epochs, layers in (("fit", 3, ["model.0", "model.2"]), ("tuned", 2, ["bert.encoder.layer.0"])):
        study = elastic.open_study(f"results/{name}")
        assert [run.state for run in study.runs()] == ["done"]
        assert study.cube["training"].sizes["epoch"] == epochs
        assert set(layers) < set(study.cube["collapse"]["layer"].values.tolist())


def test_the_metric_example_is_all_that_a_metric_needs():
    import numpy as np

    (code,) = [code for code in blocks("extending") if "@metric" in code]
    try:
        run_block(code, "extending", __name__="documentation")
        h = np.array([[-3.0], [-1.0], [1.5], [2.5]])  # variances 1 and 1/4: their mean is 5/8
        ds = elastic.measure_collapse(h, [0, 0, 1, 1])
        assert float(ds.variance_imbalance.squeeze()) == pytest.approx(1.6)
        assert ds.variance_imbalance.attrs["formula"] == "max_k v_k / mean_k v_k"
    finally:
        registry("metrics")._entries.pop("variance_imbalance", None)


@pytest.fixture
def own_parts():
    """Forget afterwards what an example registers."""
    before = {kind: (registry(kind).names(), dict(registry(kind)._entries)) for kind in PACKAGES}
    yield
    for kind, (_, entries) in before.items():
        registry(kind)._entries.clear()
        registry(kind)._entries.update(entries)


@pytest.mark.usefixtures("own_parts")
def test_a_protocol_of_own_parts_runs_and_its_figure_is_drawn(tmp_path, monkeypatch):
    """Model, data set, loss, optimizer, schedule, probe and figure of the documentation, in one run."""
    code = "\n".join(code for code in blocks("extending") if "@metric" not in code and "@claim" not in code)
    module = types.ModuleType("my_parts")
    monkeypatch.setitem(sys.modules, "my_parts", module)
    exec(compile(code, "my_parts.py", "exec"), module.__dict__)
    (text,) = blocks("extending", "yaml")
    (tmp_path / "own.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    study = elastic.run("own.yaml")
    shares = study.cube["dead"]["dead_units"].isel(seed=0)
    assert shares.sizes == {"epoch": 3, "layer": 3}
    assert ((shares >= 0) & (shares <= 1)).all()
    drawn = study.plot.dead_units()
    assert [text.get_text() for text in drawn.axes[0].get_legend().get_texts()] == ["hidden", "penultimate", "logits"]
    # the loss: its gradient is that of an ordinary step
    logits, labels = torch.tensor([[0.5, -1.0]], requires_grad=True), torch.tensor([1])
    brier = registry("losses").get("brier").function()
    brier.per_sample(logits, labels).sum().backward()
    gradient = brier.gradient(logits.detach(), labels)
    torch.testing.assert_close((gradient.norm[:, None] * gradient.direction).float(), logits.grad)


@pytest.mark.usefixtures("few_metrics")
def test_the_protocol_example_runs_and_its_cube_opens_as_shown(tmp_path, monkeypatch):
    (text,) = blocks("protocols", "yaml")
    file = tmp_path / "wide.yaml"
    file.write_text(text)
    small = ["training.epochs=2", "data.per_class=20", "axes.seed=[0]"]
    monkeypatch.chdir(tmp_path)  # as a user stands: studies go to results/ below
    study = elastic.run(file, settings=small)
    assert is_sealed(study.folder)
    assert dict(study.cube["collapse"]["nc1"].sizes) == {"widths": 2, "seed": 1, "epoch": 3, "split": 2, "layer": 5}
    reading = [*blocks("reading"), blocks("README")[1]]
    assert len(reading) == 3
    for code in reading:
        run_block(code.replace("results/quickstart", "results/wide-or-narrow"), "reading")


def test_the_error_example_is_what_elastic_says(tmp_path, monkeypatch):
    (text,) = blocks("protocols", "yaml")
    (tmp_path / "wide.yaml").write_text(text.replace("name: mlp", "name: mpl"))
    monkeypatch.chdir(tmp_path)
    code, message = ended_by(CliRunner().invoke(cli, ["run", "wide.yaml"]).exception)
    assert code == 2
    (shown,) = re.findall(r"^    (wide\.yaml:.*)$", TEXTS["protocols"], re.M)
    assert shown in message
    assert [p.name for p in tmp_path.iterdir()] == ["wide.yaml"]


def test_every_metric_stands_in_the_table_of_the_cube():
    assert {name for name in registry("metrics").names() if f"`{name}`" not in TEXTS["reading"]} == set()


def test_every_closed_form_stands_on_the_page_of_theory():
    functions = {name for name in theory.__all__ if inspect.isfunction(getattr(theory, name))}
    assert {name for name in functions if f"`{name}`" not in TEXTS["theory"]} == set()


def test_every_shipped_protocol_stands_in_the_table_of_findings():
    names = {file.stem for file in (ROOT / "protocols").glob("*.yaml")}
    assert {name for name in names if f"`{name}`" not in TEXTS["findings"]} == set()


def prose(text):
    return re.sub(r"```.*?```", "", text, flags=re.S)


def headings(text):
    """Anchors of a page: its headings in lower case, with hyphens for blanks and without punctuation."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_every_link_and_picture_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)(.*?)\)", prose(TEXTS[page.stem])):
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if file.is_relative_to(RESULTS) and not RESULTS.is_dir():
            continue  # in a source distribution
        assert file.exists(), target
        if anchor:
            assert anchor in headings(file.read_text(encoding="utf-8")), target
