"""How the step on each class moves class means and variances of every layer: one forward derivative a class.

The gradients of a class's samples are summed first, so that a probe of K classes needs K forward
derivatives of each sample, however many samples are stepped on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.metrics.class_steps import ClassSteps
from elastic.models.contract import TappedModel
from elastic.probes.autodiff import Autodiff, Parameters, layer_features, trained_parameters
from elastic.probes.features import bytes_of, flat_taps

Layers = dict[str, Tensor]
#: Bytes of a block per byte of its features: in the model's precision and in float64, with temporary arrays.
HELD = 6


class ClassStepping:
    """Follows the step on each class of fixed samples; the model is in evaluation mode and restored by the caller.

    Parameters
    ----------
    model, loss
        Samples to step on, along the mean gradient of the loss over a class.
    samples
        All classes have samples.
    memory_budget
        Most bytes that parameters and features may use.
    scale
        Training's step on a batch over the mean of its samples' steps (`scale_of_batches`).
    """

    def __init__(
        self, model: TappedModel, loss: Loss, samples: Samples, memory_budget: int, *, scale: float = 1.0
    ) -> None:
        self.loss, self.samples, self.scale = loss, samples, scale
        self.engine = Autodiff(model, samples.inputs[:1], layer=model.layer_of(loss.layer))
        self.classes = len(samples.classes)
        self.members = torch.nn.functional.one_hot(samples.labels, self.classes).double()
        self.counts = self.members.sum(0)
        one = bytes_of(flat_taps(model, samples.inputs[:1]))
        self.at_once, self.block = planned(one, self.step_bytes(model, one), self.classes, memory_budget)

    def step_bytes(self, model: TappedModel, features: int) -> int:
        """Return the bytes of one class's step with the sums of the movements of all classes, in float64."""
        parameters = sum(p.numel() * p.element_size() for p in trained_parameters(model).values())
        return 2 * parameters + 2 * self.classes * features

    def read(self, decays: Mapping[str, float], shares: Tensor, *, features: float = 0.0) -> dict[str, ClassSteps]:
        """Return the reading of each layer.

        Parameters
        ----------
        decays
            λ of each parameter, by its name; missing ones do not decay.
        shares
            [K] share of each class in the train samples.
        features
            λ of the penalty (λ/2) mean ‖h‖² on the penultimate features.
        """
        means = {layer: total / self.counts[:, None] for layer, total in self._sums().items()}
        within = self._variances(means)
        steps = [self.class_step(j) for j in range(self.classes)]
        if any(decays.values()) or features:
            pulled = self._pull(shares, features) if features else None
            steps.append(
                {
                    name: -decays.get(name, 0.0) * p + (pulled[name] if pulled else 0.0)
                    for name, p in self.engine.parameters.items()
                }
            )
        rates = self._rates(steps, means)
        return {
            layer: _reading(self.classes, means[layer], within[layer], *rates[layer], shares=shares) for layer in means
        }

    def class_step(self, number: int) -> Parameters:
        """Return minus the mean gradient over a class [parameters], on the scale of training's steps."""
        places = (self.samples.labels == number).nonzero().flatten()

        def seeds(outputs: Tensor, chosen: Samples) -> Tensor:
            gradient = self.loss.gradient(outputs, chosen.for_loss)
            return gradient.direction * gradient.norm[:, None] * (self.scale / len(places))

        return self._step(places, self.engine.layer, seeds)

    def _pull(self, shares: Tensor, penalty: float) -> Parameters:
        """Return the step of the penalty on the penultimate features of the train samples [parameters]."""
        weights = penalty * shares.to(self.counts) / self.counts

        def seeds(outputs: Tensor, chosen: Samples) -> Tensor:
            return outputs * weights[chosen.labels, None]

        everything = torch.arange(len(self.samples), device=self.samples.labels.device)
        return self._step(everything, self.engine.model.layer_of("penultimate"), seeds)

    def _step(self, places: Tensor, layer: str, seeds: Callable[[Tensor, Samples], Tensor]) -> Parameters:
        """Return minus the gradient of what has the gradients ``seeds`` by a layer's features [n, d] of samples."""
        leaves = {name: p.detach().clone().requires_grad_() for name, p in self.engine.parameters.items()}
        total = {name: torch.zeros_like(p) for name, p in self.engine.parameters.items()}
        for part in places.split(self.block):
            chosen = self.samples.take(part)
            with torch.enable_grad():
                outputs = layer_features(self.engine.model, leaves, chosen.inputs)[layer]
            along = seeds(outputs.detach(), chosen).to(outputs.dtype)
            if not outputs.requires_grad:
                continue
            gradients = torch.autograd.grad(outputs, list(leaves.values()), along, allow_unused=True)
            for name, part_gradient in zip(leaves, gradients, strict=True):
                if part_gradient is not None:
                    total[name] -= part_gradient.to_dense()
        return total

    def _blocks(self) -> Iterator[slice]:
        return (slice(start, start + self.block) for start in range(0, len(self.samples), self.block))

    def _sums(self) -> Layers:
        sums: Layers = {}
        for block in self._blocks():
            for layer, h in self.engine.features(self.samples.inputs[block]).items():
                part = self.members[block].T @ h.double()
                sums[layer] = sums[layer] + part if layer in sums else part
        return sums

    def _variances(self, means: Layers) -> Layers:
        sums = {layer: torch.zeros_like(self.counts) for layer in means}
        for block in self._blocks():
            for layer, h in self.engine.features(self.samples.inputs[block]).items():
                residual = h.double() - means[layer][self.samples.labels[block]]
                sums[layer] += self.members[block].T @ residual.square().sum(1)
        return {layer: total / self.counts for layer, total in sums.items()}

    def _rates(self, steps: Sequence[Parameters], means: Layers) -> dict[str, tuple[Tensor, Tensor]]:
        """Return the rates [S, K, K] of the Gram matrix and [S, K] of the variances under each step, by layer."""
        parts: dict[str, list[tuple[Tensor, Tensor]]] = {layer: [] for layer in means}
        for start in range(0, len(steps), self.at_once):
            some = steps[start : start + self.at_once]
            stacked = {name: torch.stack([step[name] for step in some]) for name in some[0]}
            for layer, of_layer in self._followed(stacked, means).items():
                parts[layer].append(of_layer)
        return {layer: (torch.cat([g for g, _ in of]), torch.cat([v for _, v in of])) for layer, of in parts.items()}

    def _followed(self, steps: Parameters, means: Layers) -> dict[str, tuple[Tensor, Tensor]]:
        moved_sums: Layers = {}
        variances: Layers = {}
        for block in self._blocks():
            members, labels = self.members[block], self.samples.labels[block]
            moved, features = self.engine.moved(steps, self.samples.inputs[block])
            for layer, h in features.items():
                change = moved.pop(layer).double()
                sums = torch.einsum("nk,cnd->ckd", members, change)
                # About the class mean: for collapsed features the product with h itself would be rounding.
                along = torch.einsum("nd,cnd->cn", h.double() - means[layer][labels], change) @ members
                moved_sums[layer] = moved_sums.get(layer, 0) + sums
                variances[layer] = variances.get(layer, 0) + along
        movements = {}
        for layer, sums in moved_sums.items():
            shifts, centred = sums / self.counts[:, None], means[layer] - means[layer].mean(0)
            half = torch.einsum("ckd,ld->ckl", shifts - shifts.mean(1, keepdim=True), centred)
            movements[layer] = half + half.transpose(1, 2), 2 * variances[layer] / self.counts
        return movements


def scale_of_batches(loss: Loss, samples: Samples, steps_per_epoch: float) -> float:
    """Return training's step on a batch over the mean of the steps on its samples, on average over an epoch.

    1 for a mean over samples; the number of samples of a batch for a sum, if each sample is in a batch; with class
    weights w, whose mean is Σ w ℓ / Σ w, one over the mean weight.

    Parameters
    ----------
    samples
        All that are trained on.
    steps_per_epoch
        NaN where not known, and so the scale of a sum.

    Examples
    --------
    >>> from elastic.losses import build_loss
    >>> samples = Samples(torch.zeros(6, 1), torch.zeros(6, dtype=torch.int64), (0,))
    >>> scale_of_batches(build_loss("cross_entropy"), samples, 2.0)
    1.0
    """
    if loss.reduction == "sum":
        return len(samples) / steps_per_epoch
    if loss.counts is None:
        return 1.0
    return len(samples) / loss.counts(samples.for_loss).double().sum().item()


def planned(features: int, step: int, classes: int, memory_budget: int) -> tuple[int, int]:
    """Return how many steps are computed at once, and for how many samples; 0 if not even one fits.

    Parameters
    ----------
    features, step
        Bytes of the features of a sample, and of a step.
    classes
        Number of classes K.
    memory_budget
        In bytes; half of it is for steps.

    Examples
    --------
    >>> planned(features=10, step=100, classes=3, memory_budget=800)      # 4 steps of 100; 400 = 1 sample of 10·6·5
    (4, 1)
    """
    at_once = min(classes + 1, memory_budget // 2 // step)
    return at_once, (memory_budget - at_once * step) // (HELD * (1 + at_once) * features)


def _reading(
    classes: int, means: Tensor, within: Tensor, grams: Tensor, variances: Tensor, *, shares: Tensor
) -> ClassSteps:
    centred = means - means.mean(0)
    gram = centred @ centred.T
    has_decay = len(grams) > classes
    return ClassSteps(
        gram=gram,
        gram_rates=grams[:classes],
        gram_decay=grams[-1] if has_decay else torch.zeros_like(gram),
        within=within,
        within_rates=variances[:classes],
        within_decay=variances[-1] if has_decay else torch.zeros_like(within),
        shares=shares,
    )
