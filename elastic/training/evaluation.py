"""The mean loss and the accuracy of a model on a split."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.models.contract import TappedModel
from elastic.models.fast_products import FastProducts
from elastic.training.objective import EVALUATION_BATCH


@torch.no_grad()
def evaluate(model: TappedModel, loss: Loss, samples: Samples) -> tuple[float, float]:
    """Return the mean loss and the accuracy of a model (in evaluation mode) on samples, summed in float64.

    A user's loss is evaluated on all samples as one batch: their mean, the mean by class weights, or the sum.

    A loss of features, which couples the samples of a batch, is evaluated on batches of at most `EVALUATION_BATCH`, the
    same at every epoch: every B-th sample from the b-th on, so that classes are spread over all B batches even if the
    samples are sorted. With up to 4,096 samples all are one batch.
    """
    total = torch.zeros((), dtype=torch.float64, device=samples.labels.device)
    correct = torch.zeros((), dtype=torch.int64, device=samples.labels.device)
    layer, output = model.layer_of(loss.layer), model.output
    counted = torch.zeros_like(total)
    for part in evaluation_batches(samples, spread=layer != output):
        with FastProducts():
            features = {output: model(part.inputs)} if layer == output else model.taps(part.inputs)
        labels, outputs = part.for_loss, features[output].reshape(len(part), -1)
        total += loss.per_sample(features[layer].reshape(len(part), -1), labels).double().sum()
        counted += len(part) if loss.counts is None else loss.counts(labels).double().sum()
        correct += (loss.decisions(outputs) == part.labels).sum()
    return loss.reduced(total.item(), counted.item()), correct.item() / len(samples)


def evaluation_batches(samples: Samples, *, spread: bool) -> Iterator[Samples]:
    """Yield samples in batches of at most `EVALUATION_BATCH`, contiguous or strided."""
    count = -(-len(samples) // EVALUATION_BATCH)
    spans = (slice(first, None, count) for first in range(count))
    if not spread:
        spans = (slice(first, first + EVALUATION_BATCH) for first in range(0, len(samples), EVALUATION_BATCH))
    yield from map(samples.take, spans)
