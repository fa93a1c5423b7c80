"""Figures: one function each, a cube in, a matplotlib Figure out."""
