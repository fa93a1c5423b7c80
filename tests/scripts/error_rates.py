"""How often verdicts are wrong: simulated studies, printed as the table of elastic/docs/claims.md.

    PYTHONPATH=. python tests/scripts/error_rates.py [STUDIES]

Studies are drawn whose truth lies on the edge of their claims, so that a verdict is false:
supported and refuted are counted together. The effect is normal; lognormal with σ = 1; of Student's t with two
degrees of freedom; or normal, but for one seed in ten that diverts by 50 standard deviations. The truth is that of the
typical seed (the median of all seeds) or, where it says so, their mean.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr
from scipy import stats

from elastic.claims.contract import Evidence
from elastic.claims.decision import judge
from elastic.claims.multiplicity import holm
from elastic.claims.scales import Logit

INF = float("inf")
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def outlying(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.normal(size=shape) + 50 * (rng.random(shape) < 0.1)


#: Distributions of a seed's effect.
DRAWS: dict[str, Draw] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "lognormal, σ = 1": lambda rng, shape: np.exp(rng.normal(size=shape)),
    "t with 2 degrees of freedom": lambda rng, shape: rng.standard_t(2, size=shape),
    "one outlying seed in ten": outlying,
}


def decided(values: np.ndarray, edge: float) -> xr.Dataset:
    """Return the verdicts on studies [study, seed] that claim a mean above an edge."""
    return judge(Evidence(xr.DataArray(values, dims=("study", "seed")), (edge, INF), ""), tests=1)


def wrong(values: np.ndarray, edge: float) -> float:
    return float((decided(values, edge)["verdict"] != "inconclusive").mean())


def fragile_share(values: np.ndarray, edge: float) -> float:
    """Return the share of false verdicts that are marked as fragile."""
    verdicts = decided(values, edge)["verdict"].values
    others = [decided(np.delete(values, seed, axis=1), edge)["verdict"].values for seed in range(values.shape[1])]
    false = verdicts != "inconclusive"
    changes = np.any([other != verdicts for other in others], axis=0)
    return float(changes[false].mean()) if false.any() else float("nan")


def bounded(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return values between 0 and 4 of seeds whose logit is normal, near the lower bound: an nc3 of 0.04."""
    return Logit(0, 4).low + 4 / (1 + np.exp(4.6 - rng.normal(size=shape)))


def families(studies: int, seeds: int, draw: Draw, edge: float, claims: int = 7) -> tuple[float, float]:
    """Return the shares of studies of independent claims at the edge with a false verdict, plain and by Holm."""
    rng = np.random.default_rng(7)
    values = draw(rng, (studies * claims, seeds))
    t = (values.mean(1) - edge) / (values.std(1, ddof=1) / seeds**0.5)
    p = 2 * stats.t.sf(abs(t), seeds - 1).reshape(studies, claims)
    adjusted = [any(value <= 1 - level for value, level in zip(row, holm(row.tolist()), strict=True)) for row in p]
    return float((p <= 0.05).any(1).mean()), float(np.mean(adjusted))


def rows(studies: int) -> Iterator[tuple[str, ...]]:
    yield ("effects of seeds", "truth", "3 seeds", "5 seeds", "10 seeds", "fragile, 5 seeds")
    for name, draw in DRAWS.items():
        many = draw(np.random.default_rng(99), (4_000_000, 1))
        for truth, edge in (("typical seed", float(np.median(many))), ("mean", float(many.mean()))):
            if truth == "mean" and name in ("normal", "t with 2 degrees of freedom"):
                continue
            drawn = [draw(np.random.default_rng(seeds), (studies, seeds)) for seeds in (3, 5, 10)]
            result = [f"{wrong(values, edge):.1%}" for values in drawn]
            yield (name, truth, *result, f"{fragile_share(drawn[1], edge):.0%}")
    drawn = [np.exp(DRAWS["normal"](np.random.default_rng(seeds), (studies, seeds))) for seeds in (3, 5, 10)]
    result = [f"{wrong(np.log(values), 0.0):.1%}" for values in drawn]
    yield ("lognormal, σ = 1, on the log scale", "typical seed", *result, "–")
    drawn = [bounded(np.random.default_rng(seeds), (studies, seeds)) for seeds in (3, 5, 10)]
    many = bounded(np.random.default_rng(99), (4_000_000, 1))
    edge, mean = float(np.median(many)), float(many.mean())
    yield ("bounded, judged linearly", "mean", *(f"{wrong(v, mean):.1%}" for v in drawn), "–")
    logit = Logit(0, 4)
    result = [f"{wrong(logit.effect(xr.DataArray(v)).values, logit.level(edge)):.1%}" for v in drawn]
    yield ("bounded, on the logit scale", "typical seed", *result, "–")
    collected = [families(studies, seeds, DRAWS["normal"], 0.0) for seeds in (3, 5, 10)]
    yield ("seven normal claims, each at 95 %: any false", "typical seed", *(f"{one:.1%}" for one, _ in collected), "–")
    yield ("seven normal claims, by Holm: any false", "typical seed", *(f"{one:.1%}" for _, one in collected), "–")


def table(studies: int) -> str:
    """Return the table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in rows(studies)]
    return "\n".join([lines[0], "|---|---|---|---|---|---|", *lines[1:]])


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
