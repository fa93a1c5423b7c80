"""The group ``weights``: singular values of the weights that lead to each layer, and what they read of their input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.metrics.class_statistics import ClassStatistics, read_classes
from elastic.metrics.weight_spectrum import WeightSpectrum
from elastic.probes.contract import Label, MetricProbe, Subject, probe
from elastic.probes.evaluation import probed
from elastic.probes.preconditions import check_preconditions
from elastic.probes.samples import collapse_samples
from elastic.probes.weight_matrices import MatrixInputs, WeightMatrix, weight_matrices

#: Samples in the pass in which weights are found and read.
EXAMPLE = 2

PerClass = Annotated[int, Field(ge=1, description="Train samples of each (fine) class.")] | None


class WeightsProbe(MetricProbe):
    """Reads the weight matrix that leads to each layer, and the class means of the features that enter it.

    Parameters
    ----------
    subject
        Its model is read in evaluation mode and restored.
    samples
        Train samples, for the class means.

    Raises
    ------
    ModelError
        If no layer has a weight matrix (`elastic.probes.weight_matrices`).
    """

    group = "weights"

    def __init__(self, subject: Subject, samples: Samples) -> None:
        super().__init__(subject.model.layers)
        self.model, self.samples = subject.model, samples
        self.memory_budget = subject.memory_budget
        if not self._matrices():
            expected = "be left out for a model without a linear or convolutional module between its layers"
            raise ModelError(
                "`probes.weights`", expected, f"layers {', '.join(self.layers)}", "probes: {weights: null}"
            )

    def reading_names(self) -> tuple[Mapping[str, Collection[str]], Collection[str]]:
        """Return the spectrum of each matrix, and statistics of its input if that is one vector per sample.

        They are those of the model as it is: a training may replace a module by one without a weight matrix.
        """
        matrices = self._matrices()
        return {layer: _names(matrices[layer]) if layer in matrices else set() for layer in self.layers}, ()

    def labels(self) -> Mapping[str, Sequence[Label]]:
        """Return the names of the layers and the numbers 1 … K of the singular values."""
        return {"layer": self.layers, "component": range(1, len(self.samples.classes) + 1)}

    def readings(self, epoch: float) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
        """Return the readings of each layer; those without a weight matrix have none.

        Raises
        ------
        ModelError
            If the features are random or depend on the batch (`check_preconditions`).
        DegenerateInput
            If features that enter a matrix are not finite.
        """
        with probed(self.model, parameters=True):
            check_preconditions(self.model, self.samples.inputs)
            matrices = self._matrices()
            statistics = self._input_statistics(matrices)
        by_layer: dict[str, dict[str, Any]] = {layer: {} for layer in self.layers}
        for layer, matrix in matrices.items():
            by_layer[layer]["spectrum"] = WeightSpectrum(matrix.weights, len(self.samples.classes))
        for layer, of_input in statistics.items():
            by_layer[layer]["input_statistics"] = of_input
        return by_layer, {}

    def _matrices(self) -> dict[str, WeightMatrix]:
        with probed(self.model, parameters=True):
            return weight_matrices(self.model, self.samples.inputs[:EXAMPLE])

    def _input_statistics(self, matrices: Mapping[str, WeightMatrix]) -> dict[str, ClassStatistics]:
        reading = {layer: matrix for layer, matrix in matrices.items() if matrix.takes_vectors}
        if not reading:
            return {}
        samples = self.samples
        stream = MatrixInputs(self.model, reading, samples.inputs, samples.labels, self.memory_budget)
        return {
            layer: class_reading.statistics
            for layer, class_reading in read_classes(stream, len(samples.classes)).items()
        }


def _names(matrix: WeightMatrix) -> set[str]:
    return {"spectrum", "input_statistics"} if matrix.takes_vectors else {"spectrum"}


@probe(group="weights", dims=("layer", "component"))
def weights(subject: Subject, *, per_class: PerClass = 200) -> WeightsProbe:
    """Singular values of each layer's weights, and their alignment with the class means of the layer's input.

    A layer's weights are those that lead to it from the layer before (`elastic.probes.weight_matrices`): of an
    ``nn.Linear``, a convolution as the matrix [out, in·kh·kw], or an ``nn.MultiheadAttention`` (queries, keys and
    values). The group collapse has the weights that read a layer instead: nc3_duality of a layer and
    weight_class_alignment of the next one are about the same matrix. Layers without a weight matrix are NaN; alignment
    is that of linear modules which one vector a sample enters. Source: rangamani2023feature.

    Parameters
    ----------
    subject
        Model and samples; the train samples are those on which collapse is measured with the same ``per_class``.
    per_class
        Samples of each class (of each fine class, where there are any) whose means are taken; null: all.

    Raises
    ------
    ModelError
        If no layer has a weight matrix.
    """
    chosen = collapse_samples({"train": subject.samples["train"]}, per_class, subject.seed)
    return WeightsProbe(subject, chosen["train"])
