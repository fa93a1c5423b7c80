"""Collapse in one's own arrays, without a protocol: arrays in, a labelled dataset out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor

from elastic.arguments import Classifier, as_classifier, decisions_of, linear_decisions
from elastic.arrays import ArrayLike, as_tensor, class_positions
from elastic.errors import DegenerateInput
from elastic.measure.dataset import labelled
from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.moments import vectors
from elastic.metrics.tabulation import tabulate
from elastic.models.contract import LOGITS


def measure_collapse(
    features: ArrayLike | Mapping[str, ArrayLike],
    labels: ArrayLike,
    *,
    classifier: Classifier | None = None,
    rank_tolerance: float | None = None,
) -> xr.Dataset:
    """Measure neural collapse in features, layer by layer.

    Parameters
    ----------
    features
        {layer: [n, …]} in the order of depth, or one array [n, …] (its layer is then called "features"); NumPy
        arrays, tensors or what NumPy makes arrays of. A layer "input" has depth 0. A layer "logits" tells the
        network's decisions: its columns are the sorted labels, or, if there are more, all the labels' positions.
    labels
        [n] integers or strings, not necessarily 0 … K−1.
    classifier
        Weights [K, d] of the linear classifier that reads the last layer (before "logits"), rows in the order of
        the sorted labels; or a pair of weights and bias [K]. Without a bias the decisions are those of W h.
    rank_tolerance
        Directions of the class means count in nc1 and fuzziness where their singular value exceeds this share of the
        largest one, in [0, 1); by default K·ε of the features' type. ``class_mean_rank`` tells how many count.

    Returns
    -------
    xarray.Dataset
        The variables of the cube's ``collapse`` group over layer (and class, other_class, component). What needs a
        classifier or decisions is left out where there are none.

    Raises
    ------
    DegenerateInput
        If there are fewer than two classes, arrays of different lengths, values that are not finite.

    Examples
    --------
    >>> h = np.array([[-1.5, 0.0], [-0.5, 0.0], [0.5, 0.0], [1.5, 0.0]])
    >>> ds = measure_collapse(h, ["cat", "cat", "dog", "dog"])
    >>> float(ds.nc1.sel(layer="features").round(12)), ds["class"].values.tolist()
    (0.125, ['cat', 'dog'])
    """
    by_layer = features if isinstance(features, Mapping) else {"features": features}
    if not by_layer:
        raise DegenerateInput("`features`", "hold a layer", "none", "features={'penultimate': array}")
    if unnamed := [layer for layer in by_layer if not isinstance(layer, (str, int))]:
        raise DegenerateInput("`features`", "name its layers", repr(unnamed[0]), "features={'penultimate': array}")
    tensors = {layer: as_tensor(f"features[{layer!r}]", values) for layer, values in by_layer.items()}
    names, codes = class_positions(labels)
    positions = torch.as_tensor(codes, device=next(iter(tensors.values())).device)
    for layer, values in tensors.items():
        if len(values) != len(positions):
            counts = f"{len(values)} for {len(positions)} labels"
            raise DegenerateInput(
                f"`features[{layer!r}]`", "have one row a label", counts, "features[mask], labels[mask]"
            )
    reading = read_classes(lambda: [(tensors, positions)], len(names), rank_tolerance=rank_tolerance)
    readings: dict[str, dict[str, Any]] = {
        layer: {"statistics": r.statistics, "nearest": r.nearest, "labels": r.labels} for layer, r in reading.items()
    }
    _add_classifier(readings, tensors, classifier, names)
    table = tabulate("collapse", tuple(readings), readings)
    coords = {"class": names, "other_class": names, "component": np.arange(1, len(names) + 1)}
    return labelled(table, "collapse", {layer: t[0].numel() for layer, t in tensors.items()}, coords)


def _add_classifier(
    readings: dict[str, dict[str, Any]],
    tensors: Mapping[str, Tensor],
    classifier: Classifier | None,
    names: npt.NDArray[Any],
) -> None:
    """Add the readings that a classifier or logits make possible."""
    layers = [layer for layer in tensors if layer != LOGITS]
    decisions: Tensor | None = None
    if classifier is not None and layers:
        last = vectors(tensors[layers[-1]])
        W, bias = (part.to(last.device) for part in as_classifier(classifier, len(names), last.shape[1]))
        readings[layers[-1]] |= {"duality_weights": DualityWeights(W, True), "classifier_weights": W}
        decisions = linear_decisions(last, W, bias)
    if LOGITS in tensors:
        decisions = decisions_of(tensors[LOGITS], names)
    if decisions is not None:
        for reading in readings.values():
            reading["decisions"] = decisions
