"""The group ``class_steps``: class means and variances of each layer with their rates under the steps of training."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import Field

from elastic.errors import ModelError
from elastic.metrics.class_steps import GROUP
from elastic.metrics.step_rule import StepRule
from elastic.probes.class_steps import ClassStepping, scale_of_batches
from elastic.probes.contract import Label, MetricProbe, Subject, probe
from elastic.probes.evaluation import probed
from elastic.probes.preconditions import check_preconditions, check_stepping
from elastic.probes.samples import collapse_samples
from elastic.releases import Added

STEPS, RULE = "class_steps", "step_rule"
UNKNOWN = float("nan")

PerClass = Annotated[int, Field(ge=1, description="Train samples of each (fine) class; null: all.")] | None
Momentum = Annotated[float, Field(ge=0, lt=1, description="Momentum of the training's SGD; null: the run's.")] | None
Decay = Annotated[float, Field(ge=0, description="Weight decay λ on all parameters; null: the run's.")] | None
Nesterov = Annotated[
    bool | None, Added("0.1.0", before=None), Field(description="Whether the momentum is Nesterov's; null: the run's.")
]
Count = Annotated[int, Field(ge=1, description="Steps of an epoch of the training; null: the run's.")] | None


class ClassStepsProbe(MetricProbe):
    """Reads how the step on each class moves class means and variances, on fixed train samples."""

    group = GROUP

    def __init__(self, subject: Subject, per_class: int | None, rule: StepRule, decay: float | None) -> None:
        super().__init__(subject.model.layers)
        if subject.loss.layer != "logits":
            hint = "a loss of the logits, or no class_steps"
            raise ModelError("`probes.class_steps`", "be of a loss of the logits", subject.loss.name, hint)
        self.subject, self.rule = subject, rule
        chosen = collapse_samples({"train": subject.samples["train"]}, per_class, subject.seed)
        self.samples = chosen["train"]
        self.decays = self._decays(decay)
        self.features = 0.0 if subject.steps is None else subject.steps.features
        self.scale = scale_of_batches(subject.loss, subject.samples["train"], rule.steps_per_epoch)
        if math.isnan(self.scale):
            expected = "be given for a loss that sums over a batch, whose steps grow with it"
            raise ModelError("`probes.class_steps.steps_per_epoch`", expected, "null", "steps_per_epoch: len(loader)")
        self._has_read = False

    def reading_names(self) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """Return the rates of each layer, and the rule of the steps."""
        return {layer: {STEPS} for layer in self.layers}, {RULE}

    def labels(self) -> Mapping[str, Sequence[Label]]:
        """Return names of layers and classes."""
        classes = self.subject.classes
        class_dims = ("class", "other_class", "stepped_class", "observed_class")
        return {"layer": self.layers, **dict.fromkeys(class_dims, classes)}

    def rehearse(self) -> None:
        """Raise a ModelError if the memory budget is too small for one step and one sample."""
        with torch.no_grad(), probed(self.subject.model, parameters=True):
            self._stepping()

    def readings(self, epoch: float) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        """Return the rates of each layer, and the rule of the steps.

        Raises
        ------
        ModelError
            If the features are random or depend on the batch (`check_preconditions`), code hides what a step moves
            (`check_stepping`), or the budget is too small.
        """
        model = self.subject.model
        with probed(model, parameters=True):
            check_preconditions(model, self.samples.inputs, first=not self._has_read)
            if not self._has_read:
                check_stepping(model, self.samples.inputs)
            self._has_read = True
            with torch.no_grad():
                steps = self._stepping().read(self.decays, self.rule.shares, features=self.features)
        return {layer: {STEPS: steps[layer]} for layer in self.layers}, {RULE: self.rule}

    def _stepping(self) -> ClassStepping:
        stepping = ClassStepping(
            self.subject.model, self.subject.loss, self.samples, self.subject.memory_budget, scale=self.scale
        )
        if stepping.at_once < 1 or stepping.block < 1:
            expected = "be larger, for the step on one class and the features of a sample"
            found = f"{self.subject.memory_budget} bytes"
            raise ModelError("`memory_budget`", expected, found, "probes: {memory_budget: 4GiB}, or no class_steps")
        return stepping

    def _decays(self, decay: float | None) -> Mapping[str, float]:
        known = self.subject.steps
        if decay is None and known is not None:
            return known.decays
        everywhere = (self.subject.weight_decay or 0.0) if decay is None else decay
        return {name: everywhere for name, p in self.subject.model.named_parameters() if p.requires_grad}


@probe(group=GROUP, dims=("layer", "class", "other_class", "stepped_class", "observed_class"))
def class_steps(
    subject: Subject,
    *,
    per_class: PerClass = None,
    momentum: Momentum = None,
    nesterov: Nesterov = None,
    steps_per_epoch: Count = None,
    weight_decay: Decay = None,
) -> ClassStepsProbe:
    """Class means and variances of each layer, and their rates under the step on each class and under weight decay.

    `elastic.analysis.closure` sums the rates over the optimizer's steps and compares the sum with the measured change.
    The step on a class follows the mean loss over its samples, scaled as the training loss is (a sum over the batch, or
    a mean with class weights). Batch norm and dropout are in evaluation mode, for gradients and features: effects of
    batch statistics in training are not part of the rates. Source: zhang2021imitating.

    Parameters
    ----------
    subject
        Model, loss and train samples.
    per_class
        Samples of each class (of each fine class, where there are any) that are stepped on and observed; null: all.
    momentum
        Momentum of SGD in an external training loop (0: none); null: the protocol's. Dampening d is no part of the
        rule: record the learning rate times 1 − d.
    nesterov
        Whether the momentum of an external training loop is Nesterov's; null: the protocol's, or else it is not.
    steps_per_epoch
        Steps per epoch in an external training loop; null: the protocol's.
    weight_decay
        λ of an external training loop, on all parameters; null: the protocol's, with all its penalties on
        parameters and features, or the Recorder's ``weight_decay``.

    Raises
    ------
    ModelError
        If the loss is of the penultimate features, or sums over batches of unknown size, or the memory budget is too
        small.
    DegenerateInput
        If a class has no train samples.
    """
    known = subject.steps
    if nesterov is None:
        nesterov = known is not None and momentum is None and known.nesterov
    if momentum is None:
        momentum = UNKNOWN if known is None or known.momentum is None else known.momentum
    per_epoch: float = UNKNOWN if known is None else known.per_epoch
    counts = subject.samples["train"].labels.bincount(minlength=len(subject.classes)).double()
    rule = StepRule(
        counts / counts.sum(), momentum, nesterov, per_epoch if steps_per_epoch is None else steps_per_epoch
    )
    return ClassStepsProbe(subject, per_class, rule, weight_decay)
