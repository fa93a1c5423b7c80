"""Models whose layers have names."""
