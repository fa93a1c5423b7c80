"""The version of the package, its name and its authors: the only definition of each.

The build reads the version here. A test holds ``pyproject.toml``, ``CITATION.cff`` and "how to cite" of a report to
the rest.
"""

__version__ = "0.1.0"

#: As they are cited.
AUTHORS = ("The elastic developers",)
TITLE = "elastic: local elasticity and inner-layer neural collapse, layer by layer"
LICENSE = "Apache-2.0"

#: Day of this version.
RELEASED = "2026-11-27"
