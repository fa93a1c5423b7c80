"""The section `probes` of a protocol: the epochs to probe, and the options of the probes."""

from __future__ import annotations

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
from elastic.protocol.strict import CANONICAL, Component, Strict
from elastic.protocol.validators import Count, Positive, Unfit, without_repeats
from elastic.releases import Added

Split = Literal["train", "test"]


class CollapseProbe(Strict):
    """Samples for measuring collapse."""

    per_class: Annotated[Count | None, Field(description="Samples per (fine) class and split; null: all.")] = 200
    splits: Annotated[
        list[Split],
        Field(min_length=1, description="Splits to measure.", examples=[["train", "test"]]),
        AfterValidator(without_repeats),
        # The order is irrelevant, so the digest must not depend on it.
        AfterValidator(lambda splits: sorted(splits, reverse=True)),
    ] = ["train", "test"]  # noqa: RUF012 (pydantic copies it)
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
