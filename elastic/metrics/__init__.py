"""Metrics of neural collapse and local elasticity: pure functions of readings."""
