r"""How much the rate at each probe counts in the movement between two probes: the steps of SGD, summed.

Training takes steps $v_t = \mu v_{t-1} + g_t$, $\theta_{t+1} = \theta_t - \eta_t v_t$ (Nesterov: $g_t + \mu v_t$ in the
place of $v_t$). A quantity G with the rate $r_t = -\nabla G(\theta_t) \cdot g_t$ moves, to first order, by
$-\eta_t \nabla G(\theta_t) \cdot \sum_{s \le t} \mu^{t-s} g_s$. Rates have ∇G and g of one time only. Taken from then,
the sum is $\sum_s \mu^{t-s} r_s$; taken from now, $r_t \sum_s \mu^{t-s}$, which is r/(1−μ) once training goes on for
long. The truth has ∇G of now and g of then: both sums are off by how much one of the two changes while momentum lasts,
1/(1−μ) steps, and their mean, which is used here, by half the difference of these changes. Without momentum the three
are one. Between probes, r is interpolated linearly in the number of steps, at the middle of each step: the trapezoidal
rule with the learning rate of each step.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy

Array = npt.NDArray[np.float64]


def step_weights(
    probed: Array, recorded: Array, lr: Array, steps_per_epoch: float, momentum: float, nesterov: float = 0.0
) -> Array:
    """Return the weights [P − 1, P] of the rates at P probes in the movement between each two of them.

    Parameters
    ----------
    probed
        [P] epochs in ascending order. Before the first one nothing moved if it is epoch 0; else training is taken to
        have gone on with its rates for long.
    recorded, lr
        [E] epochs, and the learning rate of the epochs up to each from the one before.
    steps_per_epoch
        Steps of an epoch.
    momentum
        μ.
    nesterov
        1 for Nesterov's momentum, else 0.

    Returns
    -------
    numpy.ndarray
        NaN between probes for which some learning rate is not known; not after, since momentum sums gradients alone.

    Examples
    --------
    Two steps of size 0.5, whose middles are at a quarter and three quarters of the way, then two of 0.25:

    >>> epochs = np.array([0.0, 1.0, 2.0])
    >>> step_weights(epochs, epochs, np.array([np.nan, 0.5, 0.25]), 2, 0.0).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.25, 0.25]]

    With momentum ½ the second step of a constant rate is one and a half times the first:

    >>> step_weights(epochs, epochs, np.array([np.nan, 1.0, 1.0]), 1, 0.5).sum(axis=1).tolist()
    [1.0, 1.5]
    """
    at = np.rint(np.asarray(probed, dtype=float) * steps_per_epoch).astype(np.int64)
    count, fresh = len(at), 1.0 if nesterov else 0.0
    weights = np.zeros((count - 1, count))
    velocity = np.zeros(count)  # of the rates in v at the beginning of an interval
    if at[0] > 0:
        velocity[0] = 1 / (1 - momentum)
    for i in range(count - 1):
        n = int(at[i + 1] - at[i])
        if n == 0:
            continue
        step = np.arange(n)
        rates = _rates_of_steps((at[i] + step + 0.5) / steps_per_epoch, recorded, lr)
        held = momentum ** (step + 1)  # of the velocity at the beginning, in v after each step
        gain = held * velocity.sum() + (1 - held) / (1 - momentum)  # of a constant rate, in v after each step
        kept = momentum if nesterov else 1.0
        weights[i] += velocity * np.sum(rates * held) * kept / 2
        velocity = velocity * held[-1]
        share = (step + 0.5) / n
        for place, injected in ((i, 1 - share), (i + 1, share)):
            v = scipy.signal.lfilter([1.0], [1.0, -momentum], injected)
            then, now = fresh * injected + kept * v, (fresh + kept * gain) * injected
            weights[i, place] += np.sum(rates * (then + now)) / 2
            velocity[place] += v[-1]
    return weights


def _rates_of_steps(epochs: Array, recorded: Array, lr: Array) -> Array:
    """Return the learning rate at each of these epochs: that of the first record from there on, NaN after the last."""
    known = np.append(np.asarray(lr, dtype=float), np.nan)
    rates: Array = known[np.searchsorted(np.asarray(recorded, dtype=float), epochs, side="left")]
    return rates
