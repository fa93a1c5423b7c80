"""The version of the package, its only definition: the build and ``elastic.__version__`` read it here."""

__version__ = "0.1.0"
