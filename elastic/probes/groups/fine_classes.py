"""The group ``fine_classes``: whether fine classes stay separable in a network trained on them as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from elastic.data.contract import Samples
from elastic.data.preparation import draws
from elastic.data.transforms import choose_per_class
from elastic.errors import ModelError
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.fine_transfer import GROUP
from elastic.models.contract import INPUT
from elastic.probes.contract import Label, MetricProbe, Subject, probe
from elastic.probes.evaluation import probed
from elastic.probes.preconditions import check_preconditions
from elastic.probes.transfer import FINE_DRAW, check_features_budget, episodes, features_of, transfer_features

TRANSFER, STATISTICS = "fine_transfer", "fine_statistics"


@dataclass(frozen=True)
class Part:
    """One super-class: positions of its samples in both splits, their fine classes from 0, and the episodes."""

    fit: Tensor
    fit_labels: Tensor
    held: Tensor
    held_labels: Tensor
    supports: Mapping[int, Tensor]
    classes: int


class FineClassesProbe(MetricProbe):
    """Reads the fine classes of each super-class, fitted on train samples and scored on test samples."""

    group = GROUP

    def __init__(
        self, subject: Subject, per_class: int | None, shots: Sequence[int], episodes_count: int, penalty: float
    ) -> None:
        super().__init__((INPUT, *subject.model.layers))
        self.subject, self.shots, self.penalty = subject, tuple(shots), penalty
        train = subject.samples["train"]
        if train.fine_labels is None or "test" not in subject.samples:
            expected = "be left out for data without super-classes or test samples"
            raise ModelError("`probes.fine_classes`", expected, "no `data.superclasses`", "data: {superclasses: …}")
        self.fit = _chosen(train, per_class, subject.seed)
        self.held = _chosen(subject.samples["test"], per_class, subject.seed)
        self.parts = list(self._parts(episodes_count))
        if not self.parts:
            expected = "have a super-class of two classes or more"
            raise ModelError(
                "`data.superclasses`", expected, "groups of one class", "{primary: [5, 8], auxiliary: [4]}"
            )

    def _parts(self, episodes_count: int) -> Sequence[Part]:
        parts = []
        for label in range(len(self.fit.classes)):
            positions = [(part.labels == label).nonzero().flatten() for part in (self.fit, self.held)]
            fine = [part.strata[0][at] for part, at in zip((self.fit, self.held), positions, strict=True)]
            known = fine[0].unique()
            if len(known) < 2:
                continue
            ones, others = ((of[:, None] == known).long().argmax(dim=1) for of in fine)
            option = "`probes.fine_classes.shots`"
            drawn = episodes(ones.cpu(), self.shots, episodes_count, self.subject.seed, option)
            supports = {s: chosen.to(ones.device) for s, chosen in drawn.items()}
            parts.append(Part(positions[0], ones, positions[1], others, supports, len(known)))
        return parts

    def reading_names(self) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """Return the readings of the input and of every layer."""
        return {layer: {TRANSFER, STATISTICS} for layer in self.layers}, ()

    def labels(self) -> Mapping[str, Sequence[Label]]:
        """Return names of layers and the numbers of shots."""
        return {"layer": self.layers, "shots": self.shots}

    def rehearse(self) -> None:
        """Raise a ModelError if the memory budget is too small for the features."""
        subject, count = self.subject, len(self.fit) + len(self.held)
        with probed(subject.model, parameters=True):
            option = "`probes.fine_classes.per_class`"
            check_features_budget(subject.model, self.fit, count, subject.memory_budget, option)

    def readings(self, epoch: float) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        """Return the readings of each layer, one entry per super-class.

        Raises
        ------
        ModelError
            If the features are random or depend on the batch (`check_preconditions`).
        DegenerateInput
            If features are not finite.
        """
        model, budget = self.subject.model, self.subject.memory_budget
        with probed(model, parameters=True):
            check_preconditions(model, self.fit.inputs)
            fit, held = (features_of(model, part.inputs, budget) for part in (self.fit, self.held))
        by_layer: dict[str, dict[str, Any]] = {layer: {TRANSFER: [], STATISTICS: []} for layer in self.layers}
        for part in self.parts:
            ones, others = ({k: h[at] for k, h in of.items()} for of, at in ((fit, part.fit), (held, part.held)))
            transfer = transfer_features(
                (ones, part.fit_labels), (others, part.held_labels), part.supports, self.penalty
            )
            for layer in self.layers:
                by_layer[layer][TRANSFER].append(transfer[layer])
                statistics = ClassStatistics.of(others[layer], part.held_labels, part.classes)
                by_layer[layer][STATISTICS].append(statistics)
        return by_layer, {}


def _chosen(part: Samples, per_class: int | None, seed: int) -> Samples:
    index = choose_per_class(part.strata[0].cpu(), per_class, draws(seed, FINE_DRAW))
    return part.take(index.to(part.labels.device))


@probe(
    group=GROUP,
    dims=("layer", "shots"),
    long_names={"shots": "samples of each class that a nearest mean is made of"},
)
def fine_classes(
    subject: Subject,
    *,
    per_class: Annotated[int, Field(ge=1)] | None = 100,
    shots: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, examples=[[1, 5]])] = [1, 5],  # noqa: B006
    episodes: Annotated[int, Field(ge=1)] = 20,
    penalty: Annotated[float, Field(gt=0)] = 1e-3,
) -> FineClassesProbe:
    """Fine classes inside super-classes (`data.superclasses`): few-shot and linear-probe accuracy, by layer.

    Nearest means and linear probes are made of train samples and scored on test samples, for the fine classes of each
    super-class apart, so that the super-class itself carries no information. Sources: yang2023neurons, galanti2022role.

    Parameters
    ----------
    subject
        Model, and samples with fine classes in the splits train and test.
    per_class
        Samples of each fine class and split; null: all.
    shots
        Train samples of each fine class that a nearest mean is made of.
    episodes
        Random draws of these samples over which the accuracy is averaged.
    penalty
        Coefficient λ of (λ/2)‖W‖² that is added to the mean cross-entropy of the linear probe.

    Raises
    ------
    ModelError
        If the data have no fine classes, no test samples, or a class with fewer samples than shots.
    """
    return FineClassesProbe(subject, per_class, shots, episodes, penalty)
