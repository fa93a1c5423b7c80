"""A training between two epochs: its state, and how it takes the next one, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elastic.data.contract import Samples
from elastic.losses import Loss
from elastic.models.contract import TappedModel
from elastic.optimizers import needs_objective, step_of
from elastic.training.objective import Objective
from elastic.training.randomness import Randomness, deterministic_algorithms

Splits = Mapping[str, Samples]


@dataclass
class Trainer:
    """A model, its optimizer and the rest of the state that a training needs to continue.

    Parameters
    ----------
    objective, optimizer
        Objective and optimizer.
    schedule
        Factor on the learning rate, by epochs trained so far.
    splits
        Samples by split on the model's device; "train" is trained on.
    epochs, batch_size
        ``batch_size`` None is full batch.
    randomness
        The training's states of the global generators (weights are drawn from it before, dropout after).
    deterministic
        Whether torch must use deterministic kernels.
    evaluates
        Whether to evaluate the model after this many epochs; it is always evaluated if a gradient is not finite.
    """

    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    splits: Splits
    epochs: int
    batch_size: int | None
    randomness: Randomness
    deterministic: bool = True
    evaluates: Callable[[int], bool] = lambda epoch: True
    epoch: int = 0

    def __post_init__(self) -> None:
        self.order = torch.Generator().manual_seed(self.randomness.seed)
        self._searches = needs_objective(self.optimizer)
        self._take_step = step_of(self.optimizer)
        # Iterating over a small network's modules takes as long as one of its layers.
        self._parameters = list(self.model.parameters())
        self._base_rates = [float(group["lr"]) for group in self.optimizer.param_groups]

    @property
    def model(self) -> TappedModel:
        """The model that is trained."""
        return self.objective.model

    @property
    def loss(self) -> Loss:
        """Loss of each sample."""
        return self.objective.loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state on which the next epoch depends (tensors, numbers and strings only)."""
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "order": self.order.get_state(),
            "randomness": dict(self.randomness.states),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume a training from a `state_dict`."""
        self.epoch = int(state["epoch"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.set_state(state["order"])
        self.randomness.states = dict(state["randomness"])

    def train_epoch(self) -> tuple[float, float]:
        """Train one epoch; return its learning rate and the mean norm of the minibatch gradients."""
        factor = self.schedule(self.epoch)
        for group, base in zip(self.optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * factor
        train, norms = self.splits["train"], []
        with self.randomness.isolated_rng(), deterministic_algorithms(self.deterministic):
            self.model.train()
            for index in batches(len(train), self.batch_size, self.order, train.labels.device):
                norms.append(self._step(train.inputs[index], train.labels[index]))
            self.model.eval()
        self.epoch += 1
        return self._base_rates[0] * factor, torch.stack(norms).double().mean().item()

    def try_step(self, inputs: Tensor, labels: Tensor) -> None:
        """Take a step on a batch, or only compute the gradient if the optimizer evaluates the objective many times."""
        if self._searches:
            self.objective.batch(inputs, labels).backward()
        else:
            self._step(inputs, labels)

    def _step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Take one step on a batch and return the norm of its gradient at the step's beginning."""
        norms: list[Tensor] = []

        def evaluated() -> Tensor:
            for parameter in self._parameters:
                parameter.grad = None
            value = self.objective.batch(inputs, labels)
            value.backward()
            if not norms:
                norms.append(norm_of([p.grad for p in self._parameters if p.grad is not None]))
            return value

        if self._searches:
            self.optimizer.step(evaluated)  # type: ignore[arg-type]  # torch's stub says float, its code needs tensors
        else:
            evaluated()
            self._take_step()
        self.model.project()
        return norms[0]


def norm_of(gradients: list[Tensor]) -> Tensor:
    """Return the Euclidean norm of all gradients: equal bit by bit to `torch.nn.utils.get_total_norm` on one device.

    >>> norm_of([torch.tensor([3.0]), torch.tensor([[4.0]])]).item()
    5.0
    """
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))) if gradients else torch.zeros(())


def batches(
    samples: int, batch_size: int | None, order: torch.Generator, device: torch.device | None = None
) -> list[Tensor]:
    """Return one epoch's batches of positions in a fresh random order, on a device.

    A single remaining sample joins the batch before it: batch norm has no variance of one sample. All positions are
    copied to the device at once: each copy to a GPU blocks the CPU.

    >>> [len(b) for b in batches(9, 4, torch.Generator())]
    [4, 5]
    """
    shuffled = torch.randperm(samples, generator=order).to(device)
    if batch_size is None or batch_size >= samples:
        return [shuffled]
    cut = list(shuffled.split(batch_size))
    if len(cut) > 1 and len(cut[-1]) == 1 < batch_size:
        cut[-2:] = [torch.cat(cut[-2:])]
    return cut
