"""The section `data` of a protocol: a data set and what is done to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, Field, ValidationInfo

from elastic.protocol.strict import Component, Strict
from elastic.protocol.validators import Count, Unfit, disjoint, without_repeats
from elastic.releases import Added


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
