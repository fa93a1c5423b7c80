"""Which engine computes the movements: the structured one where it knows every part of the model, else autodiff."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

from torch import Tensor

from elastic.errors import ModelError
from elastic.losses import Loss
from elastic.models.contract import TappedModel
from elastic.probes import movements, structured
from elastic.probes.movements import Movements

EngineName = Literal["auto", "autodiff", "structured"]

ENGINES: dict[str, ModuleType] = {"autodiff": movements, "structured": structured}


@dataclass(frozen=True)
class Engine:
    """An engine that was chosen for a model.

    Attributes
    ----------
    name
        "autodiff" or "structured".
    reason
        Why the structured engine was not taken though it was free to be; "" otherwise.
    """

    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})" if self.reason else self.name

    def movements(
        self,
        model: TappedModel,
        loss: Loss,
        stepped: tuple[Tensor, Tensor],
        observed: Tensor,
        lr: float | None,
        memory_budget: int,
    ) -> Iterator[Movements]:
        """Return the blocks of movements: of first order if ``lr`` is None, else of a finite step."""
        module = ENGINES[self.name]
        blocks: Iterator[Movements]
        if lr is None:
            blocks = module.first_order(model, loss, stepped, observed, memory_budget=memory_budget)
        else:
            blocks = module.finite(model, loss, stepped, observed, lr, memory_budget=memory_budget)
        return blocks


def choose_engine(model: TappedModel, example: Tensor, *, engine: EngineName, finite: bool = False) -> Engine:
    """Return the engine for a model.

    Parameters
    ----------
    model
        Is tried on ``example`` [1, …].
    engine
        "auto" takes the structured engine if it knows every part of the model; a name takes that one.
    finite
        Whether a finite step is asked for, which fewer parts have rules for.

    Raises
    ------
    ModelError
        If the structured engine is asked for by name and does not know a part.
    """
    if engine == "autodiff":
        return Engine("autodiff")
    reason = structured.unsupported(model, example, update="finite" if finite else "first_order")
    if reason is None:
        return Engine("structured")
    if engine == "structured":
        raise ModelError("`engine`", "know every part of the model", reason, "engine: auto")
    return Engine("autodiff", reason)
