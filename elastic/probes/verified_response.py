"""Update responses that are verified: an engine that differs from real steps is replaced, or the probe is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.probes.engine_selection import EngineChoice
from elastic.probes.structured import Unsupported
from elastic.probes.verification import EngineCheck, EngineMismatch, Witness, verify

#: The readings of each layer: update responses, and their difference from real steps for some pairs.
READING, CHECK = "update", "probe_check"
#: Computes the update responses with an engine, while a witness stores some pairs.
Respond = Callable[[EngineChoice, Witness], dict[str, UpdateResponse]]


@dataclass(frozen=True)
class Verified:
    """Update responses with the engine that computed them and its check."""

    responses: dict[str, UpdateResponse]
    engine: EngineChoice
    check: EngineCheck

    def readings(self) -> dict[str, dict[str, Any]]:
        """Return the readings of each layer, for the elasticity metrics."""
        return {
            layer: {READING: response, CHECK: response.norms.new_tensor(self.check.errors[layer])}
            for layer, response in self.responses.items()
        }

    def attributes(self) -> dict[str, str]:
        """Return the engine and its check as attributes of a dataset."""
        return {"engine": str(self.engine), "engine_check": str(self.check)}


def verified_responses(
    respond: Respond,
    engine: EngineChoice,
    model: TappedModel,
    inputs: tuple[Tensor, Tensor],
    pairs: Sequence[tuple[int, int]],
    lr: float | None,
) -> Verified:
    """Return update responses by the first engine that agrees with real steps.

    Parameters
    ----------
    respond
        Computes the responses.
    engine
        The first engine; autodiff follows if it may be replaced.
    model
        Read in evaluation mode, and restored.
    inputs
        Stepped and observed, [J, …] and [M, …].
    pairs
        Positions (stepped, observed) of the compared pairs.
    lr
        None for first-order movements; else the learning rate of a finite step.

    Raises
    ------
    EngineMismatch
        If no engine agrees with real steps.
    """
    witness = Witness(pairs)
    try:
        responses = respond(engine, witness)
    except Unsupported as unknown:
        if not engine.may_fall_back:
            raise
        reason = f"{unknown.field} has no rule of the structured engine: {unknown.found}"
    else:
        check = verify(model, witness, inputs, engine.layer, lr)
        if check.passed:
            return Verified(responses, engine, check)
        if not engine.may_fall_back:
            raise mismatch(engine, check)
        reason = f"the {engine.name} engine is {check}"
    other = engine.fall_back(model, inputs[1][:1], lr is not None, reason)
    return verified_responses(respond, other, model, inputs, pairs, lr)


def mismatch(engine: EngineChoice, check: EngineCheck) -> EngineMismatch:
    """Return the error of an engine that differs from real steps and cannot be replaced."""
    expected = f"move features as a real step does, within {check.tolerance:.0e}"
    hints = {
        "structured": "engine: auto",
        "autodiff": "model.double(), or replacing what has another derivative than its values",
    }
    return EngineMismatch("`engine`", expected, f"{engine}: {check}", hints[engine.name], check=check)
