"""Data sets and their common preparation."""
