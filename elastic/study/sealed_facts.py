"""Facts about a study in its sealed cube, from which a lost or damaged study.json is restored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from elastic.cube.atomic import read_regular
from elastic.cube.manifest import is_intact
from elastic.errors import StudyError
from elastic.study.provenance import provenance
from elastic.study.seal_state import ROOT
from elastic.study.study_file import UNREADABLE


def sealed_facts(folder: Path, digest: str) -> tuple[str, dict[str, Any]] | None:
    """Return the text and the provenance in the sealed cube of a protocol, None where there is none.

    Parameters
    ----------
    folder
        Of the study. Only the metadata of its cube are read, if they are as the manifest lists them.
    digest
        Of the protocol.
    """
    try:
        attrs = json.loads(read_regular(folder / ROOT))["attributes"] if is_intact(folder, ROOT) else {}
        if attrs.get("digest") != digest:
            return None
        # A cube's attributes are text and numbers: a mapping is written as JSON.
        made_with = {
            key: json.loads(attrs[key]) if isinstance(value, dict) else attrs[key]
            for key, value in provenance().items()
        }
        return str(attrs["protocol"]), made_with
    except (OSError, StudyError, *UNREADABLE):
        return None
