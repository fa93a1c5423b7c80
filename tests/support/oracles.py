"""Slow twins: what elastic computes, again, in plain float64 loops and in the words of the papers.

They build every matrix that a definition names (d×d scatters, pseudo-inverses) and are only meant for small
arrays. An oracle is named as its metric, and its parameters are the fields of a case in `cases` that it needs.
"""

from __future__ import annotations

import copy
import itertools

import numpy as np
import torch

from support import oracles_of_errors as errors

# ---------------------------------------------------------------------------------------------------------------
# Collapse: features [N, …], labels [N] in 0..K-1, weights [K, d] and bias [K] of the classifier
# ---------------------------------------------------------------------------------------------------------------


def rows_of(features):
    """Every sample as one float64 vector."""
    return np.stack([np.ravel(np.asarray(h)).astype(np.float64) for h in features])


def class_means(features, labels):
    h = rows_of(features)
    return np.stack([np.mean([h[i] for i in range(len(h)) if labels[i] == k], axis=0) for k in range(max(labels) + 1)])


def within_scatter(features, labels):
    """Σ_W = (1/N) Σ_i (h_i - μ_k(i))(h_i - μ_k(i))ᵀ."""
    h, mu = rows_of(features), class_means(features, labels)
    sigma = np.zeros((h.shape[1], h.shape[1]))
    for i in range(len(h)):
        z = h[i] - mu[labels[i]]
        sigma += np.outer(z, z) / len(h)
    return sigma


def between_scatter(features, labels):
    """Σ_B = (1/K) Σ_k (μ_k - μ_G)(μ_k - μ_G)ᵀ with μ_G the mean of the class means."""
    mu = class_means(features, labels)
    centre = np.mean(mu, axis=0)
    return sum(np.outer(m - centre, m - centre) for m in mu) / len(mu)


def between_sum_of_squares(features, labels):
    """SS_B = (1/N) Σ_k n_k (x̄_k - x̄)(x̄_k - x̄)ᵀ with x̄ the mean of all samples."""
    h, mu = rows_of(features), class_means(features, labels)
    centre = np.mean(h, axis=0)
    counts = [sum(1 for y in labels if y == k) for k in range(len(mu))]
    return sum(n * np.outer(m - centre, m - centre) for n, m in zip(counts, mu, strict=True)) / len(h)


def nc1(features, labels):
    sigma_b = between_scatter(features, labels)
    return np.trace(within_scatter(features, labels) @ np.linalg.pinv(sigma_b, rcond=1e-11)) / (max(labels) + 1)


def fuzziness(features, labels):
    ss_b = between_sum_of_squares(features, labels)
    return np.trace(within_scatter(features, labels) @ np.linalg.pinv(ss_b, rcond=1e-11))


def within_between_ratio(features, labels):
    return np.trace(within_scatter(features, labels)) / np.trace(between_scatter(features, labels))


def within_variance(features, labels):
    h, mu = rows_of(features), class_means(features, labels)
    return np.array(
        [np.mean([np.sum((h[i] - mu[k]) ** 2) for i in range(len(h)) if labels[i] == k]) for k in range(len(mu))]
    )


def cdnv(features, labels):
    mu, v = class_means(features, labels), within_variance(features, labels)
    K = len(mu)
    value = np.full((K, K), np.nan)
    for j in range(K):
        for k in range(K):
            if j != k:
                value[j, k] = (v[j] + v[k]) / (2 * np.sum((mu[j] - mu[k]) ** 2))
    return value


def cdnv_mean(features, labels):
    value = cdnv(features, labels)
    return np.mean([value[j, k] for j in range(len(value)) for k in range(len(value)) if j != k])


def centred_means(features, labels):
    mu = class_means(features, labels)
    return mu - np.mean(mu, axis=0)


def class_mean_norm(features, labels):
    return np.array([np.sqrt(m @ m) for m in centred_means(features, labels)])


def class_cosine(features, labels):
    m = centred_means(features, labels)
    return np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in m] for a in m])


def classifier_cosine(weights):
    rows = rows_of(weights)
    return np.array([[a @ b / np.sqrt((a @ a) * (b @ b)) for b in rows] for a in rows])


def class_mean_rank(features, labels):
    return float(np.linalg.matrix_rank(centred_means(features, labels), rtol=1e-7))


def singular_values_of(rows):
    """K of them for K rows: those of the square matrix that rows or columns of zeros make of it."""
    K, d = rows.shape
    square = np.zeros((max(K, d), max(K, d)))
    square[:K, :d] = rows
    return np.linalg.svd(square, compute_uv=False)[:K]


def class_mean_spectrum(features, labels):
    return singular_values_of(class_means(features, labels))


def class_mean_spectrum_centred(features, labels):
    return singular_values_of(centred_means(features, labels))


def nc2_equinorm(features, labels):
    norms = class_mean_norm(features, labels)
    return np.std(norms, ddof=1) / np.mean(norms)


def nc2_classifier_equinorm(weights):
    norms = [np.sqrt(w @ w) for w in rows_of(weights)]
    return np.std(norms, ddof=1) / np.mean(norms)


def nc2_equiangle(features, labels):
    cosine = class_cosine(features, labels)
    K = len(cosine)
    return np.mean([abs(cosine[j, k] + 1 / (K - 1)) for j in range(K) for k in range(K) if j != k])


def nc2_etf_error(features, labels):
    M = centred_means(features, labels).T
    K = M.shape[1]
    gram = M.T @ M
    etf = (np.eye(K) - np.ones((K, K)) / K) / np.sqrt(K - 1)
    return np.linalg.norm(gram / np.linalg.norm(gram) - etf)


def nc3_duality(features, labels, weights):
    W, M = rows_of(weights), centred_means(features, labels)
    return np.linalg.norm(W / np.linalg.norm(W) - M / np.linalg.norm(M)) ** 2


def nc3_duality_inner(features, labels, next_weights):
    """Orthogonal Procrustes, with the minimiser Q written out: min_Q ‖W/‖W‖ - Q M/‖M‖‖², QᵀQ = I."""
    W, M = rows_of(next_weights), centred_means(features, labels)
    W, M = W / np.linalg.norm(W), M / np.linalg.norm(M)
    W = np.vstack([W, np.zeros((max(0, len(M) - len(W)), W.shape[1]))])
    P, _, Rt = np.linalg.svd(W @ M.T, full_matrices=False)
    return np.linalg.norm(W - (P @ Rt) @ M) ** 2


def nc3_duality_uncentred(features, labels, weights):
    W, M = rows_of(weights), class_means(features, labels)
    return np.linalg.norm(W / np.linalg.norm(W) - M / np.linalg.norm(M)) ** 2


def from_identity(rows):
    gram = np.array([[a @ b for b in rows] for a in rows])
    return np.linalg.norm(gram / np.linalg.norm(gram) - np.eye(len(rows)) / np.sqrt(len(rows)))


def orthogonal_frame_error(features, labels):
    return from_identity(class_means(features, labels))


def classifier_frame_error(weights):
    return from_identity(rows_of(weights))


def nearest_class_means(features, labels):
    mu = class_means(features, labels)
    return [int(np.argmin([np.sum((h - m) ** 2) for m in mu])) for h in rows_of(features)]


def network_decisions(features, weights, bias):
    W, b = rows_of(weights), 0.0 if bias is None else np.asarray(bias, dtype=np.float64)
    return [int(np.argmax(W @ h + b)) for h in rows_of(features)]


def nc4_mismatch(features, labels, weights, bias):
    nearest, decided = nearest_class_means(features, labels), network_decisions(features, weights, bias)
    return np.mean([a != b for a, b in zip(nearest, decided, strict=True)])


def ncc_accuracy(features, labels):
    return np.mean([a == y for a, y in zip(nearest_class_means(features, labels), labels, strict=True)])


def extended(features, weights, bias):
    """Features with a last entry 1, weights with the bias as last column (as they are if there is no bias)."""
    h, W = rows_of(features), rows_of(weights)
    if bias is None:
        return h, W
    b = np.asarray(bias, dtype=np.float64)
    return np.hstack([h, np.ones((len(h), 1))]), np.hstack([W, b[:, None]])


def ridge_solution(features, labels, weights, bias, ridge):
    """W_LS by the normal equations Σ_T̃ + λI; by `lstsq` (least norm) where there is no ridge."""
    h, W = extended(features, weights, bias)
    Y = np.eye(len(W))[labels]
    if ridge == 0:
        return np.linalg.lstsq(h, Y, rcond=None)[0].T
    return np.linalg.solve(h.T @ h / len(h) + ridge * np.eye(h.shape[1]), h.T @ Y / len(h)).T


def mse_loss(features, labels, weights, bias, ridge):
    """½ mean ‖Wh + b - e_y‖² + (λ/2)‖[W, b]‖²."""
    h, W = extended(features, weights, bias)
    errors = [np.sum((W @ h[i] - np.eye(len(W))[labels[i]]) ** 2) for i in range(len(h))]
    return np.mean(errors) / 2 + ridge / 2 * np.sum(W**2)


def mse_least_squares(features, labels, weights, bias, ridge):
    W = ridge_solution(features, labels, weights, bias, ridge)
    if bias is None:
        return mse_loss(features, labels, W, None, ridge)
    return mse_loss(features, labels, W[:, :-1], W[:, -1], ridge)


def mse_perpendicular(features, labels, weights, bias, ridge):
    """½ tr (W - W_LS)(Σ_T̃ + λI)(W - W_LS)ᵀ."""
    h, W = extended(features, weights, bias)
    away = W - ridge_solution(features, labels, weights, bias, ridge)
    return np.trace(away @ (h.T @ h / len(h) + ridge * np.eye(h.shape[1])) @ away.T) / 2


def mse_nc1(features, labels, weights, bias, ridge):
    """½ tr W_LS (Σ_W + λI) W_LSᵀ."""
    h, _ = extended(features, weights, bias)
    W = ridge_solution(features, labels, weights, bias, ridge)
    return np.trace(W @ (within_scatter(h, labels) + ridge * np.eye(h.shape[1])) @ W.T) / 2


def mse_nc23(features, labels, weights, bias, ridge):
    """½ Σ_k (n_k/N) ‖W_LS μ̃_k - e_k‖²."""
    h, _ = extended(features, weights, bias)
    W = ridge_solution(features, labels, weights, bias, ridge)
    errors = [np.sum((W @ m - e) ** 2) for m, e in zip(class_means(h, labels), np.eye(len(W)), strict=True)]
    return np.bincount(labels) / len(labels) @ errors / 2


# ---------------------------------------------------------------------------------------------------------------
# Losses of features
# ---------------------------------------------------------------------------------------------------------------


def supervised_contrastive(features, labels, temperature):
    """-1/|P(i)| Σ_p log(exp(u_i·u_p/τ) / Σ_{a≠i} exp(u_i·u_a/τ)) of each sample i, 0 where it has no positive p."""
    u = [h / np.sqrt(h @ h) for h in rows_of(features)]
    values = []
    for i in range(len(u)):
        others = [a for a in range(len(u)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        total = sum(np.exp(u[i] @ u[a] / temperature) for a in others)
        terms = [np.log(np.exp(u[i] @ u[p] / temperature) / total) for p in positives]
        values.append(-sum(terms) / len(terms) if terms else 0.0)
    return np.array(values)


def supervised_contrastive_gradient(features, labels, temperature, step=1e-5):
    """∂(Σ_i ℓ_i)/∂h, by central differences of one feature after the other."""
    h = rows_of(features)
    slopes = np.zeros_like(h)
    for place in np.ndindex(*h.shape):
        moved = np.zeros_like(h)
        moved[place] = step
        up, down = (supervised_contrastive(h + sign * moved, labels, temperature).sum() for sign in (1, -1))
        slopes[place] = (up - down) / (2 * step)
    return slopes


# ---------------------------------------------------------------------------------------------------------------
# Elasticity: a step on sample a of class j, seen by sample m of class k, in one layer.
#
# moved[a][m] is the movement Δ(m;a) of m's features per unit learning rate, own[a] the movement Δ(a;a) of the
# stepped sample itself, features[m] the features before the step, same(a, m) whether a and m are one sample.
# ---------------------------------------------------------------------------------------------------------------


def share_gradient(model, read, per_sample_loss, inputs, labels, a):
    """∇ℓ(a): of the batch's Σ_i ℓ_i by the parameters, as far as they act on a's features in the layer ``read``."""
    features = model.taps(inputs)[read].flatten(1)
    held = torch.stack([h if i == a else h.detach() for i, h in enumerate(features)])
    loss = per_sample_loss(held, labels).sum()
    return torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)


def first_order_movement(model, layer, gradient, observed):
    """Δ(m;a) = -∂h(m)/∂θ · ∇ℓ(a), one feature after the other, each by its own backward pass."""
    parameters = list(model.parameters())
    features = model.taps(observed[None])[layer].flatten()
    moved = []
    for feature in features:
        slope = torch.autograd.grad(feature, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        moved.append(-sum(float((s * g).sum()) for s, g in zip(slope, gradient, strict=True)))
    return np.array(moved)


def finite_movement(model, layer, gradient, observed, lr):
    """(h(m; θ - η∇ℓ(a)) - h(m; θ))/η: copy the model, take the SGD step, run forward, subtract."""
    copied = copy.deepcopy(model)
    optimizer = torch.optim.SGD(copied.parameters(), lr=lr)
    for parameter, g in zip(copied.parameters(), gradient, strict=True):
        parameter.grad = g.clone()
    optimizer.step()
    with torch.no_grad():
        after = copied.taps(observed[None])[layer].flatten()
        before = model.taps(observed[None])[layer].flatten()
    return ((after - before) / lr).numpy()


def pairs_of(j, k, stepped, observed, same):
    return [
        (a, m)
        for a in range(len(stepped))
        for m in range(len(observed))
        if stepped[a] == j and observed[m] == k and not same(a, m)
    ]


def class_by_class(value, classes):
    return np.array([[value(j, k) for k in range(classes)] for j in range(classes)])


def steps_on(j, stepped):
    return [a for a in range(len(stepped)) if stepped[a] == j]


def response(moved, stepped, observed, same, classes):
    def mean(j, k):
        return np.mean([np.linalg.norm(moved[a][m]) for a, m in pairs_of(j, k, stepped, observed, same)])

    return class_by_class(mean, classes)


def response_stderr_clustered(moved, stepped, observed, same, classes):
    """Two-way clustered variance of the mean over pairs: by stepped sample, by observed sample, less by pair."""

    def stderr(j, k):
        pairs = pairs_of(j, k, stepped, observed, same)
        values = {pair: np.linalg.norm(moved[pair[0]][pair[1]]) for pair in pairs}
        mean = np.mean(list(values.values()))

        def clustered(clusters):
            count = len(set(clusters.values()))
            if count < 2:
                return np.nan
            sums = [sum(values[p] - mean for p in pairs if clusters[p] == c) for c in set(clusters.values())]
            return count / (count - 1) * sum(s**2 for s in sums)

        by_stepped = clustered({pair: pair[0] for pair in pairs})
        by_observed = clustered({pair: pair[1] for pair in pairs})
        by_pair = clustered({pair: pair for pair in pairs})
        both = by_stepped + by_observed - by_pair
        return np.sqrt(np.maximum(both, np.maximum(by_stepped, by_observed))) / len(pairs)

    return class_by_class(stderr, classes)


def self_response(own, stepped, classes):
    return np.array([np.mean([np.linalg.norm(own[a]) for a in steps_on(j, stepped)]) for j in range(classes)])


def self_response_squared(own, stepped, classes):
    return np.array([np.mean([np.linalg.norm(own[a]) ** 2 for a in steps_on(j, stepped)]) for j in range(classes)])


def relative_similarity(moved, own, stepped, observed, same, classes):
    R, own_R = response(moved, stepped, observed, same, classes), self_response(own, stepped, classes)
    return class_by_class(lambda j, k: R[j, k] / own_R[j], classes)


def response_product(moved, own, stepped, observed, same, classes):
    def mean(j, k):
        return np.mean([moved[a][m] @ own[a] for a, m in pairs_of(j, k, stepped, observed, same)])

    return class_by_class(mean, classes)


def kernel_similarity(moved, own, stepped, observed, same, classes):
    P = response_product(moved, own, stepped, observed, same, classes)
    own_P = self_response_squared(own, stepped, classes)
    return class_by_class(lambda j, k: P[j, k] / own_P[j], classes)


def shift_of_mean(moved, a, k, observed, same):
    """Movement of the mean of class k's observed samples under the step on a."""
    return np.mean([moved[a][m] for m in range(len(observed)) if observed[m] == k and not same(a, m)], axis=0)


def mean_shift(moved, stepped, observed, same, classes):
    def mean(j, k):
        return np.mean([np.linalg.norm(shift_of_mean(moved, a, k, observed, same)) for a in steps_on(j, stepped)])

    return class_by_class(mean, classes)


def mean_shift_alignment(moved, features, stepped, observed, same, classes):
    mu = class_means(features, observed)
    outwards = [(m - mu.mean(axis=0)) / np.linalg.norm(m - mu.mean(axis=0)) for m in mu]
    length = mean_shift(moved, stepped, observed, same, classes)

    def cosine(j, k):
        along = [shift_of_mean(moved, a, k, observed, same) @ outwards[k] for a in steps_on(j, stepped)]
        return np.mean(along) / length[j, k]

    return class_by_class(cosine, classes)


def within_sensitivity(moved, features, stepped, observed, same, classes):
    """d/dη of the variance of class k's observed samples (less the stepped one), by the product rule."""

    def derivative(a, k):
        members = [m for m in range(len(observed)) if observed[m] == k and not same(a, m)]
        mu, shift = np.mean([features[m] for m in members], axis=0), np.mean([moved[a][m] for m in members], axis=0)
        return np.mean([2 * (features[m] - mu) @ (moved[a][m] - shift) for m in members])

    return class_by_class(lambda j, k: np.mean([derivative(a, k) for a in steps_on(j, stepped)]), classes)


def within_sensitivity_relative(moved, features, stepped, observed, same, classes, loss_rates):
    """Relative change of that variance per unit decrease of the stepped sample's loss."""

    def relative(a, k):
        members = [m for m in range(len(observed)) if observed[m] == k and not same(a, m)]
        mu, shift = np.mean([features[m] for m in members], axis=0), np.mean([moved[a][m] for m in members], axis=0)
        variance = np.mean([(features[m] - mu) @ (features[m] - mu) for m in members])
        return np.mean([2 * (features[m] - mu) @ (moved[a][m] - shift) for m in members]) / variance

    def ratio(j, k):
        steps = steps_on(j, stepped)
        return np.mean([relative(a, k) for a in steps]) / np.mean([loss_rates[a] for a in steps])

    return class_by_class(ratio, classes)


def loss_rate(gradient):
    """Decrease of the loss per unit learning rate by a's movement: ‖∇ℓ(a)‖²."""
    return sum(float(g.square().sum()) for g in gradient)


def probe_error(checked):
    return checked["error"]


def probe_engine(checked):
    return checked["engine"]


def stepped_samples(stepped, classes):
    return np.array([float(len(steps_on(j, stepped))) for j in range(classes)])


def observed_samples(observed, classes):
    return np.array([float(len([m for m in observed if m == k])) for k in range(classes)])


def locality(moved, own, stepped, observed, same, classes):
    S = relative_similarity(moved, own, stepped, observed, same, classes)
    within = np.mean([S[j, j] for j in range(classes)])
    between = np.mean([S[j, k] for j in range(classes) for k in range(classes) if j != k])
    return within / between


def response_lower(moved, own, stepped, observed, same, classes):
    pairs = errors.Pairs(moved, own, stepped, observed, same, classes)
    return errors.ends(pairs, errors.Pairs.response, errors.nothing)[0]


def response_stderr(moved, own, stepped, observed, same, classes):
    pairs = errors.Pairs(moved, own, stepped, observed, same, classes)
    return errors.ends(pairs, errors.Pairs.response, errors.nothing)[1]


def response_upper(moved, own, stepped, observed, same, classes):
    pairs = errors.Pairs(moved, own, stepped, observed, same, classes)
    return errors.ends(pairs, errors.Pairs.response, errors.nothing)[2]


def relative_similarity_lower(moved, own, stepped, observed, same, classes):
    pairs = errors.Pairs(moved, own, stepped, observed, same, classes)
    return errors.ends(pairs, errors.Pairs.similarity, errors.own_excess)[0]


def relative_similarity_stderr(moved, own, stepped, observed, same, classes):
    pairs = errors.Pairs(moved, own, stepped, observed, same, classes)
    return errors.ends(pairs, errors.Pairs.similarity, errors.own_excess)[1]


def relative_similarity_upper(moved, own, stepped, observed, same, classes):
    pairs = errors.Pairs(moved, own, stepped, observed, same, classes)
    return errors.ends(pairs, errors.Pairs.similarity, errors.own_excess)[2]


def locality_lower(moved, own, stepped, observed, same, classes):
    return errors.locality_ends(errors.Pairs(moved, own, stepped, observed, same, classes))[0]


def locality_corrected(moved, own, stepped, observed, same, classes):
    return errors.locality_ends(errors.Pairs(moved, own, stepped, observed, same, classes))[1]


def locality_upper(moved, own, stepped, observed, same, classes):
    return errors.locality_ends(errors.Pairs(moved, own, stepped, observed, same, classes))[2]


def locality_stderr(moved, own, stepped, observed, same, classes):
    value = locality(moved, own, stepped, observed, same, classes)
    low, _, high = errors.locality_ends(errors.Pairs(moved, own, stepped, observed, same, classes))
    return max(high - value, value - low) / 2


def effective_samples(own, stepped, classes):
    """1 / Σ of squared shares."""
    norms = [[np.linalg.norm(own[a]) for a in steps_on(j, stepped)] for j in range(classes)]
    return np.array([1 / sum((norm / sum(of_class)) ** 2 for norm in of_class) for of_class in norms])


def relative_similarity_per_sample(moved, own, stepped, observed, same, classes):
    def mean(j, k):
        pairs = pairs_of(j, k, stepped, observed, same)
        return np.mean([np.linalg.norm(moved[a][m]) / np.linalg.norm(own[a]) for a, m in pairs])

    return class_by_class(mean, classes)


def locality_per_sample(moved, own, stepped, observed, same, classes):
    S = relative_similarity_per_sample(moved, own, stepped, observed, same, classes)
    between = [S[j, k] for j in range(classes) for k in range(classes) if j != k]
    return np.mean(np.diag(S)) / np.mean(between)


def geodesic_correlation(moved, own, stepped, observed, same, classes, distances):
    def of_class(j):
        pairs = [(a, m) for a in steps_on(j, stepped) for m in range(len(observed)) if observed[m] == j]
        pairs = [(a, m) for a, m in pairs if not same(a, m)]
        if len(pairs) < 3:
            return np.nan
        similarity = [np.linalg.norm(moved[a][m]) / np.linalg.norm(own[a]) for a, m in pairs]
        return np.corrcoef(similarity, [distances[a][m] for a, m in pairs])[0, 1]

    return np.array([of_class(j) for j in range(classes)])


def pair_effect(moved, own, loss_rates, a, m):
    """How far m moves along a's own movement, per unit by which the loss's gradient moves along it."""
    return moved[a][m] @ own[a] / loss_rates[a]


def class_effect(moved, own, stepped, observed, same, classes, loss_rates):
    def effect(j, k):
        return np.mean(
            [
                np.mean(
                    [
                        pair_effect(moved, own, loss_rates, a, m)
                        for m in range(len(observed))
                        if observed[m] == k and not same(a, m)
                    ]
                )
                for a in steps_on(j, stepped)
            ]
        )

    return class_by_class(effect, classes)


def intra_class_effect(moved, own, stepped, observed, same, classes, loss_rates):
    E = class_effect(moved, own, stepped, observed, same, classes, loss_rates)
    return np.mean([E[k, k] for k in range(classes)])


def inter_class_effect(moved, own, stepped, observed, same, classes, loss_rates):
    E = class_effect(moved, own, stepped, observed, same, classes, loss_rates)
    return np.mean([E[j, k] for j in range(classes) for k in range(classes) if j != k])


def separation_rate(moved, own, stepped, observed, same, classes, loss_rates):
    alpha = intra_class_effect(moved, own, stepped, observed, same, classes, loss_rates)
    beta = inter_class_effect(moved, own, stepped, observed, same, classes, loss_rates)
    uniform = [[alpha if j == k else beta for k in range(classes)] for j in range(classes)]
    return min(np.linalg.eigvalsh(uniform))


def share_next_to_their_own(similarity, stepped, observed, same):
    right = []
    for m in range(len(observed)):
        nearest = max((a for a in range(len(stepped)) if not same(a, m)), key=lambda a: similarity(a, m))
        right.append(stepped[nearest] == observed[m])
    return np.mean(right)


def relative_neighbour_accuracy(moved, own, stepped, observed, same):
    def similarity(a, m):
        return np.linalg.norm(moved[a][m]) / np.linalg.norm(own[a])

    return share_next_to_their_own(similarity, stepped, observed, same)


def kernel_neighbour_accuracy(moved, own, stepped, observed, same, loss_rates):
    def similarity(a, m):
        return pair_effect(moved, own, loss_rates, a, m)

    return share_next_to_their_own(similarity, stepped, observed, same)


# Fine classes: the observed samples are told as classes, and each has a fine class within it. ``among`` is the
# movement of every observed sample under a step on every one of them, and the loss rates of those steps.


def of_each_class(value, observed, fine, classes):
    """value(members) of each class, NaN where its members are of one fine class."""
    members = [[m for m in range(len(observed)) if observed[m] == k] for k in range(classes)]
    return np.array([value(own) if len({fine[m] for m in own}) > 1 else np.nan for own in members])


def best_clusters(gram, count):
    """The partition with the least Σ_clusters Σ ‖x - mean‖², of all that there are, from inner products alone."""

    def spread(partition):
        total = 0.0
        for c in set(partition):
            own = [i for i in range(len(gram)) if partition[i] == c]
            total += sum(gram[i, i] for i in own) - sum(gram[i, j] for i in own for j in own) / len(own)
        return total

    return min(itertools.product(range(count), repeat=len(gram)), key=spread)


def best_named(partition, labels):
    names = sorted(set(labels))
    return max(
        np.mean([naming[c] == y for c, y in zip(partition, labels, strict=True)])
        for naming in itertools.permutations(names)
    )


def clusters_right(similarity, own, fine):
    """Share of the class's samples in the right one of the best clusters of the kernel nearest to (S + Sᵀ)/2."""
    matrix = np.array([[(similarity(a, m) + similarity(m, a)) / 2 for m in own] for a in own])
    values, vectors = np.linalg.eigh(matrix)
    kernel = sum(max(value, 0) * np.outer(v, v) for value, v in zip(values, vectors.T, strict=True))
    labels = [fine[m] for m in own]
    return best_named(best_clusters(kernel, len(set(labels))), labels)


def neighbours_right(similarity, own, fine):
    def nearest(m):
        return max((a for a in own if a != m), key=lambda a: similarity(a, m))

    return np.mean([fine[nearest(m)] == fine[m] for m in own])


def relative_to_own(among):
    moved, _ = among
    return lambda a, m: np.linalg.norm(moved[a][m]) / np.linalg.norm(moved[a][a])


def kernelised(among):
    moved, loss_rates = among
    return lambda a, m: moved[a][m] @ moved[a][a] / loss_rates[a]


def relative_fine_clustering_accuracy(among, observed, fine, classes):
    similarity = relative_to_own(among)
    return of_each_class(lambda own: clusters_right(similarity, own, fine), observed, fine, classes)


def kernel_fine_clustering_accuracy(among, observed, fine, classes):
    similarity = kernelised(among)
    return of_each_class(lambda own: clusters_right(similarity, own, fine), observed, fine, classes)


def relative_fine_neighbour_accuracy(among, observed, fine, classes):
    similarity = relative_to_own(among)
    return of_each_class(lambda own: neighbours_right(similarity, own, fine), observed, fine, classes)


def kernel_fine_neighbour_accuracy(among, observed, fine, classes):
    similarity = kernelised(among)
    return of_each_class(lambda own: neighbours_right(similarity, own, fine), observed, fine, classes)


def fine_locality(among, observed, fine, classes):
    moved, _ = among

    def of_class(own):
        names = sorted({fine[m] for m in own})

        def similarity(f, g):
            pairs = [(a, m) for a in own for m in own if fine[a] == f and fine[m] == g and a != m]
            steps = [a for a in own if fine[a] == f]
            return np.mean([np.linalg.norm(moved[a][m]) for a, m in pairs] or [np.nan]) / np.mean(
                [np.linalg.norm(moved[a][a]) for a in steps]
            )

        within = np.nanmean([similarity(f, f) for f in names])
        return within / np.mean([similarity(f, g) for f in names for g in names if f != g])

    return of_each_class(of_class, observed, fine, classes)


def feature_fine_clustering_accuracy(features, observed, fine, classes):
    return of_each_class(lambda own: clusters_right(lambda a, m: features[a] @ features[m], own, fine),
                         observed, fine, classes)  # fmt: skip


def feature_fine_neighbour_accuracy(features, observed, fine, classes):
    def nearness(a, m):
        return -np.linalg.norm(features[a] - features[m])

    return of_each_class(lambda own: neighbours_right(nearness, own, fine), observed, fine, classes)


def input_fine_clustering_accuracy(inputs, observed, fine, classes):
    return feature_fine_clustering_accuracy(inputs, observed, fine, classes)


def input_fine_neighbour_accuracy(inputs, observed, fine, classes):
    return feature_fine_neighbour_accuracy(inputs, observed, fine, classes)


def fine_variance_share(features, observed, fine, classes):
    """Sum of squares of the fine classes' means about the mean of all, over that of the samples."""

    def of_class(own):
        mean = np.mean([features[m] for m in own], axis=0)
        means = {f: np.mean([features[m] for m in own if fine[m] == f], axis=0) for f in {fine[m] for m in own}}
        between = sum(np.sum((means[fine[m]] - mean) ** 2) for m in own)
        return between / sum(np.sum((features[m] - mean) ** 2) for m in own)

    return of_each_class(of_class, observed, fine, classes)


# ---------------------------------------------------------------------------------------------------------------
# Weights: weights [rows, d] of the module that features [N, …] with labels [N] enter
# ---------------------------------------------------------------------------------------------------------------


def squared_singular_values(weights):
    """Eigenvalues of WᵀW, the greatest first; as many as W has rows or columns."""
    W = np.asarray(weights, dtype=np.float64)
    gram = W.T @ W if W.shape[1] <= W.shape[0] else W @ W.T
    values = np.sort(np.linalg.eigvalsh(gram))[::-1]
    return np.where(values > 1e-12 * values[0], values, 0.0)


def weight_spectral_norm(weights):
    return np.linalg.norm(np.asarray(weights, dtype=np.float64), ord=2)


def weight_stable_rank(weights):
    return np.sum(np.asarray(weights, dtype=np.float64) ** 2) / squared_singular_values(weights)[0]


def weight_effective_rank(weights):
    values = np.sqrt(squared_singular_values(weights))
    shares = values[values > 0] / values.sum()
    return np.prod(shares**-shares)


def weight_singular_values(weights, classes):
    values = np.sqrt(squared_singular_values(weights))
    return np.array([values[r] if r < len(values) else 0.0 for r in range(classes)])


def leading_right_singular_vectors(weights, most):
    """Eigenvectors [d, r] of WᵀW with the greatest eigenvalues, at most ``most`` and none of eigenvalue 0."""
    W = np.asarray(weights, dtype=np.float64)
    values, eigenvectors = np.linalg.eigh(W.T @ W)
    r = min(most, int(np.sum(values > 1e-12 * values[-1])))
    return eigenvectors[:, ::-1][:, :r]


def projection_onto(rows):
    """Orthogonal projection [d, d] onto the span of rows, and its rank."""
    inverse = np.linalg.pinv(rows, rcond=1e-6)
    return inverse @ rows, round(np.trace(inverse @ rows))


def weight_class_alignment(weights, features, labels):
    means = class_means(features, labels)
    projection, rank = projection_onto(means - means.mean(0))
    leading = leading_right_singular_vectors(weights, rank)
    return np.mean([v @ projection @ v for v in leading.T])


def weight_class_cosine(weights, features, labels):
    """By the eigenvalues cos²θ of Vᵀ P V: for matrices with orthonormal columns they are the squared cosines."""
    projection, rank = projection_onto(class_means(features, labels))
    leading = leading_right_singular_vectors(weights, rank)
    return np.mean(np.sqrt(np.clip(np.linalg.eigvalsh(leading.T @ projection @ leading), 0, 1)))


def simplex_distance(matrix):
    K = len(matrix)
    etf = (np.eye(K) - np.ones((K, K)) / K) / np.sqrt(K - 1)
    return np.linalg.norm(matrix / np.linalg.norm(matrix) - etf)


def nc1_sample_weighted(features, labels):
    return fuzziness(features, labels) / (max(labels) + 1)


def nc2_classifier_etf_error(weights):
    return simplex_distance(rows_of(weights) @ rows_of(weights).T)


def nc3_simplex_error(features, labels, weights):
    return simplex_distance(rows_of(weights) @ centred_means(features, labels).T)


def centre_logit_norm(features, labels, weights, bias):
    return np.linalg.norm(rows_of(weights) @ class_means(features, labels).mean(0) + (0 if bias is None else bias))
