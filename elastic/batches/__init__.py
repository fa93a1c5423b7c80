"""What loaders give: batches of any form, taken apart into inputs and labels, and passes that repeat."""

from elastic.batches.batch import inputs_of, labels_of, outputs_of, place_of, placed, rows_of, run
from elastic.batches.loading import batches_of, kept_generators
from elastic.batches.repeating import FixedBatches

__all__ = [
    "FixedBatches",
    "batches_of",
    "inputs_of",
    "kept_generators",
    "labels_of",
    "outputs_of",
    "place_of",
    "placed",
    "rows_of",
    "run",
]
