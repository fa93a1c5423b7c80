"""The bench of a run: data, model, trainer and probes, built from its settings."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from elastic.cube import Layout, Status
from elastic.data.contract import Samples
from elastic.data.preparation import Prepared, prepare
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.metrics.engine_check import ENGINE_CODES
from elastic.metrics.tabulation import FloatArray, tabulate
from elastic.models.building import build_model
from elastic.models.contract import TappedModel, Task
from elastic.models.fixed_classifier import fix_classifier
from elastic.optimizers import build_optimizer, ridge_of
from elastic.probes.collapse import CollapseProbe
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.fine_structure import FineProbe
from elastic.probes.verification import EngineMismatch
from elastic.protocol import Data, Settings
from elastic.registry import Entry, registry
from elastic.runs.choosing import collapse_probe, elasticity_probe, fine_probe
from elastic.runs.recording import ENGINE, SPLITS, layout
from elastic.training import Randomness, Snapshot, Trainer, build_objective


@dataclass
class Bench:
    """Everything that a run trains and probes, built from its settings."""

    trainer: Trainer
    collapse: CollapseProbe | None
    elasticity: ElasticityProbe | None
    fine: FineProbe | None
    layout: Layout
    data_digest: str
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    notes: list[str] = field(default_factory=list)

    @property
    def engine(self) -> str:
        """Name of the elasticity probes' engine, with the reason if it is not the first choice; "" for none."""
        return "" if self.elasticity is None else str(self.elasticity.chosen_engine())

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Add the seconds of the block to a part's."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - begun

    def record(self, snapshot: Snapshot) -> dict[str, Any]:
        """Return a snapshot's record for the journal: training's numbers, and the probes' where it is due."""
        record: dict[str, Any] = {
            "training/loss": [snapshot.loss[split] for split in SPLITS],
            "training/accuracy": [snapshot.accuracy[split] for split in SPLITS],
            "training/objective": snapshot.objective,
            "training/lr": snapshot.lr,
            "training/gradient_norm": snapshot.gradient_norm,
        }
        if snapshot.diverged:
            return {**record, "status": Status.DIVERGED}
        if self.layout.is_probed(snapshot.epoch):
            with self.timed("collapse probes"):
                record |= self._collapse()
            with self.timed("elasticity probes"):
                record |= self._elasticity(snapshot.epoch)
        # A run that an earlier version began goes on without the variables that came later.
        asked = {variable.key for variable in self.layout.variables}
        return {key: values for key, values in record.items() if key in asked}

    def _collapse(self) -> dict[str, FloatArray]:
        if self.collapse is None:
            return {}
        layers = self.collapse.layers
        layers, readings = self.collapse.layers, self.collapse.read()
        tables = {split: tabulate("collapse", layers, r.by_layer, r.of_network) for split, r in readings.items()}
        first = next(iter(tables.values()))
        # A split that the protocol does not probe stays NaN.
        blank = {name: np.full_like(value, np.nan) for name, value in first.items()}
        return {f"collapse/{name}": np.stack([tables.get(split, blank)[name] for split in SPLITS]) for name in first}

    def _elasticity(self, epoch: int) -> dict[str, FloatArray]:
        if self.elasticity is None:
            return {}
        engine = self.elasticity.chosen_engine()
        try:
            by_layer: dict[str, dict[str, Any]] = self.elasticity.read(epoch)
        except EngineMismatch as error:
            if epoch == 0 and self.elasticity.engine == "structured":
                raise  # asked for by name, and wrong from the start
            self.notes.append(f"epoch {epoch}: elasticity is not measured: {error}")
            return self._no_elasticity(error)
        used = self.elasticity.chosen_engine()
        if used != engine:
            self.notes.append(f"epoch {epoch}: the elasticity probes run on {used}")
        if epoch == 0 and (check := self.elasticity.check) is not None:
            self.notes.append(f"elasticity probes: {used.name}, {check} (checked in {check.seconds:.1f} s)")
        of_network: dict[str, Any] = {}
        if self.fine is not None:
            fine, of_network = self.fine.read(used)
            by_layer = {layer: {**readings, **fine[layer]} for layer, readings in by_layer.items()}
        of_network[ENGINE] = torch.tensor(ENGINE_CODES[used.name], dtype=torch.float64)
        table = tabulate("elasticity", self.elasticity.layers, by_layer, of_network)
        return {f"elasticity/{name}": value for name, value in table.items()}

    def _no_elasticity(self, error: EngineMismatch) -> dict[str, FloatArray]:
        """Return the variables of an epoch at which no engine agrees with real steps: NaN, but for why."""
        group = [variable for variable in self.layout.variables if variable.group == "elasticity"]
        blank = {variable.key: np.full(self.layout.shape(variable), np.nan) for variable in group}
        blank["elasticity/probe_engine"] = np.array(float(ENGINE_CODES["none"]))
        if error.check is not None:
            blank["elasticity/probe_error"] = np.array(list(error.check.errors.values()))
        return blank

    def resume(self, engines: Sequence[float]) -> None:
        """Take over from an earlier process that used these engines (codes of `probe_engine`), epoch by epoch."""
        if self.elasticity is not None and any(code != ENGINE_CODES["structured"] for code in engines):
            self.elasticity.give_up_structured("as before the run was resumed")

    def take_notes(self) -> list[str]:
        """Return the notes since the last call."""
        notes, self.notes = self.notes, []
        return notes


@lru_cache(maxsize=1)
def _prepared_data(canonical: str) -> Prepared:
    data = Data.model_validate_json(canonical)
    return prepare(
        data.name, data.options, per_class=data.per_class, classes=data.classes, superclasses=data.superclasses,
        test_fraction=data.test_fraction, imbalance=None if data.imbalance is None else data.imbalance.model_dump(),
        label_noise=data.label_noise, normalize=data.normalize, seed=data.seed,
    )  # fmt: skip


def prepared_data(data: Data) -> Prepared:
    """Return the samples of a run; the last ones are kept, since the runs of a study mostly share their data."""
    return _prepared_data(data.model_dump_json())


def forget_data() -> None:
    """Keep no samples longer: before the next study a user may have changed the files."""
    _prepared_data.cache_clear()


def build_bench(settings: Settings, device: torch.device, allow: tuple[str, ...] = ()) -> Bench:
    """Build data, model, trainer, probes and layout of a run.

    Raises
    ------
    ElasticError
        If the data are missing, the model does not fit them, an option has a value that makes no sense, …
    """
    training, prepared = settings.training, prepared_data(settings.data)
    dtype = getattr(torch, training.dtype)
    parts = {"train": prepared.train, "test": prepared.test}
    samples = {split: on_device(parts[split], device, dtype) for split in SPLITS}
    trainer = build_trainer(settings, samples, device, dtype, allow)
    collapse = collapse_probe(settings, trainer, samples)
    elasticity = elasticity_probe(settings, trainer, samples)
    fine = fine_probe(elasticity)
    planned = layout(settings, samples, trainer, collapse, elasticity, fine)
    return Bench(trainer, collapse, elasticity, fine, planned, prepared.digest)


def build_trainer(
    settings: Settings, samples: Mapping[str, Samples], device: torch.device, dtype: torch.dtype, allow: tuple[str, ...]
) -> Trainer:
    """Draw a model's weights from the run's seed, and set it before its data."""
    randomness = Randomness(settings.seed, device)
    part = samples["train"]
    task = Task(tuple(part.inputs.shape[1:]), len(part.classes), allow, part.labels)
    with randomness.lent():
        model = build_model(settings.model.name, settings.model.options, task).to(device, dtype)
        scale_weights(model, settings.training.init_scale)
        if settings.training.classifier == "etf":
            fix_classifier(model)
    model.eval()
    loss = build_loss(settings.loss.name, settings.loss.options)
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
    )


@torch.no_grad()
def scale_weights(model: TappedModel, scale: float) -> None:
    """Multiply all weights (arrays of two dims or more) by a factor; biases and gains of norms stay.

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
    """Return the device of a name; ``auto`` is the first GPU if there is one, else the CPU.

    Raises
    ------
    ModelError
        If this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        found = str(error).splitlines()[0]
        raise ModelError("`training.device`", "be a device of this machine", f"{name!r}: {found}", "auto") from None
    return device


def on_device(part: Samples, device: torch.device, dtype: torch.dtype) -> Samples:
    """Return samples on a device, their inputs in the precision of training."""
    fine = None if part.fine_labels is None else part.fine_labels.to(device)
    return replace(part, inputs=part.inputs.to(device, dtype), labels=part.labels.to(device), fine_labels=fine)
