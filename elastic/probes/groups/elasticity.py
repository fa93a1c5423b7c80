"""The probe of the group ``elasticity``: how single steps move the representations of each class, at every layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from elastic.metrics.engine_check import ENGINE_CODES
from elastic.metrics.tabulation import FloatArray, tabulate
from elastic.probes.contract import Declaration, Label, Probe, Subject, blank, metric_variables, probe
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.engine_selection import EngineName
from elastic.probes.fine_structure import FineProbe
from elastic.probes.loss_reader import OUTPUTS
from elastic.probes.samples import elasticity_draws
from elastic.probes.verification import EngineMismatch
from elastic.protocol.probes_section import ElasticityProbe as Options

GROUP = "elasticity"

#: The reading of the network that names the engine that computed the movements, and its variable.
ENGINE, ENGINE_VARIABLE = "engine_code", "probe_engine"


class ElasticityGroup(Probe):
    """Measures the elasticity metrics of a reader, and of fine classes if there are any.

    If no engine agrees with real steps an epoch is NaN and the run continues, unless the engine was requested by
    name and is wrong from the start.

    Parameters
    ----------
    reader
        Reads the movements.
    fine
        Reads how fine classes are separated.
    """

    def __init__(self, reader: ElasticityProbe, fine: FineProbe | None = None) -> None:
        super().__init__()
        self.reader = reader
        self.fine = fine
        self._has_read = False

    @property
    def engine(self) -> str:
        """Name of the engine, with the reason if it is not the first choice."""
        return str(self.reader.chosen_engine())

    def declare(self) -> Declaration:
        """Return the metrics that can be computed from the readings."""
        names, of_network = self.reader.names(), {ENGINE, *self.reader.names_of_network()}
        if self.fine is not None:
            of_fine, of_inputs = self.fine.names()
            names = {layer: known | of_fine[layer] for layer, known in names.items()}
            of_network |= of_inputs
        classes = self.reader.samples.classes
        dims: dict[str, Sequence[Label]]
        dims = {"layer": self.reader.layers, "stepped_class": classes, "observed_class": classes}
        if OUTPUTS in of_network:
            dims["output"] = self._outputs()
        return Declaration(dims, metric_variables(GROUP, names, of_network))

    def _outputs(self) -> Sequence[Label]:
        """Return the outputs by the names of their classes; by number if they are not one per class."""
        count, classes = self.reader.outputs, self.reader.samples.classes
        return classes if count == len(classes) else range(count)

    def rehearse(self) -> None:
        """Raise a ModelError if the memory budget does not suffice for any draw of samples."""
        self.reader.check_budget()

    def read(self, epoch: float) -> Mapping[str, FloatArray]:
        """Return every metric; the verified pairs depend on the epoch."""
        engine, first = self.reader.chosen_engine(), not self._has_read
        self._has_read = True
        try:
            by_layer: dict[str, dict[str, Any]] = self.reader.read(epoch, first=first)
        except EngineMismatch as error:
            if first and self.reader.engine == "structured":
                raise  # requested by name, and wrong from the start
            self.notes.append(f"epoch {epoch:g}: elasticity is not measured: {error}")
            return self._unmeasured(error)
        used = self.reader.chosen_engine()
        if used != engine:
            self.notes.append(f"epoch {epoch:g}: the elasticity probes run on {used}")
        if first and (check := self.reader.check) is not None:
            self.notes.append(f"elasticity probes: {used.name}, {check} (checked in {check.seconds:.1f} s)")
        of_network: dict[str, Any] = {}
        if self.fine is not None:
            fine, of_network = self.fine.read(used)
            by_layer = {layer: {**readings, **fine[layer]} for layer, readings in by_layer.items()}
        of_network = {**of_network, **self.reader.of_network}
        of_network[ENGINE] = torch.tensor(ENGINE_CODES[used.name], dtype=torch.float64)
        return tabulate(GROUP, self.reader.layers, by_layer, of_network)

    def _unmeasured(self, error: EngineMismatch) -> dict[str, FloatArray]:
        """Return the variables of an epoch at which no engine agrees with real steps: NaN, except for the reason."""
        nothing = blank(self.declare())
        nothing[ENGINE_VARIABLE] = np.array(float(ENGINE_CODES["none"]))
        if error.check is not None:
            nothing["probe_error"] = np.array(list(error.check.errors.values()))
        return nothing

    def resume(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Keep the engine of the earlier epochs; autodiff if it replaced the structured one in any of them."""
        self._has_read = bool(records)
        codes = [float(record[ENGINE_VARIABLE]) for record in records if ENGINE_VARIABLE in record]
        codes = [code for code in codes if not math.isnan(code)]  # of epochs at which every parameter was frozen
        if any(code != ENGINE_CODES["structured"] for code in codes):
            self.reader.give_up_structured("as before the run was resumed")
        elif codes:
            self.reader.stay_structured()


@probe(
    group=GROUP,
    dims=("layer", "stepped_class", "observed_class", "output"),
    long_names={"output": "output of the network"},
    options=Options,
)
def elasticity(
    subject: Subject,
    *,
    stepped_per_class: int,
    observed_per_class: int,
    update: Literal["first_order", "finite"],
    lr: float | None,
    precision: float | None,
    most_per_class: int,
    engine: EngineName,
) -> ElasticityGroup:
    """Local elasticity of every layer: how one step on a sample of each class moves the samples of each class.

    Parameters
    ----------
    subject
        Train samples are stepped and observed; if they have fine classes, the probe measures their separation, too.
    stepped_per_class, observed_per_class
        Of each (fine) class.
    update, lr
        "first_order", or "finite" with its learning rate.
    precision, most_per_class
        Samples are doubled up to the most, until every response's relative standard error is below the precision.
    engine
        "auto", "autodiff" or "structured".
    """
    part = subject.samples["train"]
    most = None if precision is None else most_per_class
    draws = elasticity_draws(part, stepped_per_class, observed_per_class, subject.seed, most=most)
    reader = ElasticityProbe(
        subject.model, subject.loss, part, draws, precision, lr, engine, subject.memory_budget, subject.seed,
        alike=subject.alike,
    )  # fmt: skip
    return ElasticityGroup(reader, fine_probe(reader))


def fine_probe(elasticity: ElasticityProbe) -> FineProbe | None:
    """Return the probe of fine classes on the stepped samples of the first draw; None if no class has several.

    It uses the first draw whatever the precision: the same samples are used throughout training.
    """
    if elasticity.samples.fine_labels is None:
        return None
    stepped, _ = elasticity.draws[0]
    fine = FineProbe(
        elasticity.model,
        elasticity.loss,
        elasticity.samples.take(stepped),
        elasticity.lr,
        elasticity.memory_budget,
    )
    return fine if any(part is not None for part in fine.parts) else None
