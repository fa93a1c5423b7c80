"""Which samples a run's probes look at: drawn once from the run's seed, apart from the draws of training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from elastic.data.contract import Samples
from elastic.data.preparation import draws
from elastic.data.transforms import choose_disjoint, choose_per_class
from elastic.probes.collapse import CollapseProbe
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.fine_structure import FineProbe
from elastic.protocol import ElasticityProbe as Elasticity
from elastic.protocol import Settings
from elastic.training import Trainer

#: Draws of a run, apart from those of training: which samples are probed.
COLLAPSE_DRAW, ELASTICITY_DRAW = 10, 11


def collapse_probe(settings: Settings, trainer: Trainer, samples: Mapping[str, Samples]) -> CollapseProbe | None:
    """Choose the samples on which collapse is measured, None if the protocol measures none."""
    asked = settings.probes.collapse
    if asked is None:
        return None
    chosen = {}
    for number, (split, part) in enumerate(samples.items()):
        index = choose_per_class(
            part.strata[0].cpu(), asked.per_class, draws(settings.seed, COLLAPSE_DRAW + 2 * number)
        )
        chosen[split] = part.take(index.to(part.labels.device))
    # What weighs on the last layer: its best weights are those of the ridge regression with this λ.
    classifier = trainer.model.next_weights().get(trainer.model.penultimate or "")
    ridge = trainer.objective.decay if classifier is None else trainer.objective.ridge(classifier.weight)
    budget = settings.probes.memory_budget_bytes
    of_squares = ridge if trainer.loss.squared else None
    return CollapseProbe(trainer.model, chosen, tuple(asked.splits), of_squares, budget, asked.rank_tolerance)


def elasticity_probe(settings: Settings, trainer: Trainer, samples: Mapping[str, Samples]) -> ElasticityProbe | None:
    """Choose the train samples that are stepped and observed, None if the protocol measures no elasticity."""
    asked = settings.probes.elasticity
    if asked is None:
        return None
    part = samples["train"]
    return ElasticityProbe(
        trainer.model, trainer.loss, part, draws_of(asked, part, settings.seed),
        asked.precision, asked.lr, asked.engine, settings.probes.memory_budget_bytes, settings.seed,
    )  # fmt: skip


def fine_probe(elasticity: ElasticityProbe | None) -> FineProbe | None:
    """Return the probe of fine classes on the stepped samples of the first draw; None if no class has several.

    On the first draw whatever the precision asked for: the same samples are to be told apart all through training.
    """
    if elasticity is None or elasticity.samples.fine_labels is None:
        return None
    stepped, _ = elasticity.draws[0]
    probe = FineProbe(
        elasticity.model, elasticity.loss, elasticity.samples.take(stepped),
        elasticity.lr, elasticity.memory_budget,
    )  # fmt: skip
    return probe if any(part is not None for part in probe.parts) else None


def draws_of(asked: Elasticity, part: Samples, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Return the positions of stepped and observed samples, in draws of twice the size up to the most allowed."""
    stepped, observed = asked.stepped_per_class, asked.observed_per_class
    sizes = [(stepped, observed)]
    while asked.precision is not None and max(stepped, observed) * 2 <= asked.most_per_class:
        stepped, observed = 2 * stepped, 2 * observed
        sizes.append((stepped, observed))
    labels, place = part.strata[0].cpu(), part.labels.device
    chosen = [choose_disjoint(labels, *size, draws(seed, ELASTICITY_DRAW)) for size in sizes]
    return [(first.to(place), second.to(place)) for first, second in chosen]
