"""Metrics of collapse in rational arithmetic, and in 50 digits where a root or an eigenvalue is taken.

Rows are lists of `Fraction`; labels are 0 … K-1. None is the value of what is not defined. Nothing of elastic, NumPy or
torch is used.
"""

from __future__ import annotations

from fractions import Fraction

import mpmath

mpmath.mp.dps = 50

Row = list[Fraction]
Rows = list[Row]


def root(value: Fraction) -> mpmath.mpf:
    return mpmath.sqrt(mpmath.mpf(value.numerator) / value.denominator)


def real(value) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpmath.mpf(value)


def dot(a: Row, b: Row) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def minus(a: Row, b: Row) -> Row:
    return [x - y for x, y in zip(a, b, strict=True)]


def mean(rows: Rows) -> Row:
    return [sum(column, Fraction(0)) / len(rows) for column in zip(*rows, strict=True)]


def times(a: Rows, b: Rows) -> Rows:
    return [[dot(row, list(column)) for column in zip(*b, strict=True)] for row in a]


def transposed(a: Rows) -> Rows:
    return [list(column) for column in zip(*a, strict=True)]


def square_norm(rows: Rows) -> Fraction:
    return sum((dot(row, row) for row in rows), Fraction(0))


def reduced(rows: Rows) -> tuple[Rows, list[int]]:
    """Return the rows of the reduced echelon form that are not zero, and the columns of their leading ones."""
    work, pivots = [list(row) for row in rows], []
    for column in range(len(work[0])):
        rank = len(pivots)
        result = next((r for r in range(rank, len(work)) if work[r][column]), None)
        if result is None:
            continue
        work[rank], work[result] = work[result], work[rank]
        lead = work[rank][column]
        work[rank] = [x / lead for x in work[rank]]
        for r in range(len(work)):
            if r != rank and work[r][column]:
                factor = work[r][column]
                work[r] = [x - factor * y for x, y in zip(work[r], work[rank], strict=True)]
        pivots.append(column)
    return work[: len(pivots)], pivots


def inverse(matrix: Rows) -> Rows:
    size = len(matrix)
    unit = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    rows, pivots = reduced([row + one for row, one in zip(matrix, unit, strict=True)])
    assert pivots == list(range(size)), "singular"
    return [row[size:] for row in rows]


def factors(rows: Rows) -> tuple[Rows, Rows]:
    """Return C [n, r] and F [r, d] of full rank with rows = C F."""
    f, pivots = reduced(rows)
    return [[row[p] for p in pivots] for row in rows], f


def inverse_scatter(rows: Rows, weights: Row) -> Rows | None:
    """Return the pseudo-inverse of Σ_k w_k row_kᵀ row_k, (Fᵀ S F)⁺ = F⁺ S⁻¹ F⁺ᵀ with rows = C F, S = Cᵀ diag(w) C."""
    if not square_norm(rows):
        return None
    c, f = factors(rows)
    s = times(transposed(c), [[w * x for x in row] for w, row in zip(weights, c, strict=True)])
    right = times(transposed(f), inverse(times(f, transposed(f))))  # F⁺ [d, r]
    return times(times(right, inverse(s)), transposed(right))


def singular_values(rows: Rows) -> list[mpmath.mpf]:
    """Return the K singular values of K rows, in descending order."""
    gram = mpmath.matrix([[real(x) for x in row] for row in times(rows, transposed(rows))])
    values = mpmath.eigsy(gram, eigvals_only=True)
    return sorted((mpmath.sqrt(max(v, mpmath.mpf(0))) for v in values), reverse=True)


class Exact:
    """Everything that is measured of rows h [N][d] with labels, and of weights W [K][d]."""

    def __init__(self, rows: Rows, labels: list[int], weights: Rows) -> None:
        self.rows, self.labels, self.weights = rows, labels, weights
        self.K, self.N = max(labels) + 1, len(labels)
        self.members = [[row for row, y in zip(rows, labels, strict=True) if y == k] for k in range(self.K)]
        self.means = [mean(rows) for rows in self.members]
        centre = mean(self.means)
        self.centred = [minus(mu, centre) for mu in self.means]
        self.residuals = [minus(row, self.means[y]) for row, y in zip(rows, labels, strict=True)]
        self.variances = [
            square_norm([minus(row, self.means[k]) for row in rows]) / len(rows) for k, rows in enumerate(self.members)
        ]
        self.counts = [Fraction(len(rows)) for rows in self.members]

    def square_distances(self) -> Rows:
        return [[square_norm([minus(a, b)]) for b in self.means] for a in self.means]

    def _ratio(self, rows: Rows, weights: Row):
        scatter = inverse_scatter(rows, weights)
        if scatter is None:
            return None
        return sum((dot(z, [dot(z, row) for row in scatter]) for z in self.residuals), Fraction(0)) / self.N

    def nc1(self):
        return self._ratio(self.centred, [Fraction(1)] * self.K)

    def fuzziness(self):
        centre = mean(self.rows)
        return self._ratio([minus(mu, centre) for mu in self.means], [n / self.N for n in self.counts])

    def within_between_ratio(self):
        between = square_norm(self.centred) / self.K
        return square_norm(self.residuals) / self.N / between if between else None

    def within_variance(self):
        return self.variances

    def cdnv(self):
        v, d = self.variances, self.square_distances()
        return [[(v[j] + v[k]) / (2 * d[j][k]) if d[j][k] else None for k in range(self.K)] for j in range(self.K)]

    def cdnv_mean(self):
        pairs = [self.cdnv()[j][k] for j in range(self.K) for k in range(self.K) if j != k]
        return None if None in pairs else sum(pairs, Fraction(0)) / len(pairs)

    def class_mean_norm(self):
        return [root(dot(m, m)) for m in self.centred]

    def class_cosine(self):
        return cosines(self.centred)

    def nc2_equiangle(self):
        collected = [self.class_cosine()[j][k] for j in range(self.K) for k in range(self.K) if j != k]
        if None in collected:
            return None
        return sum(abs(c + mpmath.mpf(1) / (self.K - 1)) for c in collected) / len(collected)

    def nc2_equinorm(self):
        return variation(self.class_mean_norm())

    def nc2_etf_error(self):
        return from_frame(self.centred, self.K - 1)

    def orthogonal_frame_error(self):
        return from_frame(self.means, self.K)

    def class_mean_spectrum(self):
        return singular_values(self.means)

    def class_mean_spectrum_centred(self):
        return singular_values(self.centred)

    def class_mean_rank(self):
        return Fraction(len(reduced(self.centred)[1]))

    def nc3_duality(self):
        return duality(self.weights, self.centred)

    def nc3_duality_uncentred(self):
        return duality(self.weights, self.means)

    def classifier_cosine(self):
        return cosines(self.weights)

    def nc2_classifier_equinorm(self):
        return variation([root(dot(w, w)) for w in self.weights])

    def classifier_frame_error(self):
        return from_frame(self.weights, self.K)

    def nc1_sample_weighted(self):
        value = self.fuzziness()
        return None if value is None else value / self.K

    def nc2_classifier_etf_error(self):
        return from_simplex(times(self.weights, transposed(self.weights)))

    def nc3_simplex_error(self):
        return from_simplex(times(self.weights, transposed(self.centred)))

    def centre_logit_norm(self):
        centre = mean(self.means)
        logits = [dot(w, centre) for w in self.weights]
        return root(dot(logits, logits))

    def nearest(self) -> tuple[list[int], bool]:
        """Return the first of the nearest class means of each sample, and whether two are as near anywhere."""
        squares = [[square_norm([minus(row, mu)]) for mu in self.means] for row in self.rows]
        return [d.index(min(d)) for d in squares], any(d.count(min(d)) > 1 for d in squares)


def cosines(rows: Rows):
    squares = [dot(row, row) for row in rows]

    def cosine(j: int, k: int):
        return real(dot(rows[j], rows[k])) / root(squares[j] * squares[k]) if squares[j] * squares[k] else None

    return [[cosine(j, k) for k in range(len(rows))] for j in range(len(rows))]


def variation(norms: list[mpmath.mpf]):
    middle = sum(norms) / len(norms)
    if not middle:
        return None
    return mpmath.sqrt(sum((norm - middle) ** 2 for norm in norms) / (len(norms) - 1)) / middle


def from_frame(rows: Rows, size: int):
    """Return ‖G/‖G‖ - P/√size‖ of the Gram matrix G and a projection P of rank ``size`` with tr GP = tr G."""
    gram = times(rows, transposed(rows))
    if not square_norm(gram):
        return None
    cosine = real(sum(gram[k][k] for k in range(len(gram)))) / (root(square_norm(gram)) * mpmath.sqrt(size))
    return mpmath.sqrt(max(2 - 2 * cosine, mpmath.mpf(0)))


def from_simplex(matrix: Rows):
    """Return ‖Z/‖Z‖ - P/√(K-1)‖ of a square matrix Z and the projection P = I - 11ᵀ/K."""
    if not square_norm(matrix):
        return None
    K = len(matrix)
    along = sum((matrix[k][k] for k in range(K)), Fraction(0)) - sum(map(sum, matrix), Fraction(0)) / K
    return mpmath.sqrt(max(2 - 2 * real(along) / (root(square_norm(matrix)) * mpmath.sqrt(K - 1)), mpmath.mpf(0)))


def duality(weights: Rows, means: Rows):
    """Return ‖W/‖W‖ - M/‖M‖‖², for the classifier."""
    if not square_norm(weights) or not square_norm(means):
        return None
    inner = sum((dot(w, m) for w, m in zip(weights, means, strict=True)), Fraction(0))
    return 2 - 2 * real(inner) / root(square_norm(weights) * square_norm(means))


def inner_duality(weights: Rows, means: Rows):
    """Return 2 - 2‖WMᵀ‖_*/(‖W‖‖M‖), for the weights [d', d] of an inner layer."""
    if not square_norm(weights) or not square_norm(means):
        return None
    nuclear = sum(singular_values(times(weights, transposed(means))))
    return 2 - 2 * nuclear / root(square_norm(weights) * square_norm(means))


def least_squares(
    rows: Rows, labels: list[int], weights: Rows, bias: Row | None, ridge: Fraction
) -> dict[str, Fraction]:
    """Return the parts of ½ mean ‖Wh + b - e‖² + (λ/2)‖[W, b]‖², the bias being the last column of W."""
    K, N = max(labels) + 1, len(rows)
    x = [[*row, Fraction(1)] for row in rows] if bias is not None else rows
    W = [[*w, b] for w, b in zip(weights, bias, strict=True)] if bias is not None else weights
    Y = [[Fraction(int(y == k)) for k in range(K)] for y in labels]
    if ridge:
        size = len(x[0])
        normal = times(transposed(x), x)
        normal = [[normal[i][j] + (N * ridge if i == j else 0) for j in range(size)] for i in range(size)]
        best = transposed(times(inverse(normal), times(transposed(x), Y)))
        results, penalty = times(x, transposed(best)), ridge / 2 * square_norm(best)
        apart = ridge / 2 * square_norm([minus(a, b) for a, b in zip(W, best, strict=True)])
    else:
        c, _ = factors(x) if square_norm(x) else ([[Fraction(0)]] * N, None)
        results = times(c, times(inverse(times(transposed(c), c)), times(transposed(c), Y))) if square_norm(x) else Y
        results = results if square_norm(x) else [[Fraction(0)] * K for _ in Y]
        penalty = apart = Fraction(0)
    means = [mean([row for row, y in zip(results, labels, strict=True) if y == k]) for k in range(K)]

    def half_mean(first: Rows, second: Rows) -> Fraction:
        return square_norm([minus(a, b) for a, b in zip(first, second, strict=True)]) / (2 * N)

    return {
        "optimum": half_mean(results, Y) + penalty,
        "perpendicular": half_mean(times(x, transposed(W)), results) + apart,
        "nc1": half_mean(results, [means[y] for y in labels]) + penalty,
        "nc23": half_mean([means[y] for y in labels], Y),
    }
