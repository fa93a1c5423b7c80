"""Runs: a cell of the protocol becomes a journal of labelled records.

    cell -> data, model, trainer -> snapshots -> probes -> metrics -> record -> journal, checkpoint

The only package that uses both tensors and cubes.
"""
