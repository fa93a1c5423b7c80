"""Collapse and elasticity of one's own arrays and models, without a protocol: arrays in, labelled datasets out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from elastic.arguments import (
    Classifier,
    Labelled,
    as_classifier,
    as_loss,
    check_update,
    decisions_of,
    linear_decisions,
    samples_like,
)
from elastic.arrays import ArrayLike, as_tensor, class_positions
from elastic.cube.attributes import BOUNDS, bounds_attribute
from elastic.cube.portable import fixed_width
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.losses import Loss
from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.contract import attributes
from elastic.metrics.moments import vectors
from elastic.metrics.tabulation import FloatArray, tabulate, to_array
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.models.state import preserved
from elastic.models.tapped import tap, unwrapped
from elastic.models.trial import first_line, trial
from elastic.probes.engines import ENGINES, Engine, EngineName, choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.features import INPUT
from elastic.probes.preconditions import check_preconditions, check_stepping
from elastic.probes.update_response import update_responses
from elastic.probes.verification import Witness, pairs_of
from elastic.probes.verified_response import verified_responses
from elastic.registry import registry


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
    layers = [layer for layer in tensors if layer != "logits"]
    decisions: Tensor | None = None
    if classifier is not None and layers:
        last = vectors(tensors[layers[-1]])
        W, bias = (part.to(last.device) for part in as_classifier(classifier, len(names), last.shape[1]))
        readings[layers[-1]] |= {"duality_weights": DualityWeights(W, True), "classifier_weights": W}
        decisions = linear_decisions(last, W, bias)
    if "logits" in tensors:
        decisions = decisions_of(tensors["logits"], names)
    if decisions is not None:
        for reading in readings.values():
            reading["decisions"] = decisions


def measure_elasticity(
    model: nn.Module,
    stepped: Labelled,
    observed: Labelled,
    *,
    loss: str | Loss = "cross_entropy",
    layers: Sequence[str] | None = None,
    update: Literal["first_order", "finite"] = "first_order",
    lr: float | None = None,
    engine: EngineName = "auto",
    pairs: bool = False,
    memory_budget: int = 2**30,
) -> xr.Dataset:
    """Measure how one gradient step on each stepped sample moves the observed ones, at every layer.

    Parameters
    ----------
    model
        A built-in model, or any classifier whose submodules ``layers`` names. It is read in evaluation mode and
        left as it was.
    stepped, observed
        (inputs [n, …], labels [n]); labels are positions of logits. Integer and boolean inputs keep their type. A
        sample that is in both (equal in every byte) is not paired with itself.
    loss
        Name of a loss, or a `Loss`. One of the penultimate features ("supervised_contrastive") takes the last of
        ``layers`` for these, and all stepped samples for its batch: two or more of a class.
    layers
        Submodules, in the order of depth; "logits" is added.
    update
        "first_order" for the exact derivative along the step; "finite" for a step of learning rate ``lr``, divided
        by it.
    lr
        Learning rate of a finite update, above 0.
    engine
        "structured" is faster and knows most modules, "autodiff" knows all that torch can differentiate; "auto" takes
        the first where it can and agrees with real steps. The attribute ``engine`` says which it was and why, and
        ``engine_check`` how far eight of its pairs are from real steps in float64 (in the model's own precision, with
        wider bounds, where it does not run in float64).
    pairs
        Whether to add ``pair_response`` and ``pair_product`` over (layer, stepped, observed), and ``own_response``.
        With the same samples as both, `elastic.analysis.similarity_clustering` finds classes that no label tells.
    memory_budget
        Bytes that the probe may take.

    Returns
    -------
    xarray.Dataset
        The variables of the cube's ``elasticity`` group over layer, stepped_class, observed_class; classes are the
        labels that occur.

    Raises
    ------
    ElasticError
        DegenerateInput for arrays or labels that do not fit. ModelError for a model that cannot be tapped or
        differentiated, whose features depend on the batch or on chance, or on which no engine (or the one asked for)
        agrees with real steps.

    Examples
    --------
    A linear classifier z = W x at W = 0 and orthogonal inputs: a step on one sample leaves the other alone.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    >>> _ = nn.init.zeros_(net[1].weight)
    >>> x = np.eye(2, dtype="float32")
    >>> ds = measure_elasticity(net, (x, [0, 1]), (2 * x, [0, 1]), layers=["1"])
    >>> ds.relative_similarity.sel(layer="logits").values.round(6).tolist()
    [[2.0, 0.0], [0.0, 2.0]]
    """
    if engine not in ("auto", *ENGINES):
        raise ElasticError("`engine`", f"be one of 'auto', {', '.join(map(repr, ENGINES))}", repr(engine), "'auto'")
    check_update(update, lr)
    criterion, model = as_loss(loss), unwrapped(model)
    x_stepped, y_stepped = samples_like(model, "stepped", stepped)
    x_observed, y_observed = samples_like(model, "observed", observed)
    with preserved(model), explained("be differentiable, and run on single samples and on several"):
        tapped = tap(model, layers, x_observed[:2])
        check_labels(tapped, x_observed[:1], torch.cat([y_stepped, y_observed]))
        return _measured(
            tapped, criterion, (x_stepped, y_stepped), (x_observed, y_observed), engine, lr, pairs, memory_budget
        ).assign_attrs(update=update, lr="" if lr is None else lr)


def _measured(
    model: TappedModel,
    loss: Loss,
    stepped: tuple[Tensor, Tensor],
    observed: tuple[Tensor, Tensor],
    engine: EngineName,
    lr: float | None,
    pairs: bool,
    memory_budget: int,
) -> xr.Dataset:
    """Return the dataset of `measure_elasticity` for arguments that have been checked."""
    inputs = torch.cat([observed[0], stepped[0]])
    check_preconditions(model, inputs)
    check_stepping(model, inputs)
    present, codes = torch.cat([stepped[1], observed[1]]).unique(return_inverse=True)
    groups, classes = codes.split([len(stepped[1]), len(observed[1])])
    same = same_rows(stepped[0], observed[0])

    def respond(engine: Engine, witness: Witness) -> dict[str, UpdateResponse]:
        return update_responses(
            model, loss, stepped, (observed[0], classes), classes=len(present), groups=groups, lr=lr,
            same=same, engine=engine, memory_budget=memory_budget, witness=witness,
        )  # fmt: skip

    layer = model.layer_of(loss.layer)
    chosen = choose_engine(model, observed[0][:1], engine=engine, finite=lr is not None, layer=layer)
    compared = pairs_of(len(same), len(same[0]), seed=0, epoch=0)
    verified = verified_responses(respond, chosen, model, (stepped[0], observed[0]), compared, lr)
    names = present.cpu().numpy()
    ds = labelled(
        tabulate("elasticity", model.layers, verified.readings()), "elasticity",
        layer_widths(model, observed[0][:1]), {"stepped_class": names, "observed_class": names},
    )  # fmt: skip
    if pairs:
        ds = ds.merge(pair_responses(verified.responses, stepped[1], observed[1]))
    return ds.assign_attrs(verified.attributes())


@contextmanager
def explained(should: str) -> Iterator[None]:
    """Turn what a model raises into a `ModelError`: no traceback of another library is the answer to a mistake."""
    try:
        yield
    except ElasticError:
        raise
    except Exception as error:
        hint = "replacing the part of the model that raised this (the traceback above names it)"
        raise ModelError("`model`", should, first_line(error), hint) from error


def pair_responses(responses: Mapping[str, UpdateResponse], stepped: Tensor, observed: Tensor) -> xr.Dataset:
    """Return ‖Δ(m;a)‖ and ⟨Δ(m;a), Δ(a;a)⟩ of every pair of samples, NaN for a sample with itself, and ‖Δ(a;a)‖.

    Relative similarities of pairs are ``pair_response / own_response``, kernelised ones
    ``pair_product / own_response**2``.
    """
    per_lr = "feature per unit learning rate"

    def told(long_name: str, units: str, formula: str, low: float | None) -> dict[str, Any]:
        bounds = {BOUNDS: bounds_attribute(low, None)}
        return {"long_name": long_name, "units": units, "source": "he2020local", "formula": formula, **bounds}

    def of_pairs(name: str, attrs: dict[str, Any]) -> tuple[tuple[str, ...], FloatArray, dict[str, Any]]:
        values = [np.where(to_array(r.counted) > 0, to_array(getattr(r, name)), np.nan) for r in responses.values()]
        return ("layer", "stepped", "observed"), np.stack(values), attrs

    of_norms = told("movement of each observed sample under each step", per_lr, "‖Δ(m;a)‖", 0)
    of_products = told("inner product of that with the stepped sample's own", f"({per_lr})²", "⟨Δ(m;a), Δ(a;a)⟩", None)
    own = np.stack([to_array(r.own_norms) for r in responses.values()])
    of_own = told("movement of each stepped sample itself", per_lr, "‖Δ(a;a)‖", 0)
    coords = {
        "layer": np.array(list(responses), dtype=np.str_),
        "stepped_label": ("stepped", stepped.cpu().numpy()),
        "observed_label": ("observed", observed.cpu().numpy()),
    }
    data = {
        "pair_response": of_pairs("norms", of_norms),
        "pair_product": of_pairs("products", of_products),
        "own_response": (("layer", "stepped"), own, of_own),
    }
    return xr.Dataset(data, coords)


def labelled(
    table: Mapping[str, FloatArray],
    group: Literal["collapse", "elasticity"],
    widths: Mapping[str, int],
    coords: Mapping[str, npt.NDArray[Any]],
) -> xr.Dataset:
    """Put names on a table of metrics: layer with depth and width, and the dims of each metric's facts."""
    data = {}
    for name, values in table.items():
        entry = registry("metrics").get(name)
        data[name] = (("layer", *entry.facts.dims), values, attributes(entry))
    first = 0 if next(iter(widths)) == INPUT else 1
    depth = np.arange(first, first + len(widths))
    layer = {
        "layer": np.array(list(widths), dtype=np.str_),
        "depth": ("layer", depth),
        "width": ("layer", np.array(list(widths.values()))),
    }
    classes = {name: fixed_width(names) for name, names in coords.items()}
    return xr.Dataset(data, {**layer, **classes}, attrs={"group": group})


def check_labels(model: TappedModel, example: Tensor, labels: Tensor) -> None:
    """Raise a ModelError unless logits are [n, K], and DegenerateInput unless every label is the position of one."""
    with trial(model):
        shape = tuple(model.taps(example)["logits"].shape)
    if len(shape) != 2:
        hint = "a model that ends in the logits of one decision (select a token, average, or flatten them)"
        raise ModelError("layer `logits`", "be of shape [n, K]", f"{list(shape)} for 1 input", hint)
    K = shape[1]
    if K < 2:
        hint = "two logits, of which one may be zero"
        raise ModelError("layer `logits`", "be of two classes or more", "one logit", hint)
    if labels.min() < 0 or labels.max() >= K:
        found = f"{int(labels.min())} … {int(labels.max())}"
        raise DegenerateInput("`labels`", f"be positions of the {K} logits", found, "labels from 0 on")


def layer_widths(model: TappedModel, example: Tensor) -> dict[str, int]:
    """Return each layer's width, by a forward pass on one sample [1, …]."""
    with torch.no_grad(), probed(model):
        return {layer: features[0].numel() for layer, features in model.taps(example).items()}


def same_rows(first: Tensor, second: Tensor) -> Tensor:
    """Return [J, M] bool, True where a row of ``first`` is a row of ``second``, byte by byte.

    >>> same_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [3.0]])).tolist()
    [[False, False], [True, False]]
    """
    keys, others = ([row.tobytes() for row in _bytes(part)] for part in (first, second))
    places = {key: number for number, key in enumerate(dict.fromkeys(keys + others))}
    rows, columns = (torch.tensor([places[key] for key in part]) for part in (keys, others))
    return (rows[:, None] == columns[None, :]).to(first.device)


def _bytes(rows: Tensor) -> npt.NDArray[np.uint8]:
    """Return [n, bytes]: NumPy does not know every type of numbers that torch has."""
    return np.asarray(rows.reshape(len(rows), -1).cpu().contiguous().view(torch.uint8).numpy())
