"""Training: a generator of snapshots, one at epoch 0 and one after each epoch.

All random numbers of a training come from its seed and its own generator states: the global generators are set for an
epoch and restored afterwards. Code between two epochs (probes, plots, other trainings) cannot change a weight.
"""

from elastic.training.evaluation import evaluate
from elastic.training.loop import Snapshot, train
from elastic.training.objective import Objective, build_objective
from elastic.training.probe_schedules import probe_schedule, probed_epochs
from elastic.training.randomness import Randomness, deterministic_algorithms
from elastic.training.trainer import Trainer, batches

__all__ = [
    "Objective",
    "Randomness",
    "Snapshot",
    "Trainer",
    "batches",
    "build_objective",
    "deterministic_algorithms",
    "evaluate",
    "probe_schedule",
    "probed_epochs",
    "train",
]
