"""Elasticity of a given module on given samples, without a protocol; returns a labelled dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import xarray as xr
from torch import nn

from elastic.arguments import Labelled, LossLike, Reading, as_loss, check_module, check_update, model_and_samples
from elastic.batches import Forward, Output
from elastic.errors import ElasticError, ModelError, first_line
from elastic.losses import Loss
from elastic.measure.targets import classify
from elastic.measure.update_measurement import UpdateMeasurement
from elastic.models.evaluation_mode import evaluated
from elastic.models.modes import plain_modes
from elastic.models.positions import Position, described_position
from elastic.models.taps import tap, unwrapped
from elastic.probes.engine_selection import ENGINES, EngineName
from elastic.probes.evaluation import probed


@plain_modes()
def measure_elasticity(
    model: nn.Module,
    stepped: Labelled,
    observed: Labelled,
    *,
    loss: LossLike = "cross_entropy",
    layers: Sequence[str] | str | None = None,
    forward: Forward | None = None,
    output: Output | None = None,
    position: Position | None = None,
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
        A built-in model, or any classifier, whose submodules ``layers`` names. It is read in evaluation mode, without
        autocast, and its state is restored.
    stepped, observed
        (inputs [n, …], labels [n]); a mapping of a model's keyword arguments with "labels" among them, as tokenizers
        and collators of Hugging Face return it; a list of such mappings, or of pairs (input, label), one per
        sample; or a Dataset or DataLoader that yields the same in two passes. Labels are positions of the K outputs, or
        targets of the loss: probabilities [n, K], several labels [n, K] of zeros and ones, or for a model of one output
        ([n, 1] or [n]) two labels or numbers [n]. Integer and boolean inputs keep their type. A sample that is in both
        (equal in every byte) is not paired with itself.
    loss
        Name of a registered loss; a loss of torch (``nn.CrossEntropyLoss(label_smoothing=0.1)``, its function, or a
        ``functools.partial`` of that); any callable ``(outputs, labels) -> loss`` that is the mean or the sum of its
        samples' losses; or a `Loss`. A sample is stepped on its own term of the sum over a batch: with class
        weights w that is w_y ℓ, although ``reduction="mean"`` divides by the weight on a batch of one. A registered
        loss of the penultimate features ("supervised_contrastive") reads them from the layer before the output, and
        its batch are all stepped samples: two or more of a class.
    layers
        Submodules by name in the order of depth, patterns of names ("layer*", "blocks.*.mlp"), or "auto" for a readable
        set; `elastic.layers` lists them. The output layer has the name of the last layer, if that computes the
        output; otherwise it is added as "logits".
    forward
        ``forward(model, batch)`` returns the outputs for a batch in the given format; by default ``model(inputs)``, or
        ``model(**batch)`` without the labels.
    output
        Name or position of the outputs in the return value; by default ``logits`` of an output object, or the
        first tensor of a tuple.
    position
        Token whose features represent a layer [n, T, d] of a sequence model: an index, "last", or "mean"; tokens masked
        by ``attention_mask`` are skipped. By default all are flattened to T·d; the attribute ``features``
        names the choice.
    update
        "first_order" for the exact derivative along the step; "finite" for a step of learning rate ``lr``, divided
        by it.
    lr
        Learning rate of a finite update, above 0.
    engine
        "structured" is faster on CPUs and supports most modules, "autodiff" supports everything that torch can
        differentiate, and is faster for convolutions on a GPU; "auto" selects the faster one that supports the model
        and agrees with real steps. The attribute ``engine`` names it with the reason, and ``engine_check`` is the
        distance of some of its pairs from real steps in float64 (or in the model's own precision, with wider bounds):
        eight pairs when a model is measured first, and one, another each time, when it is measured again with other
        numbers, such as those of a later epoch.
    pairs
        Whether to add ``pair_response`` and ``pair_product`` over (layer, stepped, observed), and ``own_response``.
        With the same samples as both, `elastic.analysis.similarity_clustering` finds classes without using labels.
    memory_budget
        Most bytes that the probe may use.

    Returns
    -------
    xarray.Dataset
        The variables of the cube's ``elasticity`` group over layer, stepped_class, observed_class. Classes are
        those that occur; for rows of probabilities, the positions of the largest entries. The attribute ``loss`` names
        the loss with its options.

    Raises
    ------
    ElasticError
        DegenerateInput for arrays or labels that do not fit. ModelError for a model that cannot be tapped or
        differentiated, whose features depend on the batch or are random, or on which no engine (or the requested one)
        agrees with real steps; for a loss that couples its samples, is random or cannot be differentiated.

    Examples
    --------
    A linear classifier z = W x at W = 0 and orthogonal inputs: a step on one sample leaves the other alone.

    >>> import numpy as np
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
    positions = isinstance(criterion, Loss)
    reading, parts = Reading(forward, output, position), {"stepped": stepped, "observed": observed}
    reading.check(model)
    check_module(model)
    # One saved state for the whole call, to which every part that runs the model restores it.
    with evaluated(model, parameters=True):
        view, samples = model_and_samples(model, parts, reading, positions=positions)
        (x_stepped, y_stepped), (x_observed, y_observed) = samples.values()
        expected = "be differentiable, and run on single samples and on several"
        with evaluated(view, parameters=True), translate_errors(expected):
            tapped = tap(view, layers, x_observed[:2], position)
            classified = classify(tapped, criterion, (x_stepped, x_observed), (y_stepped, y_observed))
            # For samples other than arrays the inputs of the model are unknown: the model is treated as new each time.
            owner = model if view is model else None
            with probed(tapped):
                measurement = UpdateMeasurement(
                    tapped, classified, x_stepped, x_observed, lr=lr, memory_budget=memory_budget
                )
                ds = measurement.measure(owner, engine, position, pairs=pairs)
    ds.attrs |= {
        "update": update, "lr": "" if lr is None else lr, "loss": classified.loss.name,
        "features": described_position(position),
    }  # fmt: skip
    return ds


@contextmanager
def translate_errors(expected: str) -> Iterator[None]:
    """Convert exceptions of a model to a `ModelError`, so that users do not see tracebacks of other libraries."""
    try:
        yield
    except ElasticError:
        raise
    except Exception as error:
        hint = "replacing the part of the model that raised this (the traceback above names it)"
        raise ModelError("`model`", expected, first_line(error), hint) from error
