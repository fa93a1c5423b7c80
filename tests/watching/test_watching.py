"""`elastic watch`: what the journals hold, read once and never disturbed, until the study is sealed."""

from __future__ import annotations

import io
import re
import signal

import pytest
from rich.console import Console
from support import recordings, studies

from elastic.cli import cli
from elastic.cube import Journal
from elastic.errors import Damaged, NotMeasured, Stopped, StudyError
from elastic.study import open_study
from elastic.watching import watch
from elastic.watching.chart import Line, chart
from elastic.watching.courses import Courses
from elastic.watching.live import Watched


def console(width=100, *, terminal=False, height=40):
    kind = {"force_terminal": True, "color_system": "truecolor", "legacy_windows": False} if terminal else {}
    return Console(file=io.StringIO(), width=width, height=height, **kind)


def snapshot(path, width=100, **options):
    drawn = console(width)
    watch(path, once=True, console=drawn, **options)
    return drawn.file.getvalue()


class Training:
    """A training loop that records an epoch whenever the watcher sleeps, and closes its Recorder after the last."""

    def __init__(self, folder, epochs=4):
        self.folder, self.pauses = folder, 0
        self._steps = self._train(epochs)

    def __call__(self, seconds):
        self.pauses += 1
        assert self.pauses < 30, "the watcher should have ended"
        next(self._steps, None)

    def _train(self, epochs):
        yield  # the folder is not there yet
        model = recordings.network()
        with recordings.recorder(self.folder, model) as recorder:
            for epoch in range(epochs):
                recorder.record(epoch)
                recordings.step(model)
                yield


def test_a_snapshot_tells_each_run_its_curves_and_the_last_values(finished_study):
    text = snapshot(finished_study.folder)
    assert re.search(r"2 of 2 runs ended, cube sealed", text)
    assert re.search(r"seed=0  done, epoch 6/6 +seed=1  done, epoch 6/6", text)
    collapse = finished_study.cube["collapse"]["nc1"].sel(split="train", epoch=6)
    for layer in ("hidden_1", "penultimate"[:9], "logits"):
        assert layer in text
    assert f"{float(collapse.sel(seed=0, layer='hidden_1')):.2g}" in text
    loss = finished_study.cube["training"]["loss"].sel(seed=1, epoch=6)
    for split in ("train", "test"):
        assert f"{split} {float(loss.sel(split=split)):.3g}" in text


@pytest.mark.parametrize("width", [20, 38, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal_nor_the_picture_higher(finished_study, width):
    for terminal in (True, False):
        drawn = console(width, terminal=terminal, height=24)
        drawn.print(Watched(open_study(finished_study.folder), "nc1").picture(drawn))
        lines = re.sub(r"\x1b\[[0-9;]*m", "", drawn.file.getvalue()).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) <= 24 or width < 80


def test_a_study_is_watched_from_before_it_begins_until_it_is_sealed(tmp_path, monkeypatch):
    monkeypatch.setattr("elastic.watching.live.PATIENCE", 0.0)
    training, drawn = Training(tmp_path / "mine"), console(terminal=True)
    watch(tmp_path / "mine", console=drawn, sleep=training)
    text = drawn.file.getvalue()
    places = [text.index(word) for word in ("no study there yet", "epoch 0/3", "epoch 1/3", "epoch 3/3", "cube sealed")]
    assert places == sorted(places)
    assert "left" not in text[: places[1]]
    last = text[text.rindex("\x1b[?1049l") :]  # printed where the terminal goes on
    assert "1 of 1 runs ended, cube sealed" in last


def test_a_recorded_study_is_watched_on_while_its_next_run_may_begin(tmp_path):
    recordings.record(tmp_path, coordinates={"seed": 0})
    now = [0.0]
    watched = Watched(open_study(tmp_path), "nc1", lambda: now[0])
    (tmp_path / "manifest.sha256").rename(tmp_path / "aside")
    watched.picture(console())
    assert not watched.has_ended()
    (tmp_path / "aside").rename(tmp_path / "manifest.sha256")
    watched.picture(console())
    assert not watched.has_ended()
    now[0] = 11.0
    assert watched.has_ended()


def test_watching_writes_nothing_and_reads_each_record_once(finished_study, monkeypatch):
    before = studies.contents(finished_study.folder)
    read, blocks = [], Journal.variable_blocks
    monkeypatch.setattr(
        Journal,
        "variable_blocks",
        lambda self, key, epochs: (read.append((key, tuple(epochs))), blocks(self, key, epochs))[1],
    )
    courses = Courses(finished_study)
    for _ in range(3):
        collected = [courses.of(run) for run in finished_study.runs()]
    assert sorted(read) == sorted(
        2 * [("training/loss", tuple(range(7))), ("training/accuracy", tuple(range(7))), ("collapse/nc1", (0, 1, 2, 6))]
    )
    assert list(collected[0].layers) == ["input", "hidden_1", "penultimate", "logits"]
    assert studies.contents(finished_study.folder) == before


def test_a_run_that_is_recorded_anew_is_read_anew(tmp_path):
    recordings.record(tmp_path, coordinates={"seed": 0})
    courses = Courses(open_study(tmp_path))
    (run,) = courses.study.runs()
    assert [epoch for epoch, _ in courses.of(run).loss["train"]] == [0, 1, 2, 3]
    recordings.record(tmp_path, coordinates={"seed": 0}, epochs=range(2), lr=0.5, restart=True)
    (run,) = courses.study.runs()
    anew = courses.of(run).loss["train"]
    assert anew == Courses(open_study(tmp_path)).of(run).loss["train"]
    assert [epoch for epoch, _ in anew] == [0, 1]


def test_another_metric_is_drawn_and_an_unknown_one_told(finished_study):
    assert "locality by layer" in snapshot(finished_study.folder, metric="elasticity/locality")
    for metric in ("nc2_etf", "loss"):
        with pytest.raises(NotMeasured, match="`--metric` should be a variable that the runs record by layer"):
            snapshot(finished_study.folder, metric=metric)


def test_without_probes_the_training_curves_are_drawn(tmp_path):
    recordings.record(tmp_path, probes={"at": [0], "collapse": None, "elasticity": None}, epochs=range(3))
    text = snapshot(tmp_path)
    assert "accuracy" in text
    assert "by layer" not in text


def test_a_study_that_is_not_there_is_told_where_one_picture_is_asked_for(tmp_path):
    with pytest.raises(StudyError, match="should be a study folder; found no such folder"):
        snapshot(tmp_path / "nowhere")
    with pytest.raises(StudyError, match="should be a study folder"):
        watch(tmp_path / "nowhere", console=console())  # no terminal
    (tmp_path / "file.yaml").write_text("name: a")
    with pytest.raises(StudyError, match="found a file"):
        watch(tmp_path / "file.yaml", console=console(terminal=True))


def test_a_damaged_record_is_raised_by_a_snapshot_and_told_while_watching(tmp_path):
    recorder = recordings.recorder(tmp_path, recordings.network())
    recorder.record(0)
    (record,) = tmp_path.glob("runs/*/journal/*.npz")
    record.write_bytes(record.read_bytes()[:-40])
    with pytest.raises(Damaged):
        snapshot(tmp_path)
    drawn = console(300, terminal=True)
    drawn.print(Watched(open_study(tmp_path), "nc1").picture(drawn))
    assert record.name in drawn.file.getvalue()


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143)])
def test_ctrl_c_ends_the_watching_only(finished_study, monkeypatch, capsys, stop, code):
    def stopped(*_, **__):
        raise stop

    monkeypatch.setattr("elastic.watching.watch", stopped)
    with pytest.raises(SystemExit) as ended:
        cli(["watch", str(finished_study.folder)])
    assert ended.value.code == code
    assert capsys.readouterr().err == "elastic: stopped watching; the study continues\n"


def test_a_chart_is_drawn_in_braille_where_there_are_colours():
    points = [(0, 100.0), (9, 1.0), (99, 0.01)]
    rows = chart([Line(points, "red", "a")], width=30, height=6, last=99, log=True, colours=True)
    assert [row.plain[:8].strip() for row in rows] == ["100┤", "10┤", "1┤", "0.1┤", "0.01┤", ""]
    assert rows[-1].plain.split() == ["0", "1", "3", "10", "30", "99"]
    assert all(0x2800 <= ord(letter) <= 0x28FF for letter in rows[0].plain[8:])
    empty = chart([Line([(0, -1.0)], "red", "a")], width=30, height=6, last=0, log=True, colours=True)
    assert len(empty) == 6  # a logarithm has no place for it
