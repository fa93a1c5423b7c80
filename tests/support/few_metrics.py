"""Few metrics: a study with all of them has three hundred files, each of a kind with some others."""

from __future__ import annotations

from elastic.registry import registry

#: Metrics of small cubes: with classes in pairs, with components, of each layer, and of the network.
FEW = {
    "collapse": {"nc1", "class_cosine", "class_mean_spectrum", "nc4_mismatch"},
    "elasticity": {"response", "relative_similarity", "locality"},
}


def leave_few(patch, *, kept=()):
    """Leave out the other metrics until a MonkeyPatch is undone, but for some."""
    registry("metrics").names()
    for name, entry in list(registry("metrics")._entries.items()):
        if name not in {*FEW.get(entry.facts.group, {name}), *kept}:
            patch.delitem(registry("metrics")._entries, name)
