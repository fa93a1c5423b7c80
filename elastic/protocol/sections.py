"""The sections of a protocol that a run is made of: data, model, loss, optimizer, training, probes."""

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

#: Context in which parts are serialised for digests.
CANONICAL = "canonical"


class Strict(pydantic.BaseModel):
    """Base of all parts: nothing unknown, no conversions between types, finite numbers, frozen."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, validate_default=True, protected_namespaces=()
    )

    def canonical(self) -> dict[str, Any]:
        """Return the part as plain data, every default written out.

        Options that a later release added are left out while they mean what earlier ones did (`elastic.releases`).
        """
        return without_later(type(self), plain(self.model_dump(context=CANONICAL)))


class Component(Strict):
    """A registered function by name, with its options beside the name; a bare name stands for itself.

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
        """What the registered function is given."""
        return dict(self.model_extra or {})


class Unfit(ValueError):
    """A value that a validator refuses, with what to try instead."""

    def __init__(self, expected: str, hint: str) -> None:
        super().__init__(expected)
        self.hint = hint


def without_repeats(values: list[Any]) -> list[Any]:
    """Return the values if they all differ.

    Raises
    ------
    ValueError
        If two of them have one canonical form.
    """
    if len({canonical_json(value) for value in values}) < len(values):
        raise ValueError("hold nothing twice")
    return values


def disjoint(groups: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the groups in the order of the alphabet (that of keys has no meaning), if no two share a member.

    Raises
    ------
    ValueError
        If a member occurs twice, in one group or in two.
    """
    without_repeats([member for group in groups.values() for member in group])
    return dict(sorted(groups.items()))


class Imbalance(Strict):
    """How the train samples of some classes are thinned."""

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
        Field(min_length=2, description="Classes that are kept; null: all.", examples=[[3, 8]]),
        AfterValidator(lambda classes: classes and without_repeats(classes)),
    ] = None
    superclasses: Annotated[
        dict[str, Annotated[list[int | str], Field(min_length=1)]] | None,
        Field(
            min_length=2,
            description="Groups of classes that are one class to the network; null: none.",
            examples=[{"primary": [5, 8], "auxiliary": [4, 9]}],
        ),
        AfterValidator(lambda groups: groups and disjoint(groups)),
    ] = None
    test_fraction: Annotated[
        float | None,
        Field(
            gt=0, lt=1, description="Share of the samples that is drawn for testing; null: the authors' split, or 0.2."
        ),
    ] = None
    imbalance: Annotated[
        Imbalance | None, Field(description="Thins the train samples of some classes; null: none.")
    ] = None
    label_noise: Annotated[
        float, Field(ge=0, le=1, description="Share of the train labels that is drawn at random.")
    ] = 0.0
    normalize: Annotated[
        Literal["standardize", "none"],
        Field(description="Standardise the inputs by the train samples' mean and standard deviation, or not."),
    ] = "standardize"
    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed of the choice of samples and of the split.")] = 0
    unseen: Annotated[
        list[int | str] | None,
        Added("0.1.0", before=None),
        Field(
            min_length=1,
            description="Classes that are never trained on and that the probe `unseen` measures; null: none.",
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
    """How long, in which batches, where and in which precision."""

    epochs: Annotated[
        int, Field(ge=1, le=1_000_000, description="Number of passes over the train samples.", examples=[200])
    ]
    batch_size: Annotated[
        Count | None, Field(description="Samples of a training step; null: all train samples.", examples=[64])
    ] = 64
    dtype: Annotated[Literal["float32", "float64"], Field(description="Precision of training and of the probes.")] = (
        "float32"
    )
    device: Annotated[
        str,
        Field(
            description="Device of the runs: auto (a GPU if there is one), cpu, cuda, cuda:N or mps.", examples=["auto"]
        ),
        AfterValidator(lambda device: _device(device)),
    ] = "auto"
    deterministic: Annotated[
        bool,
        Field(description="Whether torch uses deterministic algorithms only, so that a run can be repeated exactly."),
    ] = True
    threads: Annotated[
        int | None,
        Added("0.1.0", before=None),
        Field(
            ge=1,
            le=256,
            description="CPU threads that train and probe a run; null: as many as the machine has, which changes bits.",
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
    init_scale: Annotated[Positive, Field(description="Factor on the initial weights, not on biases and gains.")] = 1.0
    penalties: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1e30)]],
        Field(
            description="Coefficient λ of the penalty (λ/2)‖·‖² by layer, its .weights or .biases, or on all weights, "
            "biases or features.",
            examples=[{"logits": 5e-4}],
        ),
    ] = {}
    classifier: Annotated[
        Literal["learned", "etf"], Field(description="Whether the last layer is learned, or fixed to a simplex ETF.")
    ] = "learned"


def _device(device: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda|cuda:[0-9]{1,3}|mps", device):
        raise ValueError("be auto, cpu, cuda, cuda:N or mps")
    return device


class CollapseProbe(Strict):
    """Which samples collapse is measured on."""

    per_class: Annotated[Count | None, Field(description="Samples of each (fine) class and split; null: all.")] = 200
    splits: Annotated[
        list[Split],
        Field(min_length=1, description="Splits on which collapse is measured.", examples=[["train", "test"]]),
        AfterValidator(without_repeats),
        AfterValidator(lambda splits: sorted(splits, reverse=True)),  # their order has no meaning: one digest
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
    """Which train samples are stepped and observed, and by which update; per fine class, where there are any."""

    stepped_per_class: Annotated[Count, Field(description="Samples of each class on which a step is taken.")] = 8
    observed_per_class: Annotated[
        int, Field(ge=2, description="Samples of each class whose movement is observed, others than the stepped ones.")
    ] = 32
    update: Annotated[
        Literal["first_order", "finite"],
        Field(description="Step: its first order in the learning rate, or a finite one of the learning rate `lr`."),
    ] = "first_order"
    lr: Annotated[Positive | None, Field(description="Learning rate of a finite update.", examples=[0.01])] = None
    precision: Annotated[
        Positive | None,
        Field(
            description="Samples are doubled until every response's relative standard error is below it; null: never."
        ),
    ] = None
    most_per_class: Annotated[
        Count, Field(description="Stepped or observed samples of a class at which doubling stops.")
    ] = 256
    engine: Annotated[
        Literal["auto", "autodiff", "structured"],
        Field(description="How movements are computed; auto: the faster of those that agree with real steps."),
    ] = "auto"

    @pydantic.field_validator("lr")
    @classmethod
    def _belongs_to_finite(cls, lr: float | None, info: ValidationInfo) -> float | None:
        update = info.data.get("update")
        if update == "finite" and lr is None:
            raise ValueError("be given beside update: finite")
        if update == "first_order" and lr is not None:
            expected = "be left out, as a first-order response is per unit of learning rate (update: finite)"
            raise Unfit(expected, "leaving it out, or update: finite beside it")
        return lr


class Probes(Strict):
    """At which epochs is measured, and what; null leaves a measurement out.

    Further keys are names of registered probes (``elastic list probes``) with their options; those that are left out
    are null.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, dict[str, JsonValue] | None]

    at: Annotated[Component, Field(description="Epochs that are probed; 0 and the last are always among them.")] = (
        Component.model_validate({"name": "log", "count": 12})
    )
    collapse: Annotated[
        CollapseProbe | None, Field(description="Neural collapse of every layer; null: not measured.")
    ] = CollapseProbe()
    elasticity: Annotated[
        ElasticityProbe | None, Field(description="Local elasticity of every layer; null: not measured.")
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
        """Options of every probe that is asked for, by its name: collapse, elasticity, then others by the alphabet.

        >>> Probes.model_validate({"weights": {"per_class": 5}, "collapse": None, "elasticity": None}).asked
        {'weights': {'per_class': 5}}
        """
        sections = {"collapse": self.collapse, "elasticity": self.elasticity}
        own = {name: section.model_dump() for name, section in sections.items() if section is not None}
        further = sorted((self.model_extra or {}).items())
        return own | {name: dict(options) for name, options in further if options is not None}

    @pydantic.model_serializer(mode="wrap")
    def _without_null(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Leave further probes that are null out of the canonical form, as if the file did not name them."""
        data: dict[str, Any] = dump(self)
        null = {name for name, options in (self.model_extra or {}).items() if options is None}
        return {k: v for k, v in data.items() if k not in null} if info.context == CANONICAL else data


class Sections(Strict):
    """All that a run is made of, but its seed."""

    data: Annotated[Data, Field(description="Data set, and what is done to it.")]
    model: Annotated[Component, Field(description="Network that is trained.")]
    loss: Annotated[Component, Field(description="Loss that is minimised.")] = Component.model_validate("cross_entropy")
    optimizer: Annotated[Optimizer, Field(description="Optimiser and learning-rate schedule.")]
    training: Annotated[Training, Field(description="Length, batches, precision and device of training.")]
    probes: Annotated[Probes, Field(description="What is measured, and at which epochs.")] = Probes.model_validate({})


class Settings(Sections):
    """What one run needs: every default written out, every axis set to one of its values."""

    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed of the run.")]


#: Where registered functions are named, and in which registry they are.
COMPONENTS: Mapping[tuple[str, ...], str] = {
    ("data",): "data",
    ("model",): "models",
    ("loss",): "losses",
    ("optimizer",): "optimizers",
    ("optimizer", "schedule"): "schedules",
    ("probes", "at"): "probe_schedules",
}
