"""Data sets, and what is done to all of them alike."""
