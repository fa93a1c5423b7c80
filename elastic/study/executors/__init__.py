"""Executors: the ways in which the runs of a study are carried out. The cube is bitwise the same whichever is taken.

serial      one run after the other in this process
workers     several processes on this machine
board       which runs are left, and what happened to them: what all executors share

Any number of processes run one study at the same time. A run that another process owns is tried again later, so that
a run whose owner died, or met an error, is taken up.
"""
