"""Change of the tangent kernel during training, which distinguishes feature learning from lazy training."""

from __future__ import annotations

import xarray as xr

from elastic.analysis.persistence import along

#: Dims of the matrix of class effects.
PAIR = ("stepped_class", "observed_class")


def kernel_change(effect: xr.DataArray, dim: str = "epoch") -> xr.DataArray:
    r"""Compute the distance of the matrix of class effects from that of the first epoch.

    $1 - \langle E(t), E(0)\rangle / (\lVert E(t)\rVert\,\lVert E(0)\rVert)$, the kernel distance of fort2020deep: 0
    if all effects are unchanged or scaled by one factor, as in lazy training (constant tangent kernel); 1 if the two
    matrices are orthogonal. fort2020deep uses the kernel of samples; here it is averaged over the samples of each pair
    of classes, along the directions of their loss gradients, so that changes within classes are not visible. The theory
    of lazy training is about the logits.

    Parameters
    ----------
    effect
        [dim, stepped_class, observed_class, …], such as ``class_effect``. A pair of classes that is NaN in one of the
        two matrices (every stepped sample of a class is fitted exactly) is left out of both, also of their norms.

    Returns
    -------
    xarray.DataArray
        Between 0 and 2, dimensionless; 0 at the first epoch, NaN if no pair is left or one matrix is 0.

    Raises
    ------
    OptionError
        If the effects lack ``dim`` or a dim of classes.

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
    # Half the squared distance of unit matrices: 1 minus a cosine near 1 would suffer from cancellation.
    change = ((now - then) ** 2).sum(PAIR, min_count=1) / 2
    return change.transpose(*[d for d in effect.dims if d not in PAIR]).rename("kernel_change")


def _unit(matrix: xr.DataArray) -> xr.DataArray:
    norm = (matrix**2).sum(PAIR) ** 0.5
    return matrix / norm.where(norm > 0)
