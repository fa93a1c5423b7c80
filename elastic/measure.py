"""Collapse and elasticity of one's own arrays and models, without a protocol: arrays in, labelled datasets out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.losses import Loss, build_loss
from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights
from elastic.metrics.contract import attributes
from elastic.metrics.tabulation import FloatArray, tabulate, to_array
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.models.tapped import tap
from elastic.probes.evaluation import probed
from elastic.probes.features import INPUT
from elastic.probes.update_response import update_responses
from elastic.registry import registry

ArrayLike = npt.ArrayLike | Tensor
#: Inputs [n, …] with their labels [n].
Labelled = tuple[ArrayLike, ArrayLike]


def measure_collapse(
    features: ArrayLike | Mapping[str, ArrayLike],
    labels: ArrayLike,
    *,
    classifier: ArrayLike | tuple[ArrayLike, ArrayLike | None] | None = None,
) -> xr.Dataset:
    """Measure neural collapse in features, layer by layer.

    Parameters
    ----------
    features
        {layer: [n, …]} in the order of depth, or one array [n, …] (its layer is then called "features"); NumPy
        arrays, tensors or what NumPy makes arrays of. A layer "input" has depth 0, a layer "logits" tells the
        network's decisions.
    labels
        [n] integers or strings, not necessarily 0 … K−1.
    classifier
        Weights [K, d] of the linear classifier that reads the last layer (before "logits"), rows in the order of
        the sorted labels; or a pair of weights and bias [K]. Without a bias the decisions are those of W h.

    Returns
    -------
    xarray.Dataset
        The variables of the cube's ``collapse`` group over layer (and class, other_class). What needs a classifier
        or decisions is left out where there are none.

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
    tensors = {layer: as_tensor(f"features[{layer!r}]", values) for layer, values in by_layer.items()}
    names, codes = np.unique(as_numpy(labels), return_inverse=True)
    device = next(iter(tensors.values())).device
    positions = torch.as_tensor(codes.reshape(-1), device=device)
    for layer, values in tensors.items():
        if len(values) != len(positions):
            counts = f"{len(values)} for {len(positions)} labels"
            raise DegenerateInput(
                f"`features[{layer!r}]`", "have one row a label", counts, "features[mask], labels[mask]"
            )
    reading = read_classes(lambda: [(tensors, positions)], len(names))
    readings: dict[str, dict[str, Any]] = {
        layer: {"statistics": r.statistics, "nearest": r.nearest, "labels": r.labels} for layer, r in reading.items()
    }
    _add_classifier(readings, tensors, classifier, len(names))
    table = tabulate("collapse", tuple(readings), readings)
    coords = {"class": names, "other_class": names}
    return labelled(table, "collapse", {layer: t[0].numel() for layer, t in tensors.items()}, coords)


def _add_classifier(
    readings: dict[str, dict[str, Any]],
    tensors: Mapping[str, Tensor],
    classifier: ArrayLike | tuple[ArrayLike, ArrayLike | None] | None,
    classes: int,
) -> None:
    """Add the readings that a classifier or logits make possible."""
    layers = [layer for layer in tensors if layer != "logits"]
    decisions: Tensor | None = None
    if classifier is not None and layers:
        weights, bias = classifier if isinstance(classifier, tuple) else (classifier, None)
        last = tensors[layers[-1]].flatten(1).double()
        W = as_tensor("classifier", weights).to(last)
        if W.shape != (classes, last.shape[1]):
            should, hint = f"be [K, d] = [{classes}, {last.shape[1]}]", "the weights that read the last layer"
            raise DegenerateInput("`classifier`", should, str(list(W.shape)), hint)
        readings[layers[-1]] |= {"duality_weights": DualityWeights(W, True), "classifier_weights": W}
        decisions = (last @ W.T + (0 if bias is None else as_tensor("bias", bias).to(last))).argmax(dim=1)
    if "logits" in tensors:
        decisions = tensors["logits"].argmax(dim=1)
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
    engine: Literal["auto", "autodiff"] = "auto",
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
        (inputs [n, …], labels [n]); labels are positions of logits. A sample that is in both (equal in every
        byte) is not paired with itself.
    loss
        Name of a loss, or a `Loss`.
    layers
        Submodules, in the order of depth; "logits" is added.
    update
        "first_order" for the exact derivative along the step; "finite" for a step of learning rate ``lr``, divided
        by it.
    lr
        Learning rate of a finite update, above 0.
    engine
        "auto" or "autodiff", which are one engine today.
    pairs
        Whether to add ``pair_response`` over (layer, stepped, observed).
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
        DegenerateInput for arrays or labels that do not fit; ModelError for a model that cannot be tapped or
        differentiated.

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
    if engine not in ("auto", "autodiff"):
        raise ElasticError("`engine`", "be 'auto' or 'autodiff'", repr(engine), "'auto'")
    check_update(update, lr)
    criterion = build_loss(loss) if isinstance(loss, str) else loss
    x_stepped, y_stepped = samples_like(model, "stepped", stepped)
    x_observed, y_observed = samples_like(model, "observed", observed)
    tapped = tap(model, layers, x_observed[:2])
    check_labels(tapped, x_observed[:1], torch.cat([y_stepped, y_observed]))
    present, codes = torch.cat([y_stepped, y_observed]).unique(return_inverse=True)
    responses = update_responses(
        tapped, criterion, (x_stepped, y_stepped), (x_observed, codes[len(y_stepped) :]),
        classes=len(present), groups=codes[: len(y_stepped)], lr=lr,
        same=same_rows(x_stepped, x_observed), memory_budget=memory_budget,
    )  # fmt: skip
    table = tabulate("elasticity", tapped.layers, {layer: {"update": r} for layer, r in responses.items()})
    widths = layer_widths(tapped, x_observed[:1])
    names = present.cpu().numpy()
    ds = labelled(table, "elasticity", widths, {"stepped_class": names, "observed_class": names})
    return ds.merge(pair_responses(responses, y_stepped, y_observed)) if pairs else ds


def pair_responses(responses: Mapping[str, UpdateResponse], stepped: Tensor, observed: Tensor) -> xr.Dataset:
    """Return ‖Δ(m;a)‖ of every pair of samples, NaN for a sample with itself."""
    values = np.stack([np.where(to_array(r.counted) > 0, to_array(r.norms), np.nan) for r in responses.values()])
    attrs = {"long_name": "movement of each observed sample under each step", "units": "feature per unit learning rate"}
    coords = {
        "layer": np.array(list(responses), dtype=object),
        "stepped_label": ("stepped", stepped.cpu().numpy()),
        "observed_label": ("observed", observed.cpu().numpy()),
    }
    return xr.Dataset({"pair_response": (("layer", "stepped", "observed"), values, attrs)}, coords)


def labelled(
    table: Mapping[str, FloatArray],
    group: Literal["collapse", "elasticity"],
    widths: Mapping[str, int],
    coords: Mapping[str, Any],
) -> xr.Dataset:
    """Put names on a table of metrics: layer with depth and width, and the dims of each metric's facts."""
    data = {}
    for name, values in table.items():
        entry = registry("metrics").get(name)
        data[name] = (("layer", *entry.facts.dims), values, attributes(entry))
    first = 0 if next(iter(widths)) == INPUT else 1
    depth = np.arange(first, first + len(widths))
    layer = {
        "layer": np.array(list(widths), dtype=object),
        "depth": ("layer", depth),
        "width": ("layer", np.array(list(widths.values()))),
    }
    return xr.Dataset(data, {**layer, **coords}, attrs={"group": group})


def as_numpy(values: ArrayLike) -> npt.NDArray[Any]:
    """Return values as a NumPy array on the host."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def as_tensor(name: str, values: ArrayLike) -> Tensor:
    """Return values as a floating-point tensor where they are; integers become float64.

    Raises
    ------
    DegenerateInput
        If they are no numbers, or not at least [n, d].
    """
    try:
        tensor = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise DegenerateInput(
            f"`{name}`", "be an array of numbers", str(error).splitlines()[0], "a NumPy array"
        ) from None
    return tensor.detach() if tensor.is_floating_point() else tensor.detach().double()


def samples_like(model: nn.Module, name: str, samples: Labelled) -> tuple[Tensor, Tensor]:
    """Return inputs in the precision and on the device of a model's parameters, and int64 labels.

    Raises
    ------
    DegenerateInput
        If there are no samples, or not one label for each.
    ModelError
        If the model has no parameters.
    """
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    if parameter is None:
        raise ModelError("`model`", "be an nn.Module with parameters to step on", type(model).__name__, "a network")
    inputs = as_tensor(f"{name}[0]", samples[0]).to(parameter.device, parameter.dtype)
    labels = torch.as_tensor(as_numpy(samples[1]), device=parameter.device).long().reshape(-1)
    if len(labels) == 0 or len(labels) != len(inputs):
        found = f"{len(inputs)} inputs, {len(labels)} labels"
        raise DegenerateInput(f"`{name}`", "be inputs with one label each", found, f"{name}=(inputs, labels)")
    if not inputs.isfinite().all():
        raise DegenerateInput(f"`{name}`", "be finite", "NaN or infinity among the inputs", "cleaning the inputs")
    return inputs, labels


def check_update(update: str, lr: float | None) -> None:
    """Raise an ElasticError unless a finite update has a learning rate, and a first-order one has none."""
    if update not in ("first_order", "finite"):
        raise ElasticError("`update`", "be 'first_order' or 'finite'", repr(update), "'first_order'")
    if update == "first_order" and lr is not None:
        raise ElasticError("`lr`", "be left out for a first-order update, which has no step size", repr(lr),
                           "update='finite'")  # fmt: skip
    if update == "finite" and not (lr is not None and 0 < lr < float("inf")):
        raise ElasticError("`lr`", "be a positive learning rate for a finite update", repr(lr), "lr=0.01")


def check_labels(model: TappedModel, example: Tensor, labels: Tensor) -> None:
    """Raise DegenerateInput unless every label is the position of a logit."""
    K = layer_widths(model, example)["logits"]
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
    keys = [row.tobytes() for row in first.cpu().numpy()]
    others = [row.tobytes() for row in second.cpu().numpy()]
    places = {key: number for number, key in enumerate(dict.fromkeys(keys + others))}
    rows, columns = (torch.tensor([places[key] for key in part]) for part in (keys, others))
    return (rows[:, None] == columns[None, :]).to(first.device)
