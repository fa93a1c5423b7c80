"""What commands of elastic import when they first need it, imported at once: a process forked later starts with it.

A run imports some two thousand modules (torch, SciPy, dask), which takes longer than a small study. Nothing here starts
a thread, which a fork would lose. As in the processes that elastic starts, torch's compiler is loaded by who needs it.
"""

from __future__ import annotations

import gc
import os
import pkgutil
from contextlib import suppress
from importlib import import_module

import elastic

os.environ["ELASTIC_OWN_PROCESS"] = "1"  # as `elastic.__main__`; each script has the environment that it is given

#: What other libraries import when they are first used: xarray dask, h5netcdf h5py, data scikit-learn.
LAZY = (
    "torch.func", "torch.onnx", "torch.distributed", "dask.array", "dask.distributed", "h5netcdf",
    "h5py", "sklearn.datasets", "scipy.optimize", "scipy.sparse", "scipy.stats", "scipy.linalg", "rich.traceback",
)  # fmt: skip

#: Callbacks of other frameworks, whose trainers no command imports.
OTHERS = "elastic.integrations"

gc.disable()  # what is imported stays: the collector would go through it here, and again in each process that is forked
for found in pkgutil.walk_packages(elastic.__path__, "elastic."):
    if not found.name.startswith(OTHERS):
        import_module(found.name)
for name in LAZY:
    with suppress(ImportError):  # of an extra
        import_module(name)
gc.freeze()
gc.enable()
