"""Probes: what is read off a model without changing it."""
