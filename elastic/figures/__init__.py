"""Figures: functions that draw a cube and return a matplotlib Figure."""
