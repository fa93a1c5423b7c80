"""Arrays at the edge of what the metrics of collapse define, and what elastic and exact arithmetic say of them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random

import numpy as np
import torch

from elastic import measure_collapse
from elastic.metrics.class_statistics import read_classes
from elastic.metrics.collapse import DualityWeights, nc3_duality
from elastic.metrics.deep_collapse import nc3_duality_uncentred
from elastic.metrics.least_squares import read_least_squares
from support.exact import Exact, inner_duality, least_squares, root, singular_values, square_norm, times, transposed

#: Metrics that grow with the features, to which power; the others do not change.
DEGREES = {"class_mean_norm": 1, "class_mean_spectrum": 1, "class_mean_spectrum_centred": 1, "within_variance": 2}
#: Metrics of the uncentred means: an offset changes them.
UNCENTRED = {"orthogonal_frame_error", "nc3_duality_uncentred", "class_mean_spectrum"}
DTYPES = {
    "float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16,
    "int64": torch.int64,
}  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """Integer rows [N][d] with labels, and how they are kept: (rows + offset)·scale in a type.

    ``weights`` [K][d] of the classifier, ``inner`` [d'][d] of an inner layer; both are given times ``weight_scale``.
    """

    kind: str
    rows: list[list[int]]
    labels: list[int]
    weights: list[list[int]]
    inner: list[list[int]]
    offset: int
    scale: float
    weight_scale: float
    dtype: str

    @property
    def exact(self) -> bool:
        """Whether the features are kept without rounding."""
        return np.array_equal(self.kept().double().numpy() / self.scale, self.ideal()) and self.scale != 0

    def ideal(self) -> np.ndarray:
        return np.array(self.rows, dtype=np.float64) + self.offset

    def kept(self) -> torch.Tensor:
        return torch.tensor(self.ideal() * self.scale).to(DTYPES[self.dtype])


# How samples of one class are drawn


def mirrored(random: Random, count: int, centre: list[int], size: int) -> list[list[int]]:
    """Return rows whose mean is ``centre`` exactly: pairs about it, and itself."""
    rows = []
    for _ in range(count // 2):
        step = [random.randint(-size, size) for _ in centre]
        rows += [[c + s for c, s in zip(centre, step, strict=True)], [c - s for c, s in zip(centre, step, strict=True)]]
    return rows + [list(centre)] * (count % 2)


def balanced_about(random: Random, count: int, centre: list[int], size: int) -> list[list[int]]:
    """Return rows of mean ``centre``, none of which has its mirror image: the last one makes up for the others."""
    if count < 3:
        return mirrored(random, count, centre, size)
    steps = [[random.randint(-size, size) for _ in centre] for _ in range(count - 1)]
    last = [-sum(column) for column in zip(*steps, strict=True)]
    return [[c + s for c, s in zip(centre, step, strict=True)] for step in [*steps, last]]


def centres_of(random: Random, kind: str, K: int, d: int) -> list[list[int]]:
    def point(size: int = 6) -> list[int]:
        return [random.randint(-size, size) for _ in range(d)]

    if kind == "line":
        start, way = point(), point(3)
        return [[a + random.randint(-4, 4) * b for a, b in zip(start, way, strict=True)] for _ in range(K)]
    if kind == "low rank":
        ways, factors = [point(2) for _ in range(2)], [[random.randint(-3, 3) for _ in range(2)] for _ in range(K)]
        return [[sum(f * way[c] for f, way in zip(fs, ways, strict=True)) for c in range(d)] for fs in factors]
    centres = [point() for _ in range(K)]
    if kind == "equal pair":
        centres[random.randrange(1, K)] = list(centres[0])
    elif kind == "all equal":
        centres = [list(centres[0]) for _ in range(K)]
    elif kind == "zero":
        centres = [[0] * d for _ in range(K)]
    elif kind == "on centre" and K > 2:  # the last mean is (K-1 times) the mean of the others
        centres = [[(K - 1) * x for x in centre] for centre in centres[:-1]]
        centres.append([sum(column) // (K - 1) for column in zip(*centres, strict=True)])
    elif kind == "far":
        centres[0] = [1000 * x for x in centres[0]]
    return centres


KINDS = ("any", "line", "low rank", "equal pair", "all equal", "zero", "on centre", "far", "collapsed", "duplicated")


def draw(random: Random) -> Trial:
    """Return a trial; the same for the same state of the generator."""
    kind, K, d = random.choice(KINDS), random.choice([2, 2, 3, 3, 4, 5, 9]), random.choice([1, 1, 2, 3, 4, 7])
    size = random.choice([1, 4, 10, 100])
    rows: list[list[int]] = []
    labels: list[int] = []
    same = random.randint(1, 7)
    for k, centre in enumerate(centres_of(random, kind, K, d)):
        count = random.choice([same, same, random.randint(1, 7), random.randint(1, 40)])
        if kind == "collapsed":
            members = [list(centre)] * count
        elif kind == "duplicated":
            members = [[c + random.randint(-1, 1) for c in centre]] * count
        elif kind == "any":
            members = [[c + random.randint(-size, size) for c in centre] for _ in range(count)]
        else:
            members = random.choice([mirrored, balanced_about])(random, count, centre, size)
        rows += members
        labels += [k] * count
    order = list(range(len(rows)))
    random.shuffle(order)
    dtype = random.choice(["float64"] * 4 + ["float32"] * 2 + ["float16", "bfloat16", "int64"])
    return Trial(
        kind=kind,
        rows=[rows[i] for i in order],
        labels=[labels[i] for i in order],
        weights=[[random.randint(-3, 3) for _ in range(d)] for _ in range(K)],
        inner=[[random.randint(-3, 3) for _ in range(d)] for _ in range(random.randint(1, 4))],
        offset=random.choice([0, 0, 0, 7, 1000, -(10**6)]) if dtype in ("float64", "int64") else random.choice([0, 3]),
        scale=1.0 if dtype == "int64" else random.choice(SCALES[dtype]),
        weight_scale=random.choice([1.0, 1.0, 0.1, 1e-100, 1e100, 2.0**-300]),
        dtype=dtype,
    )


SCALES = {
    "float64": [1.0, 1.0, 0.1, 1 / 3, 2.0**-10, 2.0**330, 2.0**-330, 1e-100, 1e100, 1e-30, 1e7, 1e-250, 1e200],
    "float32": [1.0, 0.1, 1 / 3, 2.0**60, 2.0**-60, 1e-20, 1e20],
    "float16": [1.0, 0.1, 0.25],
    "bfloat16": [1.0, 0.1, 2.0**40, 1e-20],
}

# Comparison


def real_distances(found: Exact) -> list[float]:
    """Return the sizes that tell apart what is degenerate from what is not: all that are not zero."""
    squares = [x for row in found.square_distances() for x in row] + [square_norm([m]) for m in found.centred]
    values = [float(root(x)) for x in squares if x]
    rank = int(found.class_mean_rank())
    return values + [float(s) for s in singular_values(found.centred)[:rank]]


def spacing_of(trial: Trial) -> float:
    return torch.finfo(DTYPES[trial.dtype]).eps if trial.dtype != "int64" else 2.0**-52


def is_clear(trial: Trial, found: Exact) -> bool:
    """Whether everything that is not zero is well above the resolution of the type in which features are kept."""
    ideal = trial.ideal()
    size = float(np.linalg.norm(ideal, axis=1).max())
    real = real_distances(found)
    if not np.isfinite(trial.kept().double().numpy()).all() or (np.abs(ideal * trial.scale) > 1e300).any():
        return False
    eps = spacing_of(trial)
    weak = min(real, default=1.0) < 16 * eps * size * len(found.means) ** 0.5
    relative = min(real, default=1.0) < 16 * len(found.means) * min(eps, 2.0**-23) * max(real, default=1.0)
    return not (weak or relative)


def disagreements(trial: Trial) -> list[str]:
    """Return what elastic computes otherwise than exact arithmetic, a line each; none where nothing can be told."""
    ideal = [[Fraction(x + trial.offset) for x in row] for row in trial.rows]
    outcome = Exact(ideal, trial.labels, [[Fraction(x) for x in w] for w in trial.weights])
    if not is_clear(trial, outcome):
        return []
    size = float(np.linalg.norm(trial.ideal(), axis=1).max())
    eps = 2.0**-52 if trial.exact else spacing_of(trial)
    slack = 64 * eps * size * len(trial.labels) ** 0.5
    near = 1e-9 + slack / min(real_distances(outcome), default=np.inf)
    sizes = [float(root(square_norm([m]))) for m in outcome.means]
    far = near + slack / max(sizes) if max(sizes) else near  # of the means as they are
    result = [*_by_layer(trial, outcome, (near, far), slack), *_inner(trial, outcome, (near, far))]
    if trial.dtype in ("float64", "int64") and trial.offset == 0:
        result += _squares(trial, ideal)
    return result


def _by_layer(trial: Trial, found: Exact, nears: tuple[float, float], slack: float) -> list[str]:
    h, W = trial.kept(), np.array(trial.weights, dtype=np.float64) * trial.weight_scale
    decisions = [(3 * i + y) % found.K for i, y in enumerate(trial.labels)]
    logits = np.eye(found.K)[decisions]
    measured = measure_collapse({"h": h, "logits": logits}, trial.labels, classifier=W).sel(layer="h")
    result = []
    for name, value in measured.data_vars.items():
        if name in ("ncc_accuracy", "nc4_mismatch"):
            result += _counted(trial, found, name, float(value), decisions)
            continue
        if name in UNCENTRED and _means_vanish_only_by_type(trial, found):
            continue
        if name == "centre_logit_norm":
            result += _of_the_centre(trial, found, float(value), slack)
            continue
        expected = _floats(getattr(found, name)())
        degree = DEGREES.get(name, 0)
        with np.errstate(over="ignore", under="ignore"):
            unit = trial.scale**degree if abs(np.log10(trial.scale)) * degree < 300 else None
        if unit is None:
            continue
        near = nears[name in UNCENTRED] / (_size_of_logits(found) if name == "nc3_simplex_error" else 1.0)
        above = slack * (size_of(trial) if degree == 2 else 1.0) if degree else near
        result += _compare(name, value.values / unit, expected, near, above)
    return result


def _of_the_centre(trial: Trial, found: Exact, value: float, slack: float) -> list[str]:
    """Compare the logits of the global mean, which have the scale of the features and that of the weights."""
    unit = trial.scale * trial.weight_scale
    if not 1e-200 < unit < 1e200:
        return []
    weights = float(root(square_norm(found.weights)))
    expected = np.array(float(found.centre_logit_norm()))
    return _compare("centre_logit_norm", np.array(value / unit), expected, 1e-9, 1e-12 + slack * weights)


def _size_of_logits(found: Exact) -> float:
    """Return ‖WMᵀ‖/(‖W‖‖M‖): how much of the weights lies along the class means; 1 where nothing does."""
    sizes = square_norm(found.weights) * square_norm(found.centred)
    along = square_norm(times(found.weights, transposed(found.centred)))
    return float(root(along / sizes)) if along else 1.0


def size_of(trial: Trial) -> float:
    return float(np.abs(trial.ideal()).max()) * len(trial.rows[0]) ** 0.5


def _means_vanish_only_by_type(trial: Trial, found: Exact) -> bool:
    """Whether the means as they are stand at the edge of their type's resolution, so that either answer is right."""
    sizes = [float(root(square_norm([m]))) for m in found.means]
    return 0 < max(sizes) < 16 * spacing_of(trial) * size_of(trial)


def _counted(trial: Trial, found: Exact, name: str, value: float, decisions: list[int]) -> list[str]:
    nearest, tied = found.nearest()
    if tied and not trial.exact:
        return []
    if not trial.exact and _nearly_tied(trial, found):
        return []
    if name == "ncc_accuracy":
        expected = np.mean([n == y for n, y in zip(nearest, trial.labels, strict=True)])
    else:
        expected = np.mean([n != c for n, c in zip(nearest, decisions, strict=True)])
    return _compare(name, np.array(value), np.array(expected), 1e-12, 1e-12)


def _nearly_tied(trial: Trial, found: Exact) -> bool:
    """Whether some sample has two means at distances that rounding can exchange."""
    h, mu = trial.ideal(), np.array([[float(x) for x in m] for m in found.means])
    apart = np.sort(np.linalg.norm(h[:, None] - mu, axis=2), axis=1)
    return bool((apart[:, 1] - apart[:, 0] < 16 * spacing_of(trial) * size_of(trial)).any())


def _inner(trial: Trial, found: Exact, nears: tuple[float, float]) -> list[str]:
    h, y = trial.kept(), torch.tensor(trial.labels)
    size = len(y) // 3 + 1  # coordinates are about the mean of the first batch
    batches = [({"h": part}, labels) for part, labels in zip(h.split(size), y.split(size), strict=True)]
    reading = read_classes(lambda: batches, found.K)["h"].statistics
    inner = DualityWeights(torch.tensor(trial.inner, dtype=torch.float64) * trial.weight_scale, False)
    weights = [[Fraction(x) for x in w] for w in trial.inner]
    value = nc3_duality(reading, inner).numpy()
    result = _compare("nc3_duality (inner)", value, _floats(inner_duality(weights, found.centred)), nears[0], nears[0])
    if not _means_vanish_only_by_type(trial, found):
        value = nc3_duality_uncentred(reading, inner).numpy()
        expected = _floats(inner_duality(weights, found.means))
        result += _compare("nc3_duality_uncentred (inner)", value, expected, nears[1], nears[1])
    return result


def _squares(trial: Trial, ideal: list[list[Fraction]]) -> list[str]:
    """Compare the least-squares decomposition: without a penalty at any scale, with one at scale 1."""
    result = []
    weights = [[Fraction(x) for x in w] for w in trial.weights]
    bias = [Fraction(k, 2) for k in range(len(weights))]
    for ridge, scale in ((Fraction(0), trial.scale), (Fraction(1, 16), 1.0)):
        for b in (None, bias):
            h = torch.tensor(trial.ideal() * scale)
            W = torch.tensor([[float(x) / scale for x in w] for w in weights], dtype=torch.float64)
            given = None if b is None else torch.tensor([float(x) for x in b], dtype=torch.float64)
            values = read_least_squares(h, torch.tensor(trial.labels), len(weights), W, given, float(ridge))
            expected = least_squares(ideal, trial.labels, weights, b, ridge)
            for name, value in expected.items():
                line = f"mse {name} (λ={ridge}, scale {scale:g}, {'no ' if b is None else ''}bias)"
                result += _compare(line, getattr(values, name).numpy(), _floats(value), 1e-6, 1e-8)
    return result


def _floats(value) -> np.ndarray:
    if isinstance(value, list):
        return np.array([_floats(item) for item in value])
    return np.array(np.nan if value is None else float(value))


def _compare(name: str, value: np.ndarray, expected: np.ndarray, near: float, above: float) -> list[str]:
    if np.allclose(value, expected, rtol=near, atol=above, equal_nan=True):
        return []
    return [f"{name}: {value.tolist()} for {expected.tolist()}"]
