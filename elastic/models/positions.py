"""Selection of token features in sequence models: one position, the last one, or the mean over all."""

from __future__ import annotations

import torch
from torch import Tensor

from elastic.errors import ModelError

#: An index, "mean", or "last".
Position = int | str
NAMED = ("mean", "last")


def check_position(position: object) -> None:
    """Raise a ModelError unless ``position`` is an index, "mean", "last", or None."""
    is_index = isinstance(position, int) and not isinstance(position, bool)
    if position is not None and not is_index and position not in NAMED:
        raise ModelError("`position`", "be an index, 'mean' or 'last'", repr(position), "position='last'")


def at_position(features: Tensor, position: Position | None, mask: Tensor | None = None) -> Tensor:
    """Select the features [n, d] at a position of a layer [n, T, d]; other shapes are returned unchanged.

    Parameters
    ----------
    features
        [n, T, d], or [n, …].
    position
        Index of a token, from the end if negative; "last"; "mean"; None: all tokens.
    mask
        [n, T], 0 for padding, which is excluded from the mean and from the last position.

    Raises
    ------
    ModelError
        If the token does not exist, or the mask has another length.

    Examples
    --------
    >>> h = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> at_position(h, 0).item(), at_position(h, "last").item(), at_position(h, "mean").item()
    (1.0, 8.0, 4.0)
    >>> padded = torch.tensor([[1, 1, 0]])
    >>> at_position(h, "last", padded).item(), at_position(h, "mean", padded).item()
    (3.0, 2.0)
    """
    if position is None or features.ndim != 3:
        return features
    length = features.shape[1]
    if not isinstance(position, str):
        if not -length <= position < length:
            hint = "position='last', or an index from 0 on"
            raise ModelError("`position`", f"be one of the {length} positions of a layer", repr(position), hint)
        return features[:, position]
    if mask is None:
        return features.mean(dim=1) if position == "mean" else features[:, -1]
    if mask.shape[1] != length:
        found = f"a layer of {length} positions and an attention_mask of {mask.shape[1]}"
        raise ModelError(
            f"`position` {position!r}", "be of the tokens of the mask", found, "position=0, or another index"
        )
    weights = _weights(mask != 0, position).to(features.dtype)
    return (features * weights[:, :, None]).sum(dim=1)


def described_position(position: Position | None) -> str:
    """Describe the features for the attributes of the cube.

    >>> described_position(None), described_position(0)
    ('all of a layer, flattened', 'position 0 of layers [n, T, d]; all of other layers, flattened')
    """
    if position is None:
        return "all of a layer, flattened"
    which = {"mean": "mean over the positions", "last": "last position"}.get(str(position), f"position {position}")
    return f"{which} of layers [n, T, d]; all of other layers, flattened"


def _weights(read: Tensor, position: str) -> Tensor:
    """Return the weight of each token [n, T]."""
    if position == "mean":
        return read / read.sum(dim=1, keepdim=True).clamp(min=1)
    places = torch.arange(1, read.shape[1] + 1, device=read.device)
    last = (read * places).amax(dim=1, keepdim=True)
    return places == last
