"""Examine random models for as long as asked: ``python tests/scripts/fuzz_models.py --minutes 30 [--seed 0]``.

``--sweep linear norm`` examines every step of these families once, alone, ``--sweep`` every entry and head, and
``--replay "vector.0/3: shared.1 > 0"`` one model. It exits with 1 if anything was wrong: a number, a crash, a changed
state, an ordinary model refused by ``auto``.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from support.examination import Finding, Outcome, Subject, examine
from support.random_models import Random, Spec, compose
from support.random_steps import ENTRIES, HEADS, STEPS

ENTRY_OF = {"v": "vector.1", "s": "sequence.1", "i": "image.1"}


def subject_of(model: Random) -> Subject:
    return Subject(model.make, model.make_double, *model.samples(), model.layers)


def sweep(families: Sequence[str]) -> Iterator[Spec]:
    """Yield every step of these families alone, in each kind of shape that it takes; of none every entry and head."""
    for family, steps in STEPS.items():
        if family not in families:
            continue
        for place, (kinds, *_) in enumerate(steps):
            for kind in kinds:
                yield Spec(ENTRY_OF[kind], 3, (f"{family}.{place}",), 0)
    if families:
        return
    yield from (
        Spec(f"{kind}.{place}", 5, (), head)
        for kind in ENTRIES
        for place in range(len(ENTRIES[kind]))
        for head in (0, len(HEADS))
    )
    yield from (Spec("vector.1", 6, ("activation.0",), head) for head in range(len(HEADS)))


def drawn(seed: int, minutes: float) -> Iterator[Spec]:
    """Yield random specs until the time is over."""
    source, end = random.Random(seed), time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        yield Spec.draw(source)


class Tally:
    """Counts what was examined, and keeps each new kind of fault in its smallest form."""

    def __init__(self, engines: list[str], updates: list[str]) -> None:
        self.engines, self.updates = engines, updates
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.faults: dict[tuple[str, ...], list[str]] = {}

    def take(self, spec: Spec) -> None:
        model = compose(spec)
        if model is None:
            self.counts["specs that do not run"] += 1
            return
        self.counts["models"] += 1
        subject = subject_of(model)
        for update in self.updates:
            truth = subject.truth(update)
            self.counts["models that may be refused"] += bool(truth.excuses) and update == self.updates[0]
            for engine in self.engines:
                outcome = examine(subject, engine, update, truth)
                self.note(model, engine, update, outcome)

    def note(self, model: Random, engine: str, update: str, outcome: Outcome) -> None:
        self.counts["pairs checked"] += outcome.checked
        self.counts["pairs undecided"] += outcome.undecided
        self.counts[f"runs of {engine}"] += 1
        if engine == "auto" and outcome.engine:
            self.counts[f"auto took {outcome.engine.split()[0]}"] += 1
        if outcome.refused:
            self.refused[
                f"{engine}: {outcome.refused.partition('; found')[0][:90]}{' (excused)' * bool(outcome.excuses)}"
            ] += 1
        for finding in outcome.findings:
            self.counts[f"{finding.kind} in {engine}"] += 1
            self.keep(model, engine, update, finding)

    def keep(self, model: Random, engine: str, update: str, finding: Finding) -> None:
        small, text = smallest(model, engine, update, finding)
        families = tuple(sorted(name for name in small.spec.steps))
        key = (finding.kind, engine, update, small.spec.entry if not families else "", *families)
        if key not in self.faults:
            self.faults[key] = [str(text), str(small)]
            print(f"\n{finding.kind} — {engine}, {update}: {text.text}\n{small}", flush=True)

    def summary(self) -> str:
        lines = ["", "summary", *(f"  {name}: {count}" for name, count in sorted(self.counts.items()))]
        lines += ["refusals", *(f"  {count:5d} {why}" for why, count in self.refused.most_common(40))]
        lines += ["faults"] + [f"  {' '.join(key)}: {result[0][:150]}" for key, result in sorted(self.faults.items())]
        return "\n".join(lines)


def smallest(model: Random, engine: str, update: str, finding: Finding) -> tuple[Random, Finding]:
    """Return the smallest model, by leaving out one part after another, that still has a fault of the same kind."""
    for spec in model.spec.smaller():
        fewer = compose(spec)
        if fewer is None:
            continue
        subject = subject_of(fewer)
        outcome = examine(subject, engine, update, subject.truth(update))
        for other in outcome.findings:
            if other.kind == finding.kind:
                return smallest(fewer, engine, update, other)
    return model, finding


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["auto", "autodiff", "structured"], action="append")
    parser.add_argument("--update", choices=["first_order", "finite"], action="append")
    parser.add_argument("--sweep", nargs="*", metavar="FAMILY", help=f"of {', '.join(STEPS)}")
    parser.add_argument("--replay", action="append")
    parser.add_argument("--trace", action="store_true", help="tell each spec before it runs: torch may end the process")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tally = Tally(options.engine or ["auto", "autodiff", "structured"], options.update or ["first_order", "finite"])
    specs = (
        map(Spec.parse, options.replay)
        if options.replay
        else sweep(options.sweep)
        if options.sweep is not None
        else drawn(options.seed, options.minutes)
    )
    for spec in specs:
        print(spec, end="\n" if options.trace else "\r", file=sys.stderr, flush=True)
        tally.take(spec)
    print(tally.summary())
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
