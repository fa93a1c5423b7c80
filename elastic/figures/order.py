"""The order in which figures are drawn and shown."""

from __future__ import annotations

from collections.abc import Iterator

from elastic.registry import Entry, registry

#: Figures from overview to detail; figures not listed here follow.
ORDER = (
    "neural_collapse",
    "training_curves",
    "depth_profile",
    "training_course",
    "onset_map",
    "separation_law",
    "locality_collapse",
    "response_matrices",
    "class_mean_geometry",
    "axis_comparison",
    "theory_spectrum",
)


def in_order() -> Iterator[Entry]:
    """Yield the registered figures, those of `ORDER` first."""
    known = registry("figures").names()
    named = [name for name in ORDER if name in known]
    return (registry("figures").get(name) for name in [*named, *(name for name in known if name not in named)])
