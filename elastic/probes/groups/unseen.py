"""The group ``unseen``: classes that are never trained on, and how steps on trained classes move them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from elastic.data.contract import Samples
from elastic.data.preparation import draws
from elastic.data.transforms import choose_per_class
from elastic.errors import AllFrozen, ModelError
from elastic.metrics.class_statistics import ClassStatistics
from elastic.metrics.unseen import GROUP, UnseenUpdate
from elastic.models.contract import INPUT
from elastic.probes.contract import Label, MetricProbe, Subject, probe
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.evaluation import probed
from elastic.probes.preconditions import check_preconditions
from elastic.probes.samples import collapse_samples
from elastic.probes.transfer import (
    STEPPED_DRAW,
    check_features_budget,
    episodes,
    features_of,
    halves,
    transfer_features,
)
from elastic.probes.verification import EngineMismatch
from elastic.probes.verified_response import READING

UPDATE, STATISTICS, TRANSFER, SEEN, MEAN = (
    "unseen_update", "unseen_statistics", "unseen_transfer", "seen_statistics", "unseen_mean",
)  # fmt: skip


class UnseenProbe(MetricProbe):
    """Reads classes that are never trained on, on fixed samples.

    Parameters
    ----------
    subject
        With unseen samples.
    per_class
        Samples of each unseen class, and of each trained class whose mean is computed; None: all.
    shots, episodes_count
        Numbers of samples per class for nearest means, and how often they are drawn.
    penalty
        λ of the linear probe.
    stepped, observed
        Samples of each trained class that are stepped (0: no responses), and of each unseen class that are observed.
    """

    group = GROUP

    def __init__(
        self,
        subject: Subject,
        *,
        per_class: int | None,
        shots: Sequence[int],
        episodes_count: int,
        penalty: float,
        stepped: int,
        observed: int,
    ) -> None:
        super().__init__((INPUT, *subject.model.layers))
        self.subject, self.penalty, self.shots = subject, penalty, tuple(shots)
        part = _unseen_of(subject)
        self.classes = part.classes
        self.seen = collapse_samples({"train": subject.samples["train"]}, per_class, subject.seed)["train"]
        labels, place = part.labels.cpu(), part.labels.device
        first, second = halves(labels, per_class, subject.seed)
        self.fit, self.held = part.take(first.to(place)), part.take(second.to(place))
        self.supports: dict[int, Tensor] = {}
        if len(self.classes) > 1:
            known = episodes(self.fit.labels.cpu(), self.shots, episodes_count, subject.seed, "`probes.unseen.shots`")
            self.supports = {s: positions.to(place) for s, positions in known.items()}
        self.together: Samples | None = None
        self.draw: tuple[Tensor, Tensor] | None = None
        if stepped:
            self.together, self.draw = _drawn(subject, part, stepped, observed)

    def reading_names(self) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """Return the readings: those of pairs of unseen classes need two, and no step moves the input."""
        still = {SEEN, MEAN} | ({STATISTICS, TRANSFER} if len(self.classes) > 1 else set())
        moved = still if self.together is None else still | {UPDATE}
        return {layer: still if layer == INPUT else moved for layer in self.layers}, ()

    def labels(self) -> Mapping[str, Sequence[Label]]:
        """Return names of layers and classes, and the numbers of shots."""
        return {
            "layer": self.layers,
            "stepped_class": self.subject.classes,
            "unseen_class": self.classes,
            "other_unseen_class": self.classes,
            "shots": self.shots,
        }

    def rehearse(self) -> None:
        """Raise a ModelError if the memory budget is too small for the features, or for one pair of samples."""
        subject, count = self.subject, len(self.fit) + len(self.held) + len(self.seen)
        with probed(subject.model, parameters=True):
            check_features_budget(subject.model, self.fit, count, subject.memory_budget, "`probes.unseen.per_class`")
        if self.together is not None:
            self._elasticity().check_budget()

    def readings(self, epoch: float) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        """Return the readings of each layer.

        Raises
        ------
        ModelError
            If the features are random or depend on the batch (`check_preconditions`).
        DegenerateInput
            If features are not finite.
        """
        model, budget = self.subject.model, self.subject.memory_budget
        with probed(model, parameters=True):
            check_preconditions(model, self.seen.inputs)
            fit, held, seen = (features_of(model, part.inputs, budget) for part in (self.fit, self.held, self.seen))
        moved = self._moved(epoch)
        labels = torch.cat([self.fit.labels, self.held.labels])
        transfer = transfer_features((fit, self.fit.labels), (held, self.held.labels), self.supports, self.penalty)
        by_layer: dict[str, dict[str, Any]] = {}
        for layer in self.layers:
            features = torch.cat([fit[layer], held[layer]])
            by_layer[layer] = {
                SEEN: ClassStatistics.of(seen[layer], self.seen.labels, len(self.subject.classes)),
                MEAN: features.double().mean(0),
            }
            if len(self.classes) > 1:
                by_layer[layer][STATISTICS] = ClassStatistics.of(features, labels, len(self.classes))
                by_layer[layer][TRANSFER] = transfer[layer]
            if layer in moved:
                by_layer[layer][UPDATE] = moved[layer]
        return by_layer, {}

    def _moved(self, epoch: float) -> dict[str, UnseenUpdate]:
        """Return the update of each layer that steps can move; empty if no engine is right, or all is frozen."""
        if self.together is None:
            return {}
        try:
            readings = self._elasticity().read(epoch, first=False)
        except (EngineMismatch, AllFrozen) as error:
            self.unread.add(UPDATE)
            self.notes.append(f"epoch {epoch:g}: responses of unseen classes are not measured: {error}")
            return {}
        return {layer: UnseenUpdate(of[READING], len(self.subject.classes)) for layer, of in readings.items()}

    def _elasticity(self) -> ElasticityProbe:
        """Return the reader of responses, created for each reading, so that resumed runs read the same."""
        assert self.together is not None
        assert self.draw is not None
        subject = self.subject
        return ElasticityProbe(
            subject.model, subject.loss, self.together, [self.draw],
            memory_budget=subject.memory_budget, seed=subject.seed, losses=False, alike=subject.alike,
        )  # fmt: skip


def _unseen_of(subject: Subject) -> Samples:
    if subject.unseen is None:
        expected = "be left out for data without classes that are kept aside"
        hint = "data: {unseen: [8, 9]}, or unseen=(x, y) of a Recorder"
        raise ModelError("`probes.unseen`", expected, "no unseen classes", hint)
    return subject.unseen


def _drawn(subject: Subject, unseen: Samples, stepped: int, observed: int) -> tuple[Samples, tuple[Tensor, Tensor]]:
    """Return samples of trained classes followed by those of unseen ones, and the positions stepped and observed."""
    train, place = subject.samples["train"], unseen.labels.device
    chosen = choose_per_class(train.labels.cpu(), stepped, draws(subject.seed, STEPPED_DRAW)).to(place)
    others = choose_per_class(unseen.labels.cpu(), observed, draws(subject.seed, STEPPED_DRAW + 1)).to(place)
    one, other = train.take(chosen), unseen.take(others)
    trained = len(train.classes)
    together = replace(
        one,
        inputs=torch.cat([one.inputs, other.inputs]),
        labels=torch.cat([one.labels, other.labels + trained]),
        classes=(*train.classes, *(f"unseen {name}" for name in unseen.classes)),
        fine_labels=None,
        fine_classes=(),
        targets=None
        if one.targets is None
        else torch.cat([one.targets, one.targets[:1].expand(len(other), *one.targets.shape[1:])]),
    )
    positions = torch.arange(len(together), device=place)
    return together, (positions[: len(one)], positions[len(one) :])


@probe(
    group=GROUP,
    dims=("layer", "stepped_class", "unseen_class", "other_unseen_class", "shots"),
    long_names={
        "unseen_class": "class that is never trained on",
        "other_unseen_class": "class that is never trained on, the second of a pair",
        "shots": "samples of each class that a nearest mean is made of",
    },
)
def unseen(
    subject: Subject,
    *,
    per_class: Annotated[int, Field(ge=2)] | None = 200,
    shots: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, examples=[[1, 5]])] = [1, 5],  # noqa: B006
    episodes: Annotated[int, Field(ge=1)] = 20,
    penalty: Annotated[float, Field(gt=0)] = 1e-3,
    stepped_per_class: Annotated[int, Field(ge=0)] = 8,
    observed_per_class: Annotated[int, Field(ge=1)] = 32,
) -> UnseenProbe:
    """Classes that are never trained on (`data.unseen`): separation, few-shot and linear-probe accuracy, responses.

    Half of each unseen class's samples is what nearest means and linear probes are made of, the other half is what they
    are scored on; both are drawn once a run. Responses are those of unseen samples to steps on train samples, to first
    order; none of these numbers is part of the group elasticity. Sources: galanti2022role, hui2022limitations,
    benammar2024neco.

    Parameters
    ----------
    subject
        Model, train samples and unseen ones.
    per_class
        Samples of each class, unseen or trained; null: all.
    shots
        Samples of each unseen class that a nearest mean is made of.
    episodes
        Random draws of these samples over which the accuracy is averaged.
    penalty
        Coefficient λ of (λ/2)‖W‖² that is added to the mean cross-entropy of the linear probe.
    stepped_per_class
        Train samples of each class on which a step is taken; 0: no responses.
    observed_per_class
        Samples of each unseen class whose movement is observed.

    Raises
    ------
    ModelError
        If the data have no unseen classes, or a class has fewer samples than shots.
    """
    return UnseenProbe(
        subject, per_class=per_class, shots=shots, episodes_count=episodes, penalty=penalty, stepped=stepped_per_class,
        observed=observed_per_class,
    )  # fmt: skip
