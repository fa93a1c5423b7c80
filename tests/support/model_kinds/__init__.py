"""Networks as users write them, by name, and their movements by real steps."""

from . import flags, further, mixed, numbers, stops, weights, writes
from .contract import ALONE, KINDS, moved, network

__all__ = ["ALONE", "KINDS", "flags", "further", "mixed", "moved", "network", "numbers", "stops", "weights", "writes"]
