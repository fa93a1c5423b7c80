"""Probes: measurements of a model that do not change it."""
