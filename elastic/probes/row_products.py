"""Norms and inner products of movements [c, m, d], in the order in which the processor reads them fastest."""

from __future__ import annotations

import torch
from torch import Tensor

#: Norms in float32 between these are sums of squares that neither under- nor overflow.
SAFE = 1e-15, 1e15


def lengths(rows: Tensor) -> Tensor:
    """Return ‖row‖ of rows [..., d] in float64, at any scale of float32.

    >>> import torch
    >>> (lengths(torch.tensor([[3.0, 4.0]]) * 2.0**-80) * 2.0**80).item()
    5.0
    """
    norms: Tensor
    if rows.is_cuda:  # sums in float64 cost no time where memory is the limit, and reading a flag waits for all work
        norms = torch.linalg.vector_norm(rows, dim=-1, dtype=torch.float64)
        return norms
    norms = torch.linalg.vector_norm(rows, dim=-1).double()
    if rows.dtype != torch.float64 and bool((unsafe := ~((norms > SAFE[0]) & (norms < SAFE[1]))).any()):
        norms[unsafe] = torch.linalg.vector_norm(rows[unsafe], dim=-1, dtype=torch.float64)
    return norms


def along_stepped(moved: Tensor, vectors: Tensor) -> Tensor:
    """Return the inner products [c, m] of movements [c, m, d] with a vector of each stepped sample, [c, d]; as float64.

    A product of a row and a transposed matrix: the CPU library reads the movements once for it, and several
    times as long for a product of the matrix and a column, or for a product of numbers and a sum.

    >>> import torch
    >>> along_stepped(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[1.0, -1.0]])).tolist()
    [[-1.0, -1.0]]
    """
    return torch.bmm(vectors[:, None], moved.mT)[:, 0].double()


def along_observed(moved: Tensor, vectors: Tensor) -> Tensor:
    """Return the inner products [c, m] of movements [c, m, d] with a vector of each observed sample [m, d], as float64.

    >>> import torch
    >>> along_observed(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([[1.0, 1.0], [0.0, 1.0]])).tolist()
    [[3.0, 4.0]]
    """
    return along_stepped(moved.transpose(0, 1), vectors).T
