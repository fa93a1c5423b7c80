"""A small study with claims and its archive, for tests of all that is done with archives."""

import json
import zipfile
from pathlib import Path

from support import studies

CLAIMS = """\
claims:
  - {name: locality_above, threshold: 1.0}
  - {name: collapse_deepens_with_training, metric: nc1, layer: penultimate, min_factor: 2}
"""

#: Names that must not be found in an anonymous archive; the protocol's comment and title hold some.
SECRETS = ("noether", "goettingen", "/home/emmy", "e.noether@uni.example")

TEXT = (
    "# by Emmy Noether, /home/emmy/nets\n"
    + studies.SMALL.replace("A small study", "A small study of Emmy Noether <e.noether@uni.example>")
    + CLAIMS
)

#: One figure and no execution of the notebook: what takes seconds is tested once.
QUICK = {"figures": ["depth_profile"], "execute": False}


def files_of(path: Path) -> dict[str, bytes]:
    """Return the contents of every file of an archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def json_of(path: Path, name: str):
    return json.loads(files_of(path)[name])


def zipped(path: Path, files, *, compression=zipfile.ZIP_DEFLATED) -> Path:
    """Zip files anew, as another program would; (ZipInfo or name, bytes) in the order given."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, data)
    return path
