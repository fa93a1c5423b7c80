"""The metadata of a protocol: name, title, question, papers, and claims."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from elastic.protocol.strict import Component, Strict

#: Valid names of a study's folder.
SLUG = r"[a-z0-9][a-z0-9_-]{0,63}"


def _slug(name: str) -> str:
    if not re.fullmatch(SLUG, name):
        raise ValueError("be a short name of a-z, 0-9, - and _")
    return name


class Header(Strict):
    """Metadata of a protocol."""

    name: Annotated[
        str,
        AfterValidator(_slug),
        Field(
            description="Name of the study, and of its folder.",
            examples=["my-study"],
            json_schema_extra={"pattern": f"^{SLUG}$"},
        ),
    ]
    title: Annotated[
        str, Field(min_length=1, description="Title of the study.", examples=["Does collapse reach the inner layers?"])
    ]
    question: Annotated[str | None, Field(description="Research question of the study, in one or more sentences.")] = (
        None
    )
    cites: Annotated[
        list[str], Field(description="Papers that the study builds on: keys of elastic/references.bib.")
    ] = []  # noqa: RUF012
    claims: Annotated[list[Component], Field(description="Claims to check on the results.")] = []  # noqa: RUF012
