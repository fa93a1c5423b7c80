"""The setup of a run: data, model, trainer and probes, built from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import torch

from elastic.cube import Layout
from elastic.data.contract import Samples
from elastic.data.preparation import Prepared, prepare
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.building import build_model
from elastic.models.contract import TappedModel, Task
from elastic.models.fixed_classifier import fix_classifier
from elastic.optimizers import build_optimizer, momentum_of, ridge_of
from elastic.probes.contract import Probe, Subject, TrainingSteps, build_probes
from elastic.protocol import Data, Settings, canonical_json
from elastic.protocol.later_components import fill_in
from elastic.registry import Entry, modules_outside, registry
from elastic.runs.arithmetic import default_modes
from elastic.runs.layouts import layout_of
from elastic.runs.scalars import recorded
from elastic.training import Randomness, Trainer, batches, build_objective, probed_epochs


@dataclass(frozen=True)
class Setup:
    """All objects that a run trains and probes, built from its settings.

    Attributes
    ----------
    trainer
        Of the model, before its first epoch.
    subject, probes
        Subject of the probes, and the probes.
    layout
        Layout of the run.
    data_digest
        SHA-256 of the samples.
    """

    trainer: Trainer
    subject: Subject
    probes: Mapping[str, Probe]
    layout: Layout
    data_digest: str


@lru_cache(maxsize=1)
@default_modes()
def _prepared_data(canonical: str) -> Prepared:
    data = Data.model_validate_json(canonical)
    return prepare(
        data.name, data.options, per_class=data.per_class, classes=data.classes, superclasses=data.superclasses,
        test_fraction=data.test_fraction, imbalance=None if data.imbalance is None else data.imbalance.model_dump(),
        label_noise=data.label_noise, normalize=data.normalize, seed=data.seed, unseen=data.unseen,
    )  # fmt: skip


def prepared_data(data: Data) -> Prepared:
    """Return the samples of a run; the last ones are cached, since the runs of a study mostly share their data."""
    return _prepared_data(data.model_dump_json())


def forget_data() -> None:
    """Clear the cache of samples: before the next study a user may have changed the files."""
    _prepared_data.cache_clear()


@default_modes()
def build_setup(settings: Settings, device: torch.device, allow: tuple[str, ...] = ()) -> Setup:
    """Build data, model, trainer, probes and layout of a run.

    Raises
    ------
    ElasticError
        If the data are missing, the model does not fit them, an option has an invalid value, …
    """
    settings = fill_in(settings)
    training, prepared = settings.training, prepared_data(settings.data)
    dtype = getattr(torch, training.dtype)
    parts = {"train": prepared.train, "test": prepared.test}
    samples = {split: on_device(part, device, dtype) for split, part in parts.items()}
    trainer = build_trainer(settings, samples, device, dtype, allow)
    subject = Subject(
        trainer.model,
        trainer.loss,
        samples,
        settings.seed,
        classifier_decay(trainer),
        settings.probes.memory_budget_bytes,
        None if prepared.unseen is None else on_device(prepared.unseen, device, dtype),
        training_steps(trainer, settings),
        likeness(settings),
    )
    probes = build_probes(subject, settings.probes.asked)
    at = settings.probes.at
    probed = probed_epochs(at.name, at.options, training.epochs)
    variables = recorded(everywhere=training.evaluate == "every")
    layout = layout_of(subject, probes, variables, epochs=training.epochs, probed=probed)
    return Setup(trainer, subject, probes, layout, prepared.digest)


def likeness(settings: Settings) -> str:
    """Return what the code of a run's model and loss follows from, but for their data; "" with code of the user's."""
    if settings.model.name == "external" or modules_outside():
        return ""
    sections = settings.canonical()
    return canonical_json(
        {**{name: sections[name] for name in ("model", "loss")}, "classifier": settings.training.classifier}
    )


def classifier_decay(trainer: Trainer) -> float:
    """Return the λ of the last layer: its best weights are those of ridge regression with this λ."""
    classifier = trainer.model.last_weights()
    return trainer.objective.decay if classifier is None else trainer.objective.ridge(classifier.weight)


def training_steps(trainer: Trainer, settings: Settings) -> TrainingSteps:
    """Return the stepping of a trainer; the momentum is known for optimizers that step along a sum of gradients."""
    name = settings.optimizer.name
    options = registry("optimizers").get(name).complete(settings.optimizer.options)
    model, objective = trainer.model, trainer.objective
    return TrainingSteps(
        per_epoch=len(batches(len(trainer.splits["train"]), trainer.batch_size, torch.Generator())),
        momentum=momentum_of(name, options),
        nesterov=bool(options.get("nesterov", False)),
        decays={name: objective.ridge(p) for name, p in model.named_parameters() if p.requires_grad},
        features=objective.features,
    )


def build_trainer(
    settings: Settings, samples: Mapping[str, Samples], device: torch.device, dtype: torch.dtype, allow: tuple[str, ...]
) -> Trainer:
    """Build a trainer: a model with weights drawn from the run's seed, its objective and its optimizer."""
    randomness = Randomness(settings.seed, device)
    part, loss = samples["train"], build_loss(settings.loss.name, settings.loss.options)
    if loss.outputs is not None and len(part.classes) != loss.outputs + 1:
        expected = f"be a loss for the {len(part.classes)} classes of the data"
        found, hint = f"{settings.loss.name!r}, for two classes", "cross_entropy or mse, or two `data.classes`"
        raise ModelError("`loss.name`", expected, found, hint)
    task = Task(tuple(part.inputs.shape[1:]), len(part.classes), allow, part.labels, loss.outputs)
    with randomness.isolated_rng():
        model = build_model(settings.model.name, settings.model.options, task).to(device, dtype)
        scale_weights(model, settings.training.init_scale)
        if settings.training.classifier == "etf":
            fix_classifier(model)
    model.eval()
    optimizer = settings.optimizer
    schedule = registry("schedules").get(optimizer.schedule.name)
    epochs = settings.training.epochs
    decay = ridge_of(optimizer.name, optimizer.options)
    return Trainer(
        objective=build_objective(model, loss, settings.training.penalties, decay),
        optimizer=build_optimizer(optimizer.name, optimizer.options, model.parameters()),
        schedule=partial(_factor, schedule, schedule.complete(optimizer.schedule.options), epochs),
        splits=samples,
        epochs=epochs,
        batch_size=settings.training.batch_size,
        randomness=randomness,
        deterministic=settings.training.deterministic,
        evaluates=evaluation_schedule(settings),
    )


def evaluation_schedule(settings: Settings) -> Callable[[int], bool]:
    """Return after which epochs a run's loss and accuracy are evaluated; epoch 0 and the last are always included."""
    asked, epochs, at = settings.training.evaluate, settings.training.epochs, settings.probes.at
    if asked == "every":
        return lambda epoch: True
    if asked == "probed":
        known = frozenset(probed_epochs(at.name, at.options, epochs))
    else:
        known = frozenset({*range(0, epochs + 1, asked), epochs})
    return known.__contains__


@torch.no_grad()
def scale_weights(model: TappedModel, scale: float) -> None:
    """Multiply all weights (arrays of two dims or more) by a factor; biases and norm gains are unchanged.

    >>> net = build_model("mlp", {"widths": [4]}, Task((3,), classes=2))
    >>> before = net.stages["logits"].weight.clone()
    >>> scale_weights(net, 0.5)
    >>> torch.equal(net.stages["logits"].weight, before / 2)
    True
    """
    if scale != 1:
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)


def _factor(schedule: Entry, options: Mapping[str, Any], epochs: int, epoch: int) -> float:
    return float(schedule.function(epoch, epochs, **options))


def resolve_device(name: str) -> torch.device:
    """Return the device with a name; ``auto`` is the first GPU if there is one, else the CPU.

    Raises
    ------
    ModelError
        If this machine has no such device.
    """
    device = named_device(name)
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise _no_device(name, error) from None
    return device


def named_device(name: str) -> torch.device:
    """Return the device with a name, which this machine may lack.

    Raises
    ------
    ModelError
        If no device has such a name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise _no_device(name, error) from None


def _no_device(name: str, error: Exception) -> ModelError:
    found = f"{name!r}: {str(error).splitlines()[0]}"
    return ModelError("`training.device`", "be a device of this machine", found, "auto")


def on_device(part: Samples, device: torch.device, dtype: torch.dtype) -> Samples:
    """Copy samples to a device, with inputs in the precision of training."""
    fine, along = (None if held is None else held.to(device) for held in (part.fine_labels, part.geodesic))
    inputs, labels = part.inputs.to(device, dtype), part.labels.to(device)
    return replace(part, inputs=inputs, labels=labels, fine_labels=fine, geodesic=along)
