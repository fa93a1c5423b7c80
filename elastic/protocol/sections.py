"""The sections of a protocol that define a run: data, model, loss, optimizer, training, probes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from elastic.protocol.data_section import Data
from elastic.protocol.probes_section import Probes
from elastic.protocol.strict import Component, Strict
from elastic.protocol.training_section import Training


class Optimizer(Component):
    """An optimizer and its learning-rate schedule."""

    schedule: Annotated[Component, Field(description="Factor on the learning rate at each epoch.")] = (
        Component.model_validate("constant")
    )


class Sections(Strict):
    """All settings of a run except its seed."""

    data: Annotated[Data, Field(description="Data set and its preparation.")]
    model: Annotated[Component, Field(description="Model to train.")]
    loss: Annotated[Component, Field(description="Loss to minimize.")] = Component.model_validate("cross_entropy")
    optimizer: Annotated[Optimizer, Field(description="Optimizer and learning-rate schedule.")]
    training: Annotated[Training, Field(description="Epochs, batches, precision and device of training.")]
    probes: Annotated[Probes, Field(description="Probes, and the epochs to probe.")] = Probes.model_validate({})


class Settings(Sections):
    """Settings of one run: all defaults filled in, every axis set to one of its values."""

    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed of the run.")]


#: Path of each component, and the kind of its registry.
COMPONENTS: Mapping[tuple[str, ...], str] = {
    ("data",): "data",
    ("model",): "models",
    ("loss",): "losses",
    ("optimizer",): "optimizers",
    ("optimizer", "schedule"): "schedules",
    ("probes", "at"): "probe_schedules",
}
