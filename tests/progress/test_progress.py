"""What a person sees of a study that runs: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from elastic.progress import Bars, Lines, lines

SCORES = {"train loss": 0.0192, "test accuracy": 0.93}


def tell(watch):
    """Tell of two workers: one ends a run, the other one dies in the middle of its run."""
    watch.study_started("inner-layers", 4, 1, 300)
    first, second = watch.worker(0), watch.worker(1)
    first.run_started("weight_decay=0.0 seed=1", 100, 0)
    second.run_started("weight_decay=0.0005 seed=1", 100, 40)
    second.note("elasticity probes: structured")
    for epoch in range(1, 31):
        first.epoch_done(epoch, SCORES, epoch < 3)
        second.epoch_done(40 + epoch, SCORES, False)
    yield
    second.epoch_done(100, SCORES, True)
    second.run_finished("weight_decay=0.0005 seed=1", {"training": 3.0})
    first.run_lost("weight_decay=0.0 seed=1", again=True)
    yield


@pytest.mark.parametrize("width", [80, 130])
def test_bars_have_a_line_for_the_study_and_one_for_each_worker(width):
    console = Console(width=width, height=30, force_terminal=True, file=io.StringIO())
    bars = Bars(console)

    def shown():
        plain = Console(width=width, file=io.StringIO())
        plain.print(bars.progress.get_renderable())
        return [line for line in plain.file.getvalue().splitlines() if line.strip()]

    with bars:
        result = tell(bars)
        next(result)
        study, *workers = shown()
        assert study.startswith("inner-layers")
        assert "1/4 runs" in study
        assert "left" in study
        labels = [re.split("[━╸╺]", row)[0].strip() for row in workers]
        assert labels == ["weight_decay=0.0 seed=1", "weight_decay=0.0005 seed=1"]
        assert ["epoch 30/100" in workers[0], "epoch 70/100" in workers[1]] == [True, True]
        assert all("train loss 0.0192" in row for row in workers)
        next(result)
        (study,) = shown()
        assert "2/4 runs" in study
    above = console.file.getvalue()
    assert "weight_decay=0.0005 seed=1: elasticity probes: structured" in above
    assert "weight_decay=0.0005 seed=1: 3.0 s training" in above


def test_a_study_without_runs_has_bars_too():
    with Bars(Console(file=io.StringIO())) as bars:
        bars.study_started("inner-layers", 0, 0, 0)


def test_brackets_in_a_label_are_text():
    console = Console(width=100, force_terminal=True, color_system=None, file=io.StringIO())
    with Bars(console) as bars:
        bars.study_started("inner-layers", 2, 0, 10)
        bars.run_started("act=[/b] seed=0", 5, 0)
        bars.run_finished("act=[/b] seed=0", {"training": 1.0})
        bars.note("[red] seed=1: resumed")
    for text in ("act=[/b] seed=0: 1.0 s training", "[red] seed=1: resumed"):
        assert text in console.file.getvalue()


def test_the_time_that_is_left_leaves_out_what_was_done_before_and_counts_lost_epochs_again():
    bars = Bars(Console(file=io.StringIO()))
    result = tell(bars)
    next(result)
    assert bars.course.done == 40 + 30 + 30
    next(result)
    assert bars.course.done == 100
    assert bars.course.finished == 2


def test_each_line_names_its_run_and_none_is_silent_for_long(monkeypatch):
    stream = io.StringIO()
    list(tell(Lines(stream)))
    written = [line.partition("] ")[2] for line in stream.getvalue().splitlines()]
    assert written[0] == "study inner-layers: 4 runs, 1 finished before"
    assert all(line.startswith("weight_decay=0.0") for line in written[1:])
    assert "weight_decay=0.0005 seed=1: elasticity probes: structured" in written
    assert written[-1].startswith("weight_decay=0.0005 seed=1: finished; 3.0 s training; 2 of 4 runs ended, about ")
    assert sum(": epoch " in line for line in written) == 3  # probed ones
    monkeypatch.setattr(lines, "SILENCE", 0.0)
    list(tell(Lines(stream := io.StringIO())))
    assert stream.getvalue().count(": epoch ") == 61


def test_lines_to_a_reader_who_has_gone_are_no_error():
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    list(tell(Lines(Gone())))
