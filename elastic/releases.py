"""Options that came with a later release: how they are marked, so that earlier studies keep their names.

A digest names a study by every option's value. An option that a release adds would rename all earlier studies, which
had no such option; marked with `Added`, it is left out of digests while it has the value that means what earlier
releases did. A stored protocol that lacks it means that value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pydantic


@dataclass(frozen=True)
class Added:
    """Marks an option of a protocol that a release added, in the annotation of a parameter or of a field.

    Parameters
    ----------
    version
        The release that added it (of the package that defines the option), shown by ``elastic show``.
    before
        The value that means what earlier releases did, as JSON holds it. It may differ from the default, which is
        what a protocol file that does not name the option means from now on.
    in_axes
        Whether the values of an axis hold the option even while it has this value. False for every new option.

    Examples
    --------
    A model gets an option; protocols that do not name it mean what they did:

    >>> from typing import Annotated
    >>> def mlp(task, *, widths: list[int], dropout: Annotated[float, Added("0.9.0", before=0.0)] = 0.0): ...

    A section gets one whose default is another behaviour; earlier studies are resumed with what they had:

    >>> threads = Annotated[int | None, Added("0.9.0", before=None)]
    >>> marks(pydantic.create_model("Training", threads=(threads, 1)))
    {'threads': Added(version='0.9.0', before=None, in_axes=False)}
    """

    version: str
    before: Any
    in_axes: bool = False


@cache
def marks(model: type[pydantic.BaseModel]) -> Mapping[str, Added]:
    """Return the marks of a model's fields by their names, without the fields that have none.

    Raises
    ------
    TypeError
        If a marked field is required: earlier protocols lack it.
    """
    marked = {n: mark for n, field in model.model_fields.items() for mark in field.metadata if isinstance(mark, Added)}
    for name in marked:
        if model.model_fields[name].is_required():
            raise TypeError(f"{model.__name__}.{name} was added later and needs a default: earlier protocols lack it")
    return marked
