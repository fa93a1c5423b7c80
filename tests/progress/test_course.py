"""Remaining time of a study whose probes take longer than its epochs, under a clock that the test moves."""

from __future__ import annotations

import pytest

from elastic.progress.course import Course

PROBED = (0, 1, 2, 3, 4, 5, 8, 11, 15, 21, 30)
PLAIN, PROBES = 0.2, 1.0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def train(course, clock, first=0, last=30, workers=1, gap=1):
    """Train runs at the same time, from epoch to epoch, reported at probed epochs and each ``gap`` epochs."""
    since = reported = clock.now, first
    for epoch in range(first + 1, last + 1):
        clock.now += PLAIN + PROBES * (epoch in PROBED)
        if epoch in PROBED or epoch - reported[1] >= gap:
            for _ in range(workers):
                course.train(epoch - reported[1], probed=epoch in PROBED, seconds=clock.now - since[0])
            since = reported = clock.now, epoch


def truth(runs, last=None):
    """Seconds of whole runs, less those of one until an epoch."""
    done = 0 if last is None else last * PLAIN + sum(e <= last for e in PROBED) * PROBES
    return runs * (30 * PLAIN + len(PROBED) * PROBES) - done


@pytest.mark.parametrize(("workers", "gap"), [(1, 1), (3, 1), (1, 2)])
def test_dense_early_probes_do_not_raise_the_estimate(workers, gap):
    clock = Clock()
    course = Course(clock)
    course.start(6, 0, 180, PROBED)
    for _ in range(workers):
        course.begin(0)
        course.train(0, probed=True)
    train(course, clock, 0, 5, workers, gap)
    assert course.remaining is None  # no epoch without probes so far
    train(course, clock, 5, 8, workers, gap)
    assert course.remaining * workers == pytest.approx(truth(6 - workers) + workers * truth(1, 8), rel=0.1)


def test_runs_that_resume_stop_or_end_early_count_their_probes():
    clock = Clock()
    course = Course(clock)
    course.start(5, 1, 120, PROBED)
    course.begin(11)
    train(course, clock, 11, 30)
    course.end(0)
    assert course.remaining == pytest.approx(truth(3), rel=0.1)
    course.begin(0)
    course.train(0, probed=True)
    train(course, clock, 0, 15)
    course.leave(15, again=True)
    assert course.remaining == pytest.approx(truth(3), rel=0.1)
    course.begin(0)
    course.train(0, probed=True)
    course.end(30)  # diverged
    course.end()  # finished by another process
    assert course.remaining == pytest.approx(truth(1), rel=0.1)


def test_without_a_common_schedule_epochs_are_averaged():
    clock = Clock()
    course = Course(clock)
    course.start(2, 0, 60)
    course.begin(0)
    train(course, clock, 0, 5)
    assert course.remaining == pytest.approx(55 * (PLAIN + PROBES))


def test_epochs_that_are_all_probed_need_no_others():
    clock = Clock()
    course = Course(clock)
    course.start(1, 0, 5, range(6))
    course.begin(0)
    course.train(0, probed=True)
    train(course, clock, 0, 2)
    assert course.remaining == pytest.approx(3 * (PLAIN + PROBES))
