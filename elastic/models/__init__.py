"""Models with named layers."""
