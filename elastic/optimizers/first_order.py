"""Optimisers that take one gradient a step."""

from __future__ import annotations

import torch

from elastic.optimizers.contract import Fraction, NonNegative, Parameters, Positive, optimizer


@optimizer(ridge="weight_decay", momentum="momentum")
def sgd(
    parameters: Parameters,
    *,
    lr: Positive,
    momentum: Fraction = 0.0,
    nesterov: bool = False,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent, with (Nesterov) momentum and L2 weight decay on all parameters.

    With ``training.batch_size: null`` it is gradient descent on the whole train split.

    Parameters
    ----------
    lr
        Learning rate, before the schedule's factor.
    momentum
        Share of the previous update that each update keeps; 0 is plain gradient descent.
    nesterov
        Whether the momentum is Nesterov's.
    weight_decay
        Coefficient λ of the L2 penalty (λ/2)‖θ‖² on all parameters.
    """
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


@optimizer(ridge="weight_decay")
def adam(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """Adam; weight decay is added to the gradient (L2).

    Parameters
    ----------
    lr
        Learning rate, before the schedule's factor.
    beta1
        Decay rate of the running mean of the gradient.
    beta2
        Decay rate of the running mean of the squared gradient.
    eps
        Number added to the denominator, for numerical stability.
    weight_decay
        Coefficient λ of the L2 penalty (λ/2)‖θ‖² on all parameters.
    """
    return torch.optim.Adam(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)


@optimizer()
def adamw(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    beta1: Fraction = 0.9,
    beta2: Fraction = 0.999,
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 1e-2,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay.

    Parameters
    ----------
    lr
        Learning rate, before the schedule's factor.
    beta1
        Decay rate of the running mean of the gradient.
    beta2
        Decay rate of the running mean of the squared gradient.
    eps
        Number added to the denominator, for numerical stability.
    weight_decay
        Share of each parameter that is subtracted at each step, times the learning rate.
    """
    return torch.optim.AdamW(parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay)


@optimizer(ridge="weight_decay")
def rmsprop(
    parameters: Parameters,
    *,
    lr: Positive = 1e-3,
    alpha: Fraction = 0.99,
    eps: Positive = 1e-8,
    momentum: Fraction = 0.0,
    weight_decay: NonNegative = 0.0,
) -> torch.optim.Optimizer:
    """RMSprop: gradients divided by the root of their mean square; weight decay is added to the gradient (L2).

    Parameters
    ----------
    lr
        Learning rate, before the schedule's factor.
    alpha
        Decay rate of the running mean of the squared gradient.
    eps
        Number added to the denominator, for numerical stability.
    momentum
        Share of the previous update that each update keeps.
    weight_decay
        Coefficient λ of the L2 penalty (λ/2)‖θ‖² on all parameters.
    """
    return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay)
