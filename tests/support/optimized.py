"""`elastic` with its own modules compiled as ``python -OO`` compiles them: without assertions and docstrings.

A script for `support.forked`, where everything else is loaded already: an interpreter of its own compiles all of torch
anew, as no library ships bytecode for ``-OO``.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder, SourceFileLoader
from types import SimpleNamespace


class Optimized(SourceFileLoader):
    """Compiles a module as ``-OO`` does, and leaves bytecode on the disk alone."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return compile(self.get_data(path), path, "exec", dont_inherit=True, optimize=2)


class OfElastic:
    """Finds modules of elastic for `Optimized`."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):
        if fullname.partition(".")[0] != "elastic":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Optimized(spec.loader.name, spec.loader.path)
        return spec


def optimize():
    """Let elastic be imported anew, optimized, and see the flag of such an interpreter."""
    names = [name for name in dir(sys.flags) if not name.startswith(("_", "n_")) and name not in ("count", "index")]
    sys.flags = SimpleNamespace(**{name: getattr(sys.flags, name) for name in names} | {"optimize": 2})
    for name in [name for name in sys.modules if name.partition(".")[0] == "elastic"]:
        del sys.modules[name]
    sys.meta_path.insert(0, OfElastic)


if __name__ == "__main__":
    optimize()
    from elastic.__main__ import main
    from elastic.study import runner

    assert runner.__doc__ is runner.run.__doc__ is None
    main()
