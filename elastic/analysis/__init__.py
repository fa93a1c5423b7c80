"""Analysis of a cube: intervals over seeds, depth, onset, locality. Works on xarray objects; needs no torch."""
