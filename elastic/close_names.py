"""The known name that a user probably meant, for messages on unknown names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(name: str, known: list[str], *, fallback: str) -> str:
    """Return the known name closest to ``name``, quoted, or the fallback.

    >>> nearest("resent18", ["mlp", "resnet18"], fallback="elastic list models")
    "'resnet18'"
    >>> nearest("Cross-Entropy", ["mse", "cross_entropy"], fallback="elastic list losses")
    "'cross_entropy'"
    >>> nearest("20.5", ["0", "1", "20", "200"], fallback="another epoch")
    '20'
    >>> nearest("-9", ["0", "1", "20", "200"], fallback="another epoch")
    'another epoch'
    """
    if (same := same_name(name, known)) is not None:
        return repr(same)
    if known and _NUMBER.fullmatch(name) and all(map(_NUMBER.fullmatch, known)):
        number = float(name)
        close = [one for one in known if abs(float(one) - number) <= abs(number) / 2]
        return min(close, key=lambda one: abs(float(one) - number)) if close else fallback
    close = difflib.get_close_matches(name.lower(), known, n=1) or difflib.get_close_matches(name, known, n=1)
    return repr(close[0]) if close else fallback


def same_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that differs only in case, separators or a plural s; None if there is none.

    >>> known = ["nc1", "batch_size", "cifar10", "split"]
    >>> [same_name(name, known) for name in ("NC1", "batch-size", "CIFAR-10", "splits", "nc2")]
    ['nc1', 'batch_size', 'cifar10', 'split', None]
    """
    known = list(known)
    by_letters = {_letters(one): one for one in reversed(known)}
    return name if name in known else by_letters.get(_letters(name))


#: A number: a label of an axis, an epoch.
_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][-+]?\d+)?")


def _letters(name: str) -> str:
    """Return the letters and digits of a name in lower case, without the s of a plural."""
    letters = re.sub(r"[\W_]", "", name.lower())
    return letters[:-1] if letters.endswith("s") and len(letters) > 2 else letters
