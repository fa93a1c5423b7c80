"""Metrics of collapse and of local elasticity: pure functions of readings."""
