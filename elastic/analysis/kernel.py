"""How far the tangent kernel turns in training: what tells a network that learns features from a lazy one."""

from __future__ import annotations

import xarray as xr

from elastic.analysis.persistence import along

#: Dims of the matrix of class effects.
PAIR = ("stepped_class", "observed_class")


def kernel_change(effect: xr.DataArray, dim: str = "epoch") -> xr.DataArray:
    r"""Return how far the matrix of class effects has turned away from its first one.

    $1 - \langle E(t), E(0)\rangle / (\lVert E(t)\rVert\,\lVert E(0)\rVert)$, the kernel distance of fort2020deep: 0
    where all effects have grown by one factor or not changed, as in a network that stays lazy (its tangent kernel is
    the one it started with), 1 where the two matrices have nothing in common. There the kernel is one of samples; here
    it is averaged over the samples of each two classes, along the directions of their loss gradients, and what changes
    within classes is not seen. Logits are the layer of which lazy training speaks.

    Parameters
    ----------
    effect
        [dim, stepped_class, observed_class, …], as ``class_effect``. A pair of classes that is NaN in one of the two
        matrices (every stepped sample of a class is fitted exactly) is left out of both, norms included.

    Returns
    -------
    xarray.DataArray
        Between 0 and 2, without units; 0 at the first epoch, NaN where no pair is left or one matrix is 0.

    Raises
    ------
    OptionError
        If the effects do not lie along ``dim`` and both classes.

    Examples
    --------
    From a step that moves its own class alone to one that moves both alike, a cosine of 2/(√2·2), by way of twice the
    first matrix:

    >>> own, both = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]
    >>> twice = [[2.0, 0.0], [0.0, 2.0]]
    >>> effect = xr.DataArray([own, twice, both], dims=("epoch", "stepped_class", "observed_class"))
    >>> kernel_change(effect).round(6).values.tolist()
    [0.0, 0.0, 0.292893]
    """
    for needed in (dim, *PAIR):
        effect = along(effect, needed)
    first = effect.isel({dim: 0}).drop_vars(dim, errors="ignore")
    known = effect.notnull() & first.notnull()
    now, then = _unit(effect.where(known)), _unit(first.where(known))
    # Half the squared distance of unit matrices: 1 minus a cosine near 1 would be rounding.
    change = ((now - then) ** 2).sum(PAIR, min_count=1) / 2
    return change.transpose(*[d for d in effect.dims if d not in PAIR]).rename("kernel_change")


def _unit(matrix: xr.DataArray) -> xr.DataArray:
    norm = (matrix**2).sum(PAIR) ** 0.5
    return matrix / norm.where(norm > 0)
