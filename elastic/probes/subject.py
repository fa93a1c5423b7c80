"""What probes read: a model, its loss and fixed samples, and how the model is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.models.contract import TappedModel


@dataclass(frozen=True)
class TrainingSteps:
    """How a training steps from batch to batch, for probes that account for movements of training.

    Attributes
    ----------
    per_epoch
        Number of steps per epoch.
    momentum
        Share of the previous update that each update keeps; None if the optimizer's step is not a multiple of a sum of
        gradients (Adam).
    nesterov
        Whether the momentum is Nesterov's.
    decays
        λ of the (λ/2)‖θ‖² that the objective adds, by the name of each parameter.
    features
        λ of the (λ/2) mean ‖h‖² over the penultimate features of the train samples that the objective adds.
    """

    per_epoch: int
    momentum: float | None
    nesterov: bool
    decays: Mapping[str, float]
    features: float = 0.0


@dataclass(frozen=True)
class Subject:
    """The subject of probes: a model, its loss and fixed samples.

    Attributes
    ----------
    model
        Read in evaluation mode and restored.
    loss
        Loss whose single-sample gradient defines the step.
    samples
        By split, on the model's device; "train" is the first.
    seed
        Seed of the samples that a probe chooses.
    weight_decay
        λ of the (λ/2)‖θ‖² that the objective adds for the classifier; None if it is not known.
    memory_budget
        Most bytes that the intermediate arrays of a probe may use.
    unseen
        Samples of classes that the model is not trained on, with their own labels; None if there are none.
    steps
        How the model is trained; None if it is not known, as for a user's training loop.
    alike
        The same for subjects whose models have the same code and differ only in the values of their parameters, so that
        what depends on the code is found once for all runs of a study; "" if that is not known.
    """

    model: TappedModel
    loss: Loss
    samples: Mapping[str, Samples]
    seed: int = 0
    weight_decay: float | None = None
    memory_budget: int = 2**30
    unseen: Samples | None = None
    steps: TrainingSteps | None = None
    alike: str = ""

    @property
    def classes(self) -> tuple[int | str, ...]:
        """Names of the K classes, in the order of the outputs."""
        return self.samples["train"].classes
