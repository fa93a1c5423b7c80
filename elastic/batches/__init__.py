"""Batches of loaders in any format: separation of inputs and labels, and repeatable passes."""

from elastic.batches.batch import inputs_of, labels_of, place_of, placed, rows_of
from elastic.batches.loading import batches_of, kept_generators
from elastic.batches.outputs import Forward, Output, check_output, outputs_of, run, runner
from elastic.batches.repeating import FixedBatches

__all__ = [
    "FixedBatches",
    "Forward",
    "Output",
    "batches_of",
    "check_output",
    "inputs_of",
    "kept_generators",
    "labels_of",
    "outputs_of",
    "place_of",
    "placed",
    "rows_of",
    "run",
    "runner",
]
