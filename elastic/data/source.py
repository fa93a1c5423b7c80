"""Where a data set comes from, and under which licence: each says so in its own file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Source of a data set, which archives list because they contain no data.

    Attributes
    ----------
    get
        How to get the data.
    license
        SPDX identifier of the licence, as its authors or those who distribute the data state it; "" if none is stated.
    cite
        Whom to cite; "" for nobody.
    """

    get: str
    license: str = ""
    cite: str = ""


#: Data that follow from the protocol and its seed.
GENERATED = Source("generated from the protocol and its seed; there is nothing to get", "none needed")

#: Data of a user, of which nothing is known here.
OWN = Source("not part of this archive: ask the authors of the study")

#: What is known where torch is not installed, with which the files of data sets are loaded.
UNKNOWN = Source("see `elastic show NAME` of the data set, where torch is installed")
