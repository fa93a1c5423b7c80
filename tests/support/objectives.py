"""The objectives of the theory models with their gradients, as they stand in the papers."""

from __future__ import annotations

import numpy as np


def labels_of(per_class):
    return np.repeat(np.arange(len(per_class)), per_class)


def one_hot(per_class):
    """Y [K, N]."""
    return np.eye(len(per_class))[:, labels_of(per_class)]


def cross_entropy(Z, targets, weights):
    """Return Σ_i weights_i CE(Z[:, i], targets[:, i]) and its gradient in the logits Z [K, N]."""
    shifted = Z - Z.max(0)
    log_p = shifted - np.log(np.exp(shifted).sum(0))
    return -(weights * (targets * log_p).sum(0)).sum(), (np.exp(log_p) - targets) * weights


def factors_loss(per_class, penalties):
    """‖F_m ⋯ F_1 + b1ᵀ - Y‖²/2N + Σ λ_i/2 ‖F_i‖², of F_1 [d_1, N], F_2 [d_2, d_1] … F_m [K, d_{m-1}] (and b [K, 1])."""
    Y, N = one_hot(per_class), sum(per_class)

    def objective(*arrays):
        factors, biases = arrays[: len(penalties)], arrays[len(penalties) :]
        before = [np.eye(N)]
        for F in factors:
            before.append(F @ before[-1])
        penalty = sum(p / 2 * (F**2).sum() for p, F in zip(penalties, factors, strict=True))
        residual = before[-1] + sum(biases) - Y
        gradients, behind = [], residual / N
        for F, inner, p in zip(factors[::-1], before[-2::-1], penalties[::-1], strict=True):
            gradients.append(behind @ inner.T + p * F)
            behind = F.T @ behind
        of_biases = [residual.mean(1, keepdims=True) for _ in biases]
        return (residual**2).sum() / (2 * N) + penalty, [*gradients[::-1], *of_biases]

    return objective


def penalised_loss(per_class, lambda_w, lambda_h, smoothing=0.0):
    """Mean cross-entropy of WH + b with penalties, of W [K, d], H [d, N] and, if given, b [K, 1]."""
    Y, N = one_hot(per_class), sum(per_class)
    targets = (1 - smoothing) * Y + smoothing / len(per_class)

    def objective(W, H, b=None):
        loss, G = cross_entropy(W @ H + (0 if b is None else b), targets, 1 / N)
        loss += lambda_w / 2 * (W**2).sum() + lambda_h / 2 * (H**2).sum()
        gradients = [G @ H.T + lambda_w * W, W.T @ G + lambda_h * H]
        return loss, gradients if b is None else [*gradients, G.sum(1, keepdims=True)]

    return objective


def bounded(V, U, per_class, e_h, e_w):
    """Return W and H of the layer-peeled model on the bounds, (1/K)‖W‖² = E_W, (1/K) Σ_i ‖h_i‖²/n_y(i) = E_H."""
    K = len(per_class)
    share = 1 / np.repeat(per_class, per_class)
    return V * np.sqrt(K * e_w / (V**2).sum()), U * np.sqrt(K * e_h / (share * U**2).sum())


def layer_peeled_loss(per_class, e_h, e_w):
    """Mean cross-entropy of WH, W [K, d] and H [d, N] being V and U brought onto their bounds."""
    Y, N = one_hot(per_class), sum(per_class)
    share = 1 / np.repeat(per_class, per_class)

    def objective(V, U):
        W, H = bounded(V, U, per_class, e_h, e_w)
        loss, G = cross_entropy(W @ H, Y, 1 / N)
        in_W, in_H = G @ H.T, W.T @ G
        in_V = in_W - V * (in_W * V).sum() / (V**2).sum()
        in_U = in_H - share * U * (in_H * U).sum() / (share * U**2).sum()
        return loss, [in_V * (W / V).flat[0], in_U * (H / U).flat[0]]

    return objective
