"""The start of programs that own locks and load nothing else: the package of cubes imports xarray and zarr."""

from __future__ import annotations

#: Makes `elastic.cube` a package whose modules are found and whose `__init__` is not run, with the names of locks.
LOCKS_ALONE = """
import sys, types
import elastic
package = sys.modules["elastic.cube"] = types.ModuleType("elastic.cube")
package.__path__ = [f"{elastic.__path__[0]}/cube"]
from elastic.cube.ownership import run_lock, study_lock, waiting_lock
package.run_lock, package.study_lock, package.waiting_lock = run_lock, study_lock, waiting_lock
assert not {"xarray", "zarr", "numpy"} & set(sys.modules)
"""
