"""Runs: train a cell of the protocol and write a journal of labelled records.

    cell -> data, model, trainer -> snapshots -> probes -> metrics -> record -> journal, checkpoint

The only package that uses both tensors and cubes.
"""
