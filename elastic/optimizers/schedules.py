"""Learning-rate schedules."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from elastic.optimizers.contract import Positive, schedule


@schedule()
def constant(epoch: int, epochs: int) -> float:
    """Keep the learning rate as given."""
    return 1.0


@schedule()
def multistep(
    epoch: int,
    epochs: int,
    *,
    milestones: Annotated[list[Positive], Field(min_length=1)],
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1,
) -> float:
    """Multiply the learning rate by gamma at each milestone.

    Parameters
    ----------
    milestones
        Epochs at which the learning rate is multiplied by gamma; a number below 1 is a share of all epochs.
    gamma
        Factor on the learning rate at each milestone.

    Examples
    --------
    >>> [multistep(e, 9, milestones=[1 / 3, 6.0], gamma=0.5) for e in (0, 3, 6)]
    [1.0, 0.5, 0.25]
    """
    reached = [m for m in milestones if epoch >= round(m * epochs if m < 1 else m)]
    return gamma ** len(reached)


@schedule()
def cosine(epoch: int, epochs: int, *, final: Annotated[float, Field(ge=0, le=1)] = 0.0) -> float:
    """Decrease the learning rate along half a cosine to ``final``, which the epoch after the last would reach.

    Parameters
    ----------
    final
        Factor on the learning rate at the end.

    Examples
    --------
    >>> [round(cosine(e, 4), 3) for e in (0, 2, 4)]
    [1.0, 0.5, 0.0]
    """
    return final + (1 - final) * (1 + math.cos(math.pi * epoch / epochs)) / 2
