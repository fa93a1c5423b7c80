"""Output of `elastic list`, `elastic show`, `elastic new` and `elastic status`."""

from __future__ import annotations

from elastic.listing.names import KINDS, PROTOCOLS, names, names_table
from elastic.listing.showing import description

__all__ = ["KINDS", "PROTOCOLS", "description", "names", "names_table"]
