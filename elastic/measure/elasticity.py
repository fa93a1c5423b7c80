"""Elasticity of one's own model, without a protocol: a module and samples in, a labelled dataset out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from elastic.arguments import (
    Labelled,
    as_loss,
    check_update,
    samples_like,
)
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.losses import Loss
from elastic.measure.dataset import labelled, pair_responses
from elastic.metrics.tabulation import tabulate
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.models.state import preserved
from elastic.models.tapped import tap, unwrapped
from elastic.models.trial import first_line, trial
from elastic.probes.engines import ENGINES, Engine, EngineName, choose_engine
from elastic.probes.evaluation import probed
from elastic.probes.preconditions import check_preconditions, check_stepping
from elastic.probes.update_response import update_responses
from elastic.probes.verification import Witness, pairs_of
from elastic.probes.verified_response import verified_responses


def measure_elasticity(
    model: nn.Module,
    stepped: Labelled,
    observed: Labelled,
    *,
    loss: str | Loss = "cross_entropy",
    layers: Sequence[str] | str | None = None,
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
        A built-in model, or any classifier, whose submodules ``layers`` names. It is read in evaluation mode and
        left as it was.
    stepped, observed
        (inputs [n, …], labels [n]); labels are positions of logits. Integer and boolean inputs keep their type. A
        sample that is in both (equal in every byte) is not paired with itself.
    loss
        Name of a loss, or a `Loss`. One of the penultimate features ("supervised_contrastive") takes the
        layer before the output for these, and all stepped samples for its batch: two or more of a class.
    layers
        Submodules by name in the order of depth, patterns of names ("layer*", "blocks.*.mlp"), or "auto" for a readable
        set; `elastic.layers` shows what there is. The output layer has the name of the last one, where that gives the
        output; otherwise it is added as "logits".
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
    >>> ds.relative_similarity.sel(layer="1").values.round(6).tolist()
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
        model.output,
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


def check_labels(model: TappedModel, example: Tensor, labels: Tensor) -> None:
    """Raise a ModelError unless logits are [n, K], and DegenerateInput unless every label is the position of one."""
    with trial(model):
        shape = tuple(model.taps(example)[model.output].shape)
    if len(shape) != 2:
        hint = "a model that ends in the logits of one decision (select a token, average, or flatten them)"
        raise ModelError(f"layer `{model.output}`", "be of shape [n, K]", f"{list(shape)} for 1 input", hint)
    K = shape[1]
    if K < 2:
        hint = "two logits, of which one may be zero"
        raise ModelError(f"layer `{model.output}`", "be of two classes or more", "one logit", hint)
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
