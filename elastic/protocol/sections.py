"""The sections of a protocol that define a run: data, model, loss, optimizer, training, probes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
)

from elastic.protocol.budget import read_bytes, spell_bytes
from elastic.protocol.canonical import canonical_json, plain
from elastic.protocol.later_options import without_later
from elastic.releases import Added

Split = Literal["train", "test"]
Positive = Annotated[float, Field(gt=0, le=1e30)]
Count = Annotated[int, Field(ge=1)]

#: Pydantic context for serialising sections for digests.
CANONICAL = "canonical"


class Strict(pydantic.BaseModel):
    """Base class of all sections: no unknown keys, no type conversions, finite numbers, frozen."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    def canonical(self) -> dict[str, Any]:
        """Return the section as plain data with all defaults.

        Options that a later release added are left out while they keep the earlier behaviour (`elastic.releases`).
        """
        return without_later(type(self), plain(self.model_dump(context=CANONICAL)))


class Component(Strict):
    """A registered function given by name, or as a mapping of ``name`` and options.

    >>> Component.model_validate({"name": "mlp", "widths": [8]}).options
    {'widths': [8]}
    >>> Component.model_validate("mse")
    Component(name='mse')
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]

    name: Annotated[str, Field(min_length=1, description="Registered name (`elastic list`).")]

    @pydantic.model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the registered function."""
        return dict(self.model_extra or {})


class Unfit(ValueError):
    """Error of a validator with a hint."""

    def __init__(self, expected: str, hint: str) -> None:
        super().__init__(expected)
        self.hint = hint


def without_repeats(values: list[Any]) -> list[Any]:
    """Validate that all values differ.

    Raises
    ------
    ValueError
        If two of them have one canonical form.
    """
    if len({canonical_json(value) for value in values}) < len(values):
        raise ValueError("have no duplicates")
    return values


def disjoint(groups: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Validate that groups are disjoint and sort them by name (the order of keys is irrelevant).

    Raises
    ------
    ValueError
        If a member occurs twice.
    """
    without_repeats([member for group in groups.values() for member in group])
    return dict(sorted(groups.items()))


class Imbalance(Strict):
    """Subsampling of some classes of the train split."""

    ratio: Annotated[float, Field(ge=1, description="Ratio of the largest class to the smallest.", examples=[10])]
    profile: Annotated[
        Literal["step", "exponential"],
        Field(description="Class sizes: two sizes (step), or falling geometrically from class to class (exponential)."),
    ] = "step"
    minority_classes: Annotated[
        Count | None, Field(description="Number of small classes of a step, the last ones; null: half of all.")
    ] = None


class Data(Component):
    """A data set and what is done to it."""

    per_class: Annotated[Count | None, Field(description="Train samples of each (fine) class; null: all.")] = None
    classes: Annotated[
        list[int | str] | None,
        Field(min_length=2, description="Classes to keep; null: all.", examples=[[3, 8]]),
        AfterValidator(lambda classes: classes and without_repeats(classes)),
    ] = None
    superclasses: Annotated[
        dict[str, Annotated[list[int | str], Field(min_length=1)]] | None,
        Field(
            min_length=2,
            description="Groups of classes that the network is trained on as one class; null: none.",
            examples=[{"primary": [5, 8], "auxiliary": [4, 9]}],
        ),
        AfterValidator(lambda groups: groups and disjoint(groups)),
    ] = None
    test_fraction: Annotated[
        float | None,
        Field(gt=0, lt=1, description="Share of the samples drawn for testing; null: the authors' split, or 0.2."),
    ] = None
    imbalance: Annotated[
        Imbalance | None, Field(description="Subsamples some classes of the train split; null: none.")
    ] = None
    label_noise: Annotated[
        float, Field(ge=0, le=1, description="Share of the train labels replaced by random ones.")
    ] = 0.0
    normalize: Annotated[
        Literal["standardize", "none"],
        Field(description="Whether to standardise the inputs by the train samples' mean and standard deviation."),
    ] = "standardize"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed for choosing samples and splitting.")] = 0
    unseen: Annotated[
        list[int | str] | None,
        Added("0.1.0", before=None),
        Field(
            min_length=1,
            description="Classes held out from training and measured by the probe `unseen`; null: none.",
            examples=[[8, 9]],
        ),
        AfterValidator(lambda classes: classes and without_repeats(classes)),
    ] = None

    @pydantic.field_validator("superclasses")
    @classmethod
    def _in_place_of_classes(cls, superclasses: Any, info: ValidationInfo) -> Any:
        if superclasses and info.data.get("classes"):
            expected = "be given without data.classes (classes in no super-class are left out)"
            raise Unfit(expected, "leaving data.classes out")
        return superclasses


class Optimizer(Component):
    """An optimiser and its learning-rate schedule."""

    schedule: Annotated[Component, Field(description="Factor on the learning rate at each epoch.")] = (
        Component.model_validate("constant")
    )


class Training(Strict):
    """Epochs, batches, device and precision of training."""

    epochs: Annotated[int, Field(ge=1, le=1_000_000, description="Number of epochs.", examples=[200])]
    batch_size: Annotated[
        Count | None, Field(description="Samples per training step; null: all train samples.", examples=[64])
    ] = 64
    dtype: Annotated[Literal["float32", "float64"], Field(description="Precision of training and of the probes.")] = (
        "float32"
    )
    device: Annotated[
        str,
        Field(description="Device: auto (a GPU if there is one), cpu, cuda, cuda:N or mps.", examples=["auto"]),
        AfterValidator(lambda device: _device(device)),
    ] = "auto"
    deterministic: Annotated[
        bool,
        Field(description="Whether torch uses only deterministic algorithms, so that runs can be reproduced exactly."),
    ] = True
    threads: Annotated[
        int | None,
        Added("0.1.0", before=None),
        Field(
            ge=1,
            le=256,
            description="CPU threads per run; null: all of the machine, whose number changes the last bits of results.",
            examples=[1],
        ),
    ] = 1
    evaluate: Annotated[
        Literal["every", "probed"] | Annotated[int, Field(ge=1, le=1_000_000)],
        Added("0.1.0", before="every"),
        Field(
            description="After which epochs loss and accuracy are evaluated: every one, those that are probed, or each "
            "n-th; epoch 0 and the last always are.",
            examples=["probed", 10],
        ),
    ] = "every"
    tf32: Annotated[
        Literal["never", "training", "everywhere"],
        Added("0.1.0", before="never"),
        Field(
            description="Where a GPU rounds the factors of products to TF32: nowhere, in training and evaluation, or "
            "in probes too.",
        ),
    ] = "never"
    init_scale: Annotated[Positive, Field(description="Factor on the initial weights, except biases and gains.")] = 1.0
    penalties: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1e30)]],
        Field(
            description="Coefficient λ of the penalty (λ/2)‖·‖² by layer, its .weights or .biases, or on all weights, "
            "biases or features.",
            examples=[{"logits": 5e-4}],
        ),
    ] = {}
    classifier: Annotated[
        Literal["learned", "etf"], Field(description="Whether the last layer is learned or fixed to a simplex ETF.")
    ] = "learned"


def _device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda|cuda:[0-9]{1,3}|mps", device):
        raise ValueError("be auto, cpu, cuda, cuda:N or mps")
    return device


class CollapseProbe(Strict):
    """Samples for measuring collapse."""

    per_class: Annotated[Count | None, Field(description="Samples per (fine) class and split; null: all.")] = 200
    splits: Annotated[
        list[Split],
        Field(min_length=1, description="Splits to measure.", examples=[["train", "test"]]),
        AfterValidator(without_repeats),
        AfterValidator(
            lambda splits: sorted(splits, reverse=True)
        ),  # sorted: the order is irrelevant, so the digest must not depend on it
    ] = ["train", "test"]
    rank_tolerance: Annotated[
        float | None,
        Added("0.1.0", before=None, in_axes=True),
        Field(
            ge=0,
            lt=1,
            description="Relative cut of the class means' singular values in nc1 and fuzziness; null: K·ε of the type.",
            examples=[1e-6],
        ),
    ] = None


class ElasticityProbe(Strict):
    """Train samples to step on and to observe (per fine class, if any), and the kind of update."""

    stepped_per_class: Annotated[
        Count, Field(description="Stepped samples per class: those on which a step is taken.")
    ] = 8
    observed_per_class: Annotated[
        int, Field(ge=2, description="Observed samples per class, different from the stepped ones.")
    ] = 32
    update: Annotated[
        Literal["first_order", "finite"],
        Field(description="Step: its first order in the learning rate, or a finite one of the learning rate `lr`."),
    ] = "first_order"
    lr: Annotated[Positive | None, Field(description="Learning rate of a finite update.", examples=[0.01])] = None
    precision: Annotated[
        Positive | None,
        Field(
            description="Double the samples until every response's relative standard error is below this; null: never."
        ),
    ] = None
    most_per_class: Annotated[Count, Field(description="Most stepped or observed samples per class when doubling.")] = (
        256
    )
    engine: Annotated[
        Literal["auto", "autodiff", "structured"],
        Field(description="Engine that computes the movements; auto: the fastest one that agrees with real steps."),
    ] = "auto"

    @pydantic.field_validator("lr")
    @classmethod
    def _belongs_to_finite(cls, lr: float | None, info: ValidationInfo) -> float | None:
        update = info.data.get("update")
        if update == "finite" and lr is None:
            raise ValueError("be given with update: finite")
        if update == "first_order" and lr is not None:
            expected = "be left out, as a first-order response is per unit of learning rate (update: finite)"
            raise Unfit(expected, "leaving it out, or adding update: finite")
        return lr


class Probes(Strict):
    """Epochs to probe and options of the probes; null disables a probe.

    Further keys are names of registered probes (``elastic list probes``) with their options; they are disabled by
    default.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, JsonValue] | None]

    at: Annotated[Component, Field(description="Epochs to probe; always includes 0 and the last.")] = (
        Component.model_validate({"name": "log", "count": 12})
    )
    collapse: Annotated[CollapseProbe | None, Field(description="Options of the collapse probe; null: disabled.")] = (
        CollapseProbe()
    )
    elasticity: Annotated[
        ElasticityProbe | None, Field(description="Options of the elasticity probe; null: disabled.")
    ] = ElasticityProbe()
    memory_budget: Annotated[
        str,
        BeforeValidator(spell_bytes, json_schema_input_type=str | int),
        Field(description="Bytes that a probe's intermediate arrays may take.", examples=["1GiB"]),
    ] = "1GiB"

    @property
    def memory_budget_bytes(self) -> int:
        """Bytes that a probe's intermediate arrays may take.

        >>> Probes(memory_budget="2KiB").memory_budget_bytes
        2048
        """
        return read_bytes(self.memory_budget)

    @property
    def asked(self) -> dict[str, dict[str, Any]]:
        """Options of every enabled probe by name: collapse, elasticity, then the others in alphabetical order.

        >>> Probes.model_validate({"weights": {"per_class": 5}, "collapse": None, "elasticity": None}).asked
        {'weights': {'per_class': 5}}
        """
        sections = {"collapse": self.collapse, "elasticity": self.elasticity}
        own = {name: section.model_dump() for name, section in sections.items() if section is not None}
        further = sorted((self.model_extra or {}).items())
        return own | {name: dict(options) for name, options in further if options is not None}

    @pydantic.model_serializer(mode="wrap")
    def _without_null(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Remove disabled registered probes from the canonical form, as if the file did not name them."""
        data: dict[str, Any] = dump(self)
        null = {name for name, options in (self.model_extra or {}).items() if options is None}
        return {k: v for k, v in data.items() if k not in null} if info.context == CANONICAL else data


class Sections(Strict):
    """All settings of a run except its seed."""

    data: Annotated[Data, Field(description="Data set and its preparation.")]
    model: Annotated[Component, Field(description="Model to train.")]
    loss: Annotated[Component, Field(description="Loss to minimise.")] = Component.model_validate("cross_entropy")
    optimizer: Annotated[Optimizer, Field(description="Optimiser and learning-rate schedule.")]
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
