"""Figures of the geometry of features are drawn from a study as it lies on the disk."""

from __future__ import annotations

import pytest
from support.legibility import unreadable

NAMES = ("class_mean_geometry", "locality_collapse", "separation_law", "theory_spectrum")


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_study_is_drawn(finished_study, name):
    drawn = getattr(finished_study.plot, name)()
    assert any(axes.lines or axes.images for axes in drawn.axes)
    assert unreadable(drawn) == []
