"""Executors: ways of running the runs of a study. The cube is bitwise the same for all of them.

serial      one run after the other in this process
workers     several processes on this machine
board       which runs are left, and their results: shared by all executors

Any number of processes can run one study at the same time. A run that another process owns is tried again later, so
that a run is resumed if its owner was killed or failed.
"""
