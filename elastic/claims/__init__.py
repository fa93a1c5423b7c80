"""Claims: one function each, a cube in, a finding for every seed out; verdicts with intervals over seeds."""
