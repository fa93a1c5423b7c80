"""One measurement of the responses to updates, on samples and layers that are validated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import xarray as xr
from torch import Tensor, nn

from elastic.measure.dataset import labelled, pair_responses
from elastic.measure.known_models import Known, key_of, known, numbers_of, remember
from elastic.measure.targets import Classified
from elastic.metrics.tabulation import tabulate
from elastic.metrics.update import UpdateResponse
from elastic.models.contract import TappedModel
from elastic.models.positions import Position
from elastic.probes.engine_selection import EngineChoice, EngineName, choose_engine
from elastic.probes.preconditions import check_preconditions, check_stepping
from elastic.probes.update_response import update_responses
from elastic.probes.verification import Witness, pairs_of
from elastic.probes.verified_response import Verified, verified_responses


class UpdateMeasurement:
    """A measurement of how steps on each stepped sample move the observed ones.

    Parameters
    ----------
    model
        In evaluation mode, in which it is left.
    classified
        Loss, targets and labels of the stepped and of the observed samples.
    stepped, observed
        Inputs [J, …] and [M, …].
    lr
        None for first-order movements; else the learning rate of a finite step.
    memory_budget
        Most bytes that the probe may use.
    """

    def __init__(
        self,
        model: TappedModel,
        classified: Classified,
        stepped: Tensor,
        observed: Tensor,
        *,
        lr: float | None,
        memory_budget: int,
    ) -> None:
        self.model, self.classified, self.inputs = model, classified, (stepped, observed)
        self.lr, self.memory_budget = lr, memory_budget
        self.layer = model.layer_of(classified.loss.layer)
        self._present, codes = torch.cat(classified.labels).unique(return_inverse=True)
        self._groups, self._classes = codes.split([len(stepped), len(observed)])
        self._same = same_rows(stepped, observed)
        self._losses: dict[str, Any] = {}

    def measure(
        self, owner: nn.Module | None, engine: EngineName, position: Position | None, *, pairs: bool
    ) -> xr.Dataset:
        """Return the dataset of `elastic.measure_elasticity`.

        Parameters
        ----------
        owner
            The module by which the model may be known from an earlier measurement; None: it is treated as new.
        engine, position, pairs
            As `elastic.measure_elasticity` takes them.
        """
        inputs, loss = torch.cat(self.inputs[::-1]), self.classified.loss
        # The budget affects the choice of an engine only on a GPU.
        budget = self.memory_budget if inputs.is_cuda else None
        key = key_of(
            self.model, inputs, self.model.layers, self.layer, loss.name, self.lr, engine, position, budget
        )  # fmt: skip
        before = None if owner is None else known(owner, key)
        features = check_preconditions(self.model, inputs, first=before is None)
        features = {layer: h[:1] for layer, h in features.items()}
        if before is None:
            check_stepping(self.model, inputs)
        chosen = self._chosen(engine) if before is None else before.engine
        verified, now = self._verified(chosen, before, features)
        if owner is not None and now is not None:
            remember(owner, key, now)
        return self._dataset(verified, features, pairs)

    def _chosen(self, engine: EngineName) -> EngineChoice:
        return choose_engine(
            self.model, self.inputs[1][:1], engine=engine, finite=self.lr is not None, layer=self.layer,
            memory_budget=self.memory_budget,
        )  # fmt: skip

    def _verified(
        self, engine: EngineChoice, before: Known | None, features: dict[str, Tensor]
    ) -> tuple[Verified, Known | None]:
        """Return the responses, and the facts to remember if they were compared with real steps again."""
        numbers = numbers_of(
            self.model, *self.inputs, *self.classified.targets, self._groups, self._classes, *features.values()
        )
        if before is not None and before.numbers == numbers:
            return Verified(self._respond(engine, Witness(())), engine, before.check), None
        readings = 0 if before is None else before.readings
        compared = pairs_of(len(self._same), len(self._same[0]), seed=0, epoch=readings)
        verified = verified_responses(self._respond, engine, self.model, self.inputs, compared, self.lr)
        return verified, Known(verified.engine, verified.check, numbers, readings + 1)

    def _respond(self, engine: EngineChoice, witness: Witness) -> dict[str, UpdateResponse]:
        (stepped, observed), loss = self.inputs, self.classified.loss
        of_stepped, of_observed = self.classified.targets
        return update_responses(
            self.model, loss, (stepped, of_stepped), (observed, self._classes), classes=len(self._present),
            groups=self._groups, lr=self.lr, same=self._same, engine=engine, memory_budget=self.memory_budget,
            witness=witness, observed_targets=of_observed, losses=self._losses if loss.layer == "logits" else None,
        )  # fmt: skip

    def _dataset(self, verified: Verified, features: dict[str, Tensor], pairs: bool) -> xr.Dataset:
        names = np.array(self.classified.names)[self._present.cpu().numpy()]
        outputs = features[self.model.output].numel()
        ds = labelled(
            tabulate("elasticity", self.model.layers, verified.readings(), self._losses), "elasticity",
            {layer: h.numel() for layer, h in features.items()},
            {"stepped_class": names, "observed_class": names, "output": np.arange(outputs)}, self.model.output,
        )  # fmt: skip
        if pairs:
            groups, classes = (names[codes.cpu().numpy()] for codes in (self._groups, self._classes))
            ds = ds.merge(pair_responses(verified.responses, groups, classes))
        ds.attrs |= verified.attributes()
        return ds


def same_rows(first: Tensor, second: Tensor) -> Tensor:
    """Return [J, M] bool, True where a row of ``first`` is a row of ``second``, byte by byte.

    >>> same_rows(torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [3.0]])).tolist()
    [[False, False], [True, False]]
    """
    keys, others = ([row.tobytes() for row in _bytes(part)] for part in (first, second))
    places = {key: number for number, key in enumerate(dict.fromkeys(keys + others))}
    rows, columns = (torch.tensor([places[key] for key in part]) for part in (keys, others))
    return (rows[:, None] == columns[None, :]).to(first.device)


def _bytes(rows: Tensor) -> npt.NDArray[np.uint8]:
    """Return [n, bytes]: NumPy does not support all number types of torch."""
    return np.asarray(rows.reshape(len(rows), -1).cpu().contiguous().view(torch.uint8).numpy())
