"""Short names of layers, for labels: layers of external models have long names, the paths of submodules."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Most characters of a short name.
WIDTH = 16


def short_names(names: Sequence[str], width: int = WIDTH) -> list[str]:
    """Shorten names to at most ``width`` characters; distinct names stay distinct.

    The parts of a long path are reduced to their first letter and their numbers, from the left, until it fits; the end
    of a path that is still too long is dropped. Names that become equal get their position appended.

    Parameters
    ----------
    names
        Names of layers, such as paths of submodules.
    width
        Characters of a short name, without the position.

    Examples
    --------
    >>> short_names(["hidden_1", "layer4.1.relu", "encoder.layer.11.mlp", "bert.encoder.layer.3.output.LayerNorm"])
    ['hidden_1', 'layer4.1.relu', 'e.layer.11.mlp', 'b.e.l.3.o.Layer…']
    >>> short_names(["the_same_beginning_of_a", "the_same_beginning_of_b"], 8)
    ['t_s_b_o…', 't_s_b_o… (2)']
    """
    short = [_short(name, width) for name in names]
    return [name if short.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(short)]


def _short(name: str, width: int) -> str:
    parts = re.split(r"([._/])", name)  # separators stand at the odd positions
    for i in range(0, len(parts) - 1, 2):
        if sum(map(len, parts)) <= width:
            break
        parts[i] = parts[i][:1] + "".join(re.findall(r"\[?\d+\]?", parts[i][1:]))
    shortened = "".join(parts)
    return shortened if len(shortened) <= width else f"{shortened[: width - 1]}…"
