"""A long run of every metric of collapse against exact arithmetic; the suite does a few of the same trials.

    python tests/scripts/fuzz_exact.py --minutes 10 [--seed 7]

prints every disagreement with the seed that makes it, and exits 1 if there is one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.exact_trials import disagreements, draw


def main() -> int:
    """Run trials of ascending seeds for as long as asked; return 1 if any disagrees."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first trial")
    asked = parser.parse_args()
    end, seed, wrong, kinds = time.monotonic() + 60 * asked.minutes, asked.seed, 0, Counter[str]()
    while time.monotonic() < end:
        trial = draw(Random(seed))
        kinds[trial.kind] += 1
        try:
            result = disagreements(trial)
        except Exception as error:
            result = [f"{type(error).__name__}: {error}"]
        if result:
            wrong += 1
            print(f"seed {seed}: {trial}", *result, sep="\n    ", flush=True)
        seed += 1
    print(f"{seed - asked.seed} trials, {wrong} disagree; {dict(sorted(kinds.items()))}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
