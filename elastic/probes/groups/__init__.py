"""The registered probes, one file for each group of the cube (`elastic.probes.contract`)."""
