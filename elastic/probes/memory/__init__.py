"""The memory of a probe: what a block of samples takes, as measured, and the blocks that fit the budget."""
