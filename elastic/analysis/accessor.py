"""The accessor ``.elastic`` of datasets and cubes: ``open_study(…).cube.elastic.separation_law()``.

Importing this module registers the accessor; scipy is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    from elastic.analysis.analyses import Analyses


def analyses(holder: xr.Dataset | xr.DataTree) -> Analyses:
    """Return the analyses of a dataset or a cube."""
    from elastic.analysis.analyses import Analyses

    return Analyses(holder)


# xarray does not annotate what registers.
xr.register_dataset_accessor("elastic")(analyses)  # type: ignore[no-untyped-call]
xr.register_datatree_accessor("elastic")(analyses)  # type: ignore[no-untyped-call]
