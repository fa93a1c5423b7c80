"""The objective of training: the mean loss, and penalties on parameters and features.

A loss of the penultimate features does not train the classifier, which is then fitted to the detached features by
cross-entropy: a linear probe trained at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from elastic.errors import ModelError
from elastic.losses import Loss, build_loss
from elastic.models.contract import TappedModel
from elastic.registry import nearest

#: Names of penalties other than those of layers: on all weights, all biases and gains, the penultimate features.
WEIGHTS, BIASES, FEATURES = "weights", "biases", "features"


#: Loss of a classifier that the objective's loss does not train.
PROBED_BY = build_loss("cross_entropy")

#: Samples per batch in the evaluation of losses, accuracies and the objective.
EVALUATION_BATCH = 4096


@dataclass(frozen=True)
class Objective:
    """Mean loss of a batch, plus λ/2 times squared norms, plus the loss of a classifier that is fitted separately.

    Attributes
    ----------
    model, loss
        Model and loss.
    probe
        The classifier if the loss reads the features that enter it: its mean cross-entropy on detached features is
        added. Its gradient affects the classifier alone, so that the objective's gradients are not those of one
        function, and a line search (L-BFGS) may end early. None if the loss reads the logits.
    penalties
        (λ, parameters) of each penalty (λ/2)‖θ‖².
    features
        λ of (λ/2) · mean over samples of ‖h‖², h the penultimate features.
    decay
        λ of the (λ/2)‖θ‖² over all parameters that the optimizer adds itself; `total` includes it, `batch` does not
        add it again.
    """

    model: TappedModel
    loss: Loss
    probe: nn.Linear | None = None
    penalties: tuple[tuple[float, tuple[nn.Parameter, ...]], ...] = ()
    features: float = 0.0
    decay: float = 0.0

    def batch(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the objective of a batch, as the optimizer evaluates it."""
        taps = self.model.taps(inputs) if self.features or self.probe else {self.model.output: self.model(inputs)}
        value = self.loss.per_sample(taps[self.model.layer_of(self.loss.layer)].flatten(1), labels).mean()
        if self.probe is not None:
            value = value + self._of_probe(taps, labels).mean()
        if self.features:
            value = value + self._on_features(taps)
        for penalty, parameters in self.penalties:
            value = value + penalty / 2 * squared_norm(parameters)
        return value

    @torch.no_grad()
    def total(self, mean_loss: float, inputs: Tensor, labels: Tensor) -> float:
        """Return the full objective of samples whose mean loss is known, summed in float64."""
        value = mean_loss
        # Optimizers do not change parameters without gradients.
        groups = [*self.penalties, (self.decay, tuple(p for p in self.model.parameters() if p.requires_grad))]
        for penalty, parameters in groups:
            if penalty:
                value += penalty / 2 * squared_norm(p.double() for p in parameters).item()
        if self.features or self.probe:
            for part, of_part in zip(inputs.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
                taps, share = self.model.taps(part), len(part) / len(inputs)
                if self.features:
                    value += share * self._on_features(taps).double().item()
                if self.probe is not None:
                    value += share * self._of_probe(taps, of_part).double().mean().item()
        return value

    def _of_probe(self, taps: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        assert self.probe is not None
        features = taps[self.model.layer_of(self.loss.layer)].detach().flatten(1)
        return PROBED_BY.per_sample(self.probe(features), labels)

    def ridge(self, parameter: Tensor) -> float:
        """Return the total λ of the penalties (λ/2)‖θ‖² of a parameter."""
        named = (penalty for penalty, group in self.penalties if any(p is parameter for p in group))
        return self.decay + sum(named)

    def _on_features(self, taps: Mapping[str, Tensor]) -> Tensor:
        return self.features / 2 * taps[self.model.layer_of("penultimate")].flatten(1).square().sum(dim=1).mean()


def squared_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Return the sum of the squares of all entries.

    >>> squared_norm([torch.tensor([3.0]), torch.tensor([[4.0]])]).item()
    25.0
    """
    return torch.stack([tensor.square().sum() for tensor in tensors]).sum()


def build_objective(
    model: TappedModel, loss: Loss, penalties: Mapping[str, float] | None = None, decay: float = 0.0
) -> Objective:
    """Return the objective of a protocol's penalties {name: λ}.

    A name is a layer (all parameters of the stage that computes it), ``weights`` (all arrays of two dims or more),
    ``biases`` (all others, including norm gains), a layer's ``<layer>.weights`` or ``<layer>.biases``, or
    ``features`` (the penultimate layer's values). Penalties of the same parameter add up.

    Raises
    ------
    ModelError
        If the model has no such layer, or the layer no parameters; or if the loss reads the penultimate features, and
        no trainable linear layer reads them, too.

    Examples
    --------
    >>> from elastic.losses import build_loss
    >>> from elastic.models.contract import Stages
    >>> net = Stages({"penultimate": nn.Linear(2, 2, bias=False), "logits": nn.Linear(2, 2, bias=False)})
    >>> _ = [p.data.fill_(1.0) for p in net.parameters()]
    >>> objective = build_objective(net, build_loss("mse"), {"logits": 0.5})
    >>> objective.total(3.0, torch.zeros(1, 2), torch.tensor([0]))                 # 3 + ½/2 · 4
    4.0
    >>> build_objective(net, build_loss("mse"), {"logits": 0.5, "weights": 0.25}).ridge(net.stages["logits"].weight)
    0.75
    """
    chosen, features = [], 0.0
    for name, penalty in (penalties or {}).items():
        if name == FEATURES:
            if model.penultimate is None:
                raise _unknown(name, "a model with a layer before the logits", "penalties: {weights: 5.0e-4}")
            features = penalty
        else:
            chosen.append((penalty, _parameters(model, name)))
    probe = None if loss.layer == "logits" else _probe(model)
    return Objective(model, loss, probe, tuple(chosen), features, decay)


def _probe(model: TappedModel) -> nn.Linear:
    model.layer_of("penultimate")  # raises if there is none
    classifier = model.last_weights()
    if classifier is None:
        expected = "be one of the logits, as no linear layer reads the penultimate features"
        raise ModelError("`loss`", expected, "one of those", "loss: cross_entropy, or a last layer that is linear")
    if not any(parameter.requires_grad for parameter in classifier.parameters()):
        expected = "be learned under a loss of the features, which does not turn them to a fixed one"
        raise ModelError("`training.classifier`", expected, "a fixed one", "training.classifier: learned")
    return classifier


def _parameters(model: TappedModel, name: str) -> tuple[nn.Parameter, ...]:
    layer, _, kind = ("", "", name) if name in (WEIGHTS, BIASES) else name.rpartition(".")
    if kind not in (WEIGHTS, BIASES) or name in model.layers:
        layer, kind = name, ""
    among = model.parameters() if not layer else model.stage_parameters(layer) if layer in model.layers else ()
    parameters = tuple(p for p in among if not kind or (p.ndim > 1) == (kind == WEIGHTS))
    if parameters or not layer:
        return parameters
    known = [WEIGHTS, BIASES, FEATURES, *(of for of in model.layers if [*model.stage_parameters(of)])]
    parts = [f"{layer}.{kind}" for layer in model.layers for kind in (WEIGHTS, BIASES)]
    hint = nearest(name, [*known, *parts], fallback=f"one of {', '.join(known)}")
    expected = "weights, biases, features, a layer with parameters of its own, or that layer's .weights or .biases"
    raise _unknown(name, expected, hint)


def _unknown(name: str, expected: str, hint: str) -> ModelError:
    return ModelError(f"`training.penalties.{name}`", f"name {expected}", repr(name), hint)
