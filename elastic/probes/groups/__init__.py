"""The registered probes, one module for each group of the cube (`elastic.probes.contract`)."""
