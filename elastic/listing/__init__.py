"""What the command line lists and shows: registered names and their options, protocols, the state of a study."""

from __future__ import annotations

from elastic.listing.names import KINDS, PROTOCOLS, names, names_table
from elastic.listing.showing import description

__all__ = ["KINDS", "PROTOCOLS", "description", "names", "names_table"]
