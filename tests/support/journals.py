"""Journals in the state that they have while a run is under way: one file an epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from elastic.cube.labels import Label, labelled
from elastic.cube.record import encode


def expand(run: Path) -> Path:
    """Put the compacted records of a run that has ended into single files again, and return the journal's folder."""
    folder = run / "journal"
    with np.load(folder / "records.npz", allow_pickle=False) as result:
        epochs, probed = result["epochs"], result["probed"]
        arrays = {key: result[key] for key in result.files if key not in ("epochs", "probed")}
    for place, epoch in enumerate(epochs):
        record = {key: a[place] for key, a in arrays.items() if key == "status" or key.startswith("training/")}
        if probed[place]:
            record |= {key: a[probed[:place].sum()] for key, a in arrays.items() if key not in record}
        label = Label("record", run.name, int(epoch))
        (folder / f"{int(epoch):06d}.npz").write_bytes(labelled(encode(record), label))
    (folder / "records.npz").unlink()
    return folder
