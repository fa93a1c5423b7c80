"""The page of a recorded study: settings in place of a protocol, and no command that cannot run it again."""

from __future__ import annotations

import base64
import json

import pytest
from ruamel.yaml import YAML
from support import altered
from support.few_metrics import few_of
from support.recorded import SETTINGS, recorded
from support.report_pages import read

from elastic.report import write_report
from elastic.report.overview import overview


@pytest.fixture(scope="module")
def path(finished_study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "my run"
    return write_report(recorded(finished_study.cube, folder, question="Does <it> collapse?", sealed=False))


@pytest.fixture(scope="module")
def page(path):
    return read(path)


def test_the_page_says_that_the_study_was_recorded(page):
    for words in (
        "Recorded study mine", "Recorded from a training loop", "recorded up to 2.5", "class ResNet",
        "parameters 11173962", "cross_entropy", "collapse, elasticity", "Does <it> collapse?",
        "The study makes no claims.", "Study digest (SHA-256)", "torch 2.13.0", "2 done",
    ):  # fmt: skip
        assert words in page.text, words


def test_the_page_does_not_speak_of_a_protocol(page):
    assert "rotocol" not in page.text
    assert "elastic run" not in page.text
    assert "#protocol" not in {link["href"] for link in page.all("a")}


def test_settings_stand_in_a_table_and_as_yaml(page):
    for words in ("model.class", "probes.collapse.per_class", "0.0, 0.0005", "augmentation", "true", "layer4.1.relu"):
        assert words in page.text, words
    (link,) = [link for link in page.all("a") if link.get("download")]
    assert link["download"] == "settings.yaml"
    settings = YAML(typ="safe").load(base64.b64decode(link["href"].partition(",")[2]).decode())
    assert settings["settings"] == SETTINGS
    assert settings["question"] == "Does <it> collapse?"
    assert [attrs for _, attrs in page.elements if attrs.get("id") == "settings"]


def test_the_commands_read_the_folder(page):
    assert "elastic check 'my run' elastic report 'my run'" in page.text
    assert 'elastic.open_study("my run").cube' in page.text
    assert "python -m pip install torch==2.13.0 numpy==2.4.6" in page.text


def test_fractional_epochs_are_shown_as_they_are(page):
    assert "epoch 2.5" in page.text
    assert "From epoch 0 to 2.5" in page.text
    assert "0.0 " not in page.text.split("What was found")[1].split("Figures")[0]
    for spec in page.specs.values():
        epochs = next(signal["value"] for signal in spec["signals"] if signal["name"] == "epochs")
        assert json.dumps(epochs) == "[0, 0.25, 0.3333, 2.5]"
    assert page.text.count("nc1 ≤ 0.5") == 1
    assert "None" not in page.text


def test_the_page_is_whole(page):
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3")]
    assert levels.count(1) == 1
    known = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(known) == len(set(known))
    assert {link["href"][1:] for link in page.all("a") if link["href"].startswith("#")} <= set(known)
    assert len(page.all("caption")) == len(page.all("table"))


KINDS = {
    "train only": {"change": lambda group: group.sel(split=["train"]) if "split" in group.dims else group},
    "no elasticity": {"change": altered.without("locality")},
    "no collapse": {"change": altered.without("nc1")},
    "not probed": {"change": altered.without("nc1", "locality")},
    "an axis": {"change": altered.swept("rate of learning", [0.1, 0.01])},
    "one epoch": {"change": lambda group: group.isel(epoch=[1])},
    "no settings": {"settings": {}},
}


@pytest.fixture(scope="module")
def cube(finished_study):
    return few_of(finished_study.cube.load())


@pytest.mark.usefixtures("no_figure")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_page(kind, cube, tmp_path):
    study = recorded(cube, tmp_path / "a", sealed=False, **KINDS[kind])
    page = read(write_report(study))
    assert "Recorded from a training loop" in page.text
    assert ("model.class" in page.text) is (kind != "no settings")


@pytest.mark.usefixtures("no_figure")
def test_a_study_under_way_says_so_and_what_it_lacks_is_still_to_come(cube, tmp_path):
    study = recorded(cube, tmp_path / "a", sealed=False, **KINDS["not probed"])
    for state, words in (("under way", " yet"), ("done", "")):
        study.state = state
        page = read(write_report(study))
        assert ("still under way: 0 of 2 runs have ended" in page.text) is (state == "under way")
        assert f"2 {state}" in page.text
        assert f"nothing that a figure shows{words}." in page.text
        assert f"nothing to explore{words}." in page.text


def test_planned_epochs_are_those_of_the_settings(cube, tmp_path):
    from elastic.report.context import read_context

    settings = {**SETTINGS, "epochs": 90, "layers": [f"block.{n}" for n in range(40)]}
    shown = overview(read_context(recorded(cube, tmp_path / "a", sealed=False, settings=settings)))
    assert shown["Epochs"] == "90"
    assert shown["Layers"] == ", ".join(f"block.{n}" for n in range(7)) + ", … block.39 (40)"


def test_a_browser_shows_the_explorers_with_fractions(opened, path):
    page = opened(path)
    titles = page.eval_on_selector_all("#responses .role-title-text", "els => els.map(el => el.textContent)")
    assert any("Epoch 2.5" in title for title in titles)
    page.locator("#responses-controls input[type=range]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.locator("#responses .role-title-text").filter(has_text="Epoch 0.25").first.wait_for(state="attached")
    ticks = page.eval_on_selector_all("#courses .role-axis-label text", "els => els.map(el => el.textContent)")
    assert {"0", "0.1", "0.3", "1"} <= set(ticks)
    assert any(tick.startswith("b.e.l.11.o.") for tick in ticks)
