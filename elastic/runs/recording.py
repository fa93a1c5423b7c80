"""What a run will record, told before it starts."""

from __future__ import annotations

from collections.abc import Mapping

from elastic.cube import Layout, Variable
from elastic.cube.attributes import BOUNDS, bounds_attribute
from elastic.data.contract import Samples
from elastic.metrics.contract import attributes
from elastic.metrics.tabulation import variables_of
from elastic.models.building import layer_table
from elastic.probes.collapse import CollapseProbe
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.fine_structure import FineProbe
from elastic.protocol import Settings
from elastic.registry import Entry
from elastic.training import Trainer, probed_epochs

SPLITS = ("train", "test")
#: The reading of the network that says which engine computed the movements.
ENGINE = "engine_code"

#: Variables of the training group: long name, units, source, formula, bounds, dims.
TRAINING = (
    ("loss", "mean loss of the samples, in evaluation mode", "1", "mean of ℓ(z, y)", (None, None), ("split",)),
    ("accuracy", "share of samples classified rightly", "1", "mean of [argmax z = y]", (0.0, 1.0), ("split",)),
    ("objective", "what training minimises, on the whole train split, in evaluation mode", "1",
     "mean of ℓ(z, y) + Σ λ/2 ‖·‖²", (None, None), ()),
    ("lr", "learning rate of the epoch that ended here", "1", "lr · schedule(epoch)", (0.0, None), ()),
    ("gradient_norm", "mean over the epoch's steps of the norm of the minibatch gradient", "1",
     "mean of ‖∇ mean ℓ‖", (0.0, None), ()),
)  # fmt: skip


def layout(
    settings: Settings,
    samples: Mapping[str, Samples],
    trainer: Trainer,
    collapse: CollapseProbe | None,
    elasticity: ElasticityProbe | None,
    fine: FineProbe | None,
) -> Layout:
    """Return what the run will record."""
    variables = [
        Variable("training", name, dims, {"long_name": long, "units": units, "formula": formula,
                                          BOUNDS: bounds_attribute(*bounds), "source": "papyan2020prevalence"})
        for name, long, units, formula, bounds, dims in TRAINING
    ]  # fmt: skip
    if collapse is not None:
        by_layer, of_network = collapse.names()
        variables += [_variable(e, ("split",)) for e in variables_of("collapse", by_layer, of_network)]
    if elasticity is not None:
        names, of_network = elasticity.names(), {ENGINE}
        if fine is not None:
            of_fine, of_inputs = fine.names()
            names = {layer: known | of_fine[layer] for layer, known in names.items()}
            of_network |= of_inputs
        variables += [_variable(e, ()) for e in variables_of("elasticity", names, of_network)]
    train_samples = samples["train"]
    counted = collapse.samples if collapse is not None else samples
    return Layout(
        epochs=trainer.epochs,
        probed=probed_epochs(settings.probes.at.name, settings.probes.at.options, trainer.epochs),
        layers=layer_table(trainer.model, tuple(train_samples.inputs.shape[1:])),
        classes=train_samples.classes,
        splits=SPLITS,
        class_counts={split: part.labels.bincount(minlength=len(part.classes)).tolist()
                      for split, part in counted.items()},
        variables=variables,
    )  # fmt: skip


def _variable(entry: Entry, leading: tuple[str, ...]) -> Variable:
    layer = () if entry.facts.layerless else ("layer",)
    return Variable(entry.facts.group, entry.name, (*leading, *layer, *entry.facts.dims), attributes(entry))
