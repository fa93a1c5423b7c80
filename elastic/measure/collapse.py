"""Collapse of given arrays or a given model, without a protocol; returns a labelled dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from elastic.arguments import Classifier, as_classifier, decisions_of, linear_decisions
from elastic.arrays import ArrayLike, as_tensor, class_positions
from elastic.batches import Forward, Output
from elastic.errors import DegenerateInput
from elastic.measure.dataset import labelled
from elastic.measure.model_collapse import collapse_of_model
from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.moments import vectors
from elastic.metrics.tabulation import tabulate
from elastic.models.contract import LOGITS
from elastic.models.modes import plain_modes
from elastic.models.positions import Position

#: Most numbers of the widest layer in a block of samples: in float64 they still fit into the cache.
BLOCK = 2**20


@plain_modes()
def measure_collapse(
    features: ArrayLike | Mapping[str, ArrayLike] | nn.Module,
    labels: Any,
    *,
    classifier: Classifier | None = None,
    rank_tolerance: float | None = None,
    layers: Sequence[str] | str | None = None,
    forward: Forward | None = None,
    output: Output | None = None,
    position: Position | None = None,
    batch_size: int = 256,
) -> xr.Dataset:
    """Measure neural collapse in features, layer by layer: of arrays, or of a model on a loader.

    A model's features are never all in memory: two passes over the loader need memory for the class means of each
    layer (K·d numbers), one batch, and one or two bytes per sample and layer for the nearest class means.

    Parameters
    ----------
    features
        {layer: [n, …]} in the order of depth, or one array [n, …] (its layer is then called "features"); NumPy
        arrays, tensors or anything that NumPy can convert. A layer "input" has depth 0. A layer "logits" defines the
        decisions of the network: its columns are the sorted labels, or, if there are more, all class indices.
        Or a model, any ``nn.Module``: it is read in evaluation mode, without autocast; its state and random generators
        are restored.
    labels
        Of arrays: [n] integers or strings, not necessarily 0 … K−1. Of a model: the loader, which must yield the same
        samples in the same order in both passes: a DataLoader or another iterable of batches, each (inputs,
        labels) or a mapping of keyword arguments with "labels"; or a Dataset, or a pair (inputs [n, …], labels [n]).
        Floating-point inputs take the model's type, others keep theirs.
    classifier
        Weights [K, d] of the linear classifier that reads the last layer (before "logits"), rows in the order of
        the sorted labels; or a pair of weights and bias [K]. Without a bias the decisions are those of W h. By
        default the model's last ``nn.Linear``, if it computes the output from the last layer's features.
    rank_tolerance
        Directions of the class means count in nc1 and fuzziness if their singular value exceeds this fraction of the
        largest one, in [0, 1); by default K·ε of the features' type. ``class_mean_rank`` is their number.
    layers
        Of a model: submodules by name in the order of depth, patterns of names ("layer*", "blocks.*.mlp"), or "auto"
        for a readable set; `elastic.layers` lists them. A first "input" adds the inputs. The output layer has the name
        of the last layer, if that computes the output; otherwise it is added as "logits".
    forward
        ``forward(model, batch)`` returns the outputs for a batch of the loader, on the model's device; by
        default ``model(inputs)``, or ``model(**batch)`` without the labels.
    output
        Name or position of the outputs in the return value; by default ``logits`` of an output object, or the
        first tensor of a tuple.
    position
        Token whose features represent a layer [n, T, d] of a sequence model: an index, "last", or "mean"; tokens masked
        by ``attention_mask`` are skipped. By default all are flattened to T·d; the attribute ``features``
        names the choice.
    batch_size
        Samples per batch, if the loader yields samples and not batches.

    Returns
    -------
    xarray.Dataset
        The variables of the cube's ``collapse`` group over layer (and class, other_class, component). Variables that
        need a classifier or decisions are missing if there are none. If a model's outputs are not one per class, the
        attribute ``decisions`` says so.

    Raises
    ------
    DegenerateInput
        If there are fewer than two classes, arrays of different lengths, or values that are not finite; if a loader can
        be iterated only once, or yields other samples or another order in the second pass.
    ModelError
        If the model does not run on the batches, does not have the layers, or the features of a sample differ between
        passes or batches.

    Examples
    --------
    >>> h = np.array([[-1.5, 0.0], [-0.5, 0.0], [0.5, 0.0], [1.5, 0.0]])
    >>> ds = measure_collapse(h, ["cat", "cat", "dog", "dog"])
    >>> float(ds.nc1.sel(layer="features").round(12)), ds["class"].values.tolist()
    (0.125, ['cat', 'dog'])

    Of a model, and of a loader of two batches:

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> loader = [(h[:3], ["cat", "cat", "dog"]), (h[3:], ["dog"])]
    >>> ds = measure_collapse(net, loader, layers=["0"])
    >>> float(ds.nc1.sel(layer="0").round(12)), ds["layer"].values.tolist()
    (0.125, ['0', 'logits'])
    """
    if isinstance(features, nn.Module):
        return collapse_of_model(
            features, labels, layers=layers, classifier=classifier, rank_tolerance=rank_tolerance,
            forward=forward, output=output, position=position, batch_size=batch_size,
        )  # fmt: skip
    of_models = {"layers": layers, "forward": forward, "output": output, "position": position}
    if given := [(f"`{name}`", value) for name, value in of_models.items() if value is not None]:
        name, found = given[0][0], "a function" if callable(given[0][1]) else repr(given[0][1])
        raise DegenerateInput(name, "be left out for arrays", found, "features={'penultimate': array}")
    tensors = _tensors_by_layer(features)
    names, codes = class_positions(labels)
    positions = torch.as_tensor(codes, device=next(iter(tensors.values())).device)
    _check_rows(tensors, len(positions))
    blocks = partial(_blocks, tensors, positions)
    reading = read_classes(blocks, len(names), rank_tolerance=rank_tolerance)
    readings: dict[str, dict[str, Any]] = {
        layer: {"statistics": r.statistics, "nearest": r.nearest, "labels": r.labels} for layer, r in reading.items()
    }
    _add_classifier(readings, tensors, classifier, names)
    table = tabulate("collapse", tuple(readings), readings)
    coords = {"class": names, "other_class": names, "component": np.arange(1, len(names) + 1)}
    return labelled(table, "collapse", {layer: t[0].numel() for layer, t in tensors.items()}, coords)


def _tensors_by_layer(features: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, Tensor]:
    """Return the features of each layer, whose names differ in the dataset."""
    by_layer = features if isinstance(features, Mapping) else {"features": features}
    if not by_layer:
        raise DegenerateInput("`features`", "hold a layer", "none", "features={'penultimate': array}")
    if unnamed := [layer for layer in by_layer if not isinstance(layer, (str, int))]:
        raise DegenerateInput("`features`", "name its layers", repr(unnamed[0]), "features={'penultimate': array}")
    shown = [str(layer).rstrip("\0") for layer in by_layer]  # as NumPy keeps them
    if twice := [name for place, name in enumerate(shown) if name in shown[:place]]:
        found = f"two layers {twice[0]!r}"
        raise DegenerateInput("`features`", "name each layer differently", found, "names that are strings")
    return {layer: as_tensor(f"features[{layer!r}]", values) for layer, values in by_layer.items()}


def _check_rows(tensors: Mapping[str, Tensor], labels: int) -> None:
    for layer, values in tensors.items():
        if len(values) != labels:
            counts = f"{len(values)} for {labels} labels"
            raise DegenerateInput(
                f"`features[{layer!r}]`", "have one row a label", counts, "features[mask], labels[mask]"
            )


def _blocks(tensors: Mapping[str, Tensor], positions: Tensor) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
    """Split features and labels into blocks of samples: temporary arrays of a block take several times its memory."""
    width = max(math.prod(features.shape[1:]) for features in tensors.values())
    for start in range(0, len(positions), rows := max(1, BLOCK // width)):
        some = slice(start, start + rows)
        yield {layer: features[some] for layer, features in tensors.items()}, positions[some]


def _add_classifier(
    readings: dict[str, dict[str, Any]],
    tensors: Mapping[str, Tensor],
    classifier: Classifier | None,
    names: npt.NDArray[Any],
) -> None:
    """Add the readings that need a classifier or logits."""
    layers = [layer for layer in tensors if layer != LOGITS]
    decisions: Tensor | None = None
    if classifier is not None and layers:
        last = tensors[layers[-1]]
        device = vectors(last[:1]).device
        W, bias = (part.to(device) for part in as_classifier(classifier, len(names), math.prod(last.shape[1:])))
        readings[layers[-1]] |= {
            "duality_weights": DualityWeights(W, True),
            "classifier_weights": W,
            "classifier_bias": bias,
        }
        blocks = _blocks({"last": last}, torch.arange(len(last)))
        decisions = torch.cat([linear_decisions(vectors(some["last"]), W, bias) for some, _ in blocks])
    if LOGITS in tensors:
        decisions = decisions_of(tensors[LOGITS], names)
    if decisions is not None:
        for reading in readings.values():
            reading["decisions"] = decisions
