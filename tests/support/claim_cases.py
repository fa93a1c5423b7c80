"""A simulated truth for every claim: studies at the edge of what it says, well inside, and well outside."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from elastic.theory import cross_entropy_ufm
from support import simulated_cubes as sim
from support.simulated_cubes import DEPTHS, EPOCHS

#: Draws (generator, studies, seeds) of a cube.
Draw = Callable[[np.random.Generator, int, int], xr.DataTree]


@dataclass(frozen=True)
class Case:
    """What is drawn for a claim.

    Attributes
    ----------
    claim, options
        Name, and the options that stay.
    draw
        Cubes of many studies, all with one truth.
    edge
        Options at which the truth lies on the edge of the claim; or the threshold's name, where what the mean effect
        is has to be seen in very many draws.
    holds, fails
        Options at which it lies well inside, and well outside.
    """

    claim: str
    draw: Draw
    edge: dict[str, Any] | str
    holds: dict[str, Any]
    fails: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Truths:
    """What is drawn for a claim that has no threshold: it is the truth that lies on its edge, or off it.

    Attributes
    ----------
    claim
        Its name.
    edges
        Cubes of many studies whose truth is on the edge of the claim, each on another part of it.
    holds, fails
        Cubes whose truth lies well inside, and well outside.
    """

    claim: str
    edges: tuple[Draw, ...]
    holds: tuple[Draw, ...]
    fails: tuple[Draw, ...]


def falling_with_depth(metric: str, noise: float) -> Draw:
    """Return the draw of a metric that falls by 1.5 from layer to layer; the slopes of seeds differ, too."""

    def falling_by_layer(rng, studies, seeds):
        slope = math.log(1.5) + rng.normal(0, 0.05, (studies, seeds, 1))
        log = 1 - slope * DEPTHS + rng.normal(0, noise, (studies, seeds, len(DEPTHS)))
        return sim.cube(**{metric: sim.values(np.exp(log), "layer")})

    return falling_by_layer


def falling_inward(rng, studies, seeds):
    """Courses whose middle comes earlier by 1.3 from layer to layer."""
    slope = -math.log(1.3) + rng.normal(0, 0.05, (studies, seeds, 1))
    middle = 2.2 + slope * (DEPTHS - DEPTHS.mean()) + rng.normal(0, 0.15, (studies, seeds, len(DEPTHS)))
    time = np.log1p(np.array(EPOCHS))[:, None]
    log = -4 / (1 + np.exp(-(time - middle[:, :, None]) / 0.4))
    return sim.cube(nc1=sim.values(np.exp(log + rng.normal(0, 0.05, log.shape)), "epoch", "layer"))


def crossing(centre, slope, never=0.0) -> Draw:
    """Return the draw of courses that cross 0.1 at log times with a slope about a centre; shallow ones are noisier.

    Some never do, whatever their depth; nor does what would only after the last epoch, at 4.6.
    """

    def draw(rng, studies, seeds):
        shape = (studies, seeds, len(DEPTHS))
        middle = centre + (slope + rng.normal(0, 0.05, (studies, seeds, 1))) * (DEPTHS - DEPTHS.mean())
        middle = middle + rng.normal(0, 0.3, shape) + 10 * (rng.random(shape) < never)
        log = math.log(0.1) + 1.5 * (middle[:, :, None] - np.log1p(np.array(EPOCHS))[:, None])
        log = log + 0.1 * rng.normal(size=log.shape) * np.linspace(2, 0.5, len(DEPTHS))
        return sim.cube(nc1=sim.values(np.exp(log), "epoch", "layer"))

    return named("crossing, " + ("together" if slope == 0 else "inward") + f" at {centre}", draw)


def named(name: str, draw: Draw) -> Draw:
    draw.__name__ = name
    return draw


def growing(rng, studies, seeds):
    """An nc1 that goes as the square of a scale; seeds differ in level and in power."""
    scales = np.array([0.1, 0.3, 1.0, 3.0])
    power, level = 2 + rng.normal(0, 0.05, (studies, seeds, 1)), rng.normal(0, 1, (studies, seeds, 1))
    log = level + power * np.log(scales) + rng.normal(0, 0.2, (studies, seeds, len(scales)))
    return sim.cube(nc1=sim.values(np.exp(log), "scale", scale=scales))


def rates_falling(power: float, shift: float = 0.0, spread: float = 0.0, below: float = 0.0) -> Draw:
    """Return the draw of separation rates ±t^p less a shift, in units of their last value.

    Power and shift differ from seed to seed; a share of seeds is below 0 throughout.
    """
    epochs = np.array([0, 1, 3, 6, 10, 16, 25, 40, 63, 100])

    def draw(rng, studies, seeds):
        shape, time = (studies, seeds, 1), np.maximum(epochs, 1) / epochs[-1]
        noise = np.exp(0.1 * rng.normal(size=(studies, seeds, len(epochs))))
        course = time ** (power + rng.normal(0, 0.1, shape)) * noise * np.where(rng.random(shape) < below, -1, 1)
        course = (course - shift - rng.normal(0, spread, shape))[..., None]
        rate = sim.values(course, "epoch", "layer", epoch=epochs, layer=["logits"], bounds=["-inf", "inf"])
        return sim.cube(elasticity={"separation_rate": rate})

    return draw


def along_a_curve(rng, studies, seeds):
    """Correlations of similarity with distance about −0.9."""
    z = math.atanh(0.9) + rng.normal(0, 0.1, (studies, seeds, 1))
    result = sim.values(-np.tanh(z), "layer", bounds=sim.COSINE, layer=["logits"])
    return sim.cube(elasticity={"geodesic_correlation": result})


def crossing_order(rng, studies, seeds):
    """Log nc1 that rises with depth until about epoch 9, and then falls with it."""
    at = math.log(10) + rng.normal(0, 0.15, (studies, seeds, 1, 1))
    time = np.log1p(np.array(EPOCHS, dtype=float))[:, None]
    logs = 0.4 * (at - time) * DEPTHS + rng.normal(0, 0.02, (studies, seeds, len(EPOCHS), len(DEPTHS)))
    return sim.cube(nc1=sim.values(np.exp(logs), "epoch", "layer"))


def falling_together(rng, studies, seeds):
    """Courses with one middle in all layers; shallow ones fall little and noisily."""
    fall, noise = np.array([1.0, 1.5, 3.0, 4.0, 6.0]), np.array([0.4, 0.3, 0.2, 0.1, 0.1])
    middle = 2.2 + rng.normal(0, 0.2, (studies, seeds, 1, len(DEPTHS)))
    log = -fall / (1 + np.exp(-(np.log1p(np.array(EPOCHS))[:, None] - middle) / 0.4))
    return sim.cube(nc1=sim.values(np.exp(log + noise * rng.normal(size=log.shape)), "epoch", "layer"))


def falling_in_training(rng, studies, seeds):
    """A metric that falls by 10."""
    first = rng.normal(0, 0.5, (studies, seeds, 1))
    log = np.concatenate([first, first - rng.normal(math.log(10), 0.3, first.shape)], axis=2)
    both = np.repeat(np.exp(log)[..., None], len(DEPTHS), axis=-1)
    return sim.cube(nc1=sim.values(both, "epoch", "layer", epoch=[0, 100]))


def around(value: float, spread: float) -> Draw:
    """Return the draw of an nc1 whose geometric mean is a value."""

    def around_value(rng, studies, seeds):
        return sim.cube(nc1=sim.values(np.exp(rng.normal(math.log(value), spread, (studies, seeds)))))

    return around_value


def locality(rng, studies, seeds):
    """Locality 2 in every layer."""
    log = rng.normal(math.log(2), 0.15, (studies, seeds, len(DEPTHS)))
    return sim.cube(elasticity={"locality": sim.values(np.exp(log), "layer")})


def tracking(rng, studies, seeds, correlation=0.97):
    """Locality and nc1 with a correlation over the layers."""
    shape = (studies, seeds, len(DEPTHS))
    collapse = rng.normal(size=shape)
    log = correlation * collapse + math.sqrt(1 - correlation**2) * rng.normal(size=shape)
    elasticity = {"locality": sim.values(np.exp(log), "layer")}
    return sim.cube(elasticity=elasticity, nc1=sim.values(np.exp(-collapse), "layer"))


def unrelated(rng, studies, seeds):
    """Locality and nc1 that know nothing of each other."""
    return tracking(rng, studies, seeds, correlation=0.0)


def accounted(rng, studies, seeds):
    """Class means whose inner products double, of which steps predict 0.7, and twofold collapse by classes' own steps.

    Steps on a class itself lower the log of within over between by 1, those on the other class raise it by 1.
    """
    shape, frame = (studies, seeds, 2, 1), np.array([[1.0, -1.0], [-1.0, 1.0]])
    left = np.exp(rng.normal(math.log(0.3), 0.15, (studies, seeds, 1, 1, 1, 1)))
    gram = np.array([1.0, 2.0])[:, None, None, None] * frame * np.ones((*shape, 1, 1))
    by_class = rng.normal(0, 0.3, (2, studies, seeds, 1, 1, 1, 1)) + np.array([1.0, -1.0]).reshape(2, *[1] * 6)
    rates = -2 * np.where(np.eye(2, dtype=bool), *by_class) * np.ones((*shape, 1, 1))
    labels = {"epoch": [0, 1], "layer": ["penultimate"]}
    classes = {"class": [0, 1], "other_class": [0, 1]}
    stepped = {"stepped_class": [0, 1], "observed_class": [0, 1]}

    def of(array, **dims):
        return sim.values(array, "epoch", "layer", *dims, **labels, **dims)

    def scalar(value):
        return sim.values(np.full(shape[:3], value), "epoch", epoch=[0, 1])

    one = {"class": [0, 1]}
    held = {
        "mean_gram": of(gram, **classes),
        "mean_gram_response": of((1 - left) * frame * np.ones((*shape, 1, 1)), **classes),
        "mean_gram_decay_response": of(0 * gram, **classes),
        "between_response": of(0 * rates, **stepped),
        "class_variance": of(np.ones((*shape, 2)), **one),
        "class_variance_response": of(rates, **stepped),
        "class_variance_decay_response": of(np.zeros((*shape, 2)), **one),
        "step_share": sim.values(np.full((*shape[:3], 2), 0.5), "epoch", "stepped_class", epoch=[0, 1]),
        "step_momentum": scalar(0.0),
        "step_nesterov": scalar(0.0),
        "steps_per_epoch": scalar(1.0),
    }
    training = xr.Dataset({"lr": scalar(1.0), "status": scalar(1.0)})
    return xr.DataTree.from_dict({"/class_steps": xr.Dataset(held), "/training": training})


def minority(rng, studies, seeds, classes=5):
    """Cosines that lie 0.05 below 1, give or take a factor: skewed, as all are that near 1."""
    distance = np.exp(rng.normal(math.log(0.05), 0.4, (studies, seeds, 1, 1)))
    cosine = np.broadcast_to(1 - distance, (studies, seeds, classes, classes))
    labels = {"class": range(classes), "other_class": range(classes)}
    return sim.cube(classifier_cosine=sim.values(cosine, "class", "other_class", bounds=sim.COSINE, **labels))


def one_before_the_other(factor: float, noise: float = 0.03) -> Draw:
    """Return the draw of a locality that rises before nc1 falls, by a factor of epochs; seeds differ in the factor."""
    epochs = np.array([0, 1, 2, 3, 5, 8, 13, 22, 36, 60, 100, 170, 280])
    time = np.log1p(epochs)[:, None]

    def draw(rng, studies, seeds):
        shape = (studies, seeds, 1, len(DEPTHS))
        first = rng.normal(1.6, 0.2, shape)
        second = first + math.log(factor) + rng.normal(0, 0.05, shape)
        rise, fall = (1 / (1 + np.exp(-(time - middle) / 0.3)) for middle in (first, second))
        log_locality = 1.5 * rise + noise * rng.normal(size=rise.shape)
        log_nc1 = -4 * fall + noise * rng.normal(size=fall.shape)
        names = ("epoch", "layer")
        elasticity = {"locality": sim.values(np.exp(log_locality), *names, epoch=epochs)}
        return sim.cube(elasticity=elasticity, nc1=sim.values(np.exp(log_nc1), *names, epoch=epochs))

    return named(f"one before the other by {factor}", draw)


def two_jumps_between_two_probes(rng, studies, seeds):
    """Curves that jump at times uniform in one gap between probes: nothing is known of their order."""
    steps = np.where(np.array(EPOCHS) <= 13, 1.0, 0.01)[:, None]
    shape = (studies, seeds, len(EPOCHS), 1)
    one, other = (steps * np.exp(0.01 * rng.normal(size=shape)) for _ in range(2))
    held = {"nc1": one, "fuzziness": other}
    return sim.cube(**{name: sim.values(of, "epoch", "layer", layer=["penultimate"]) for name, of in held.items()})


def twice_on_test(rng, studies, seeds):
    """An nc1 that is 2 times larger on test samples, whatever the seed made of it."""
    train = rng.normal(0, 1, (studies, seeds, len(DEPTHS)))
    test = train + rng.normal(math.log(2), 0.15, train.shape)
    both = np.exp(np.stack([train, test], axis=2))
    return sim.cube(nc1=sim.values(both, "split", "layer", split=["train", "test"]))


GROUPS = {"groups": {"even": [0, 2, 4], "odd": [1, 3], "rest": [5]}}


def alike_within_groups(rng, studies, seeds, classes=7):
    """Cosines and responses, greater by 0.2 within three groups of six classes; the seventh class is in none."""
    group = np.array([0, 1, 0, 1, 0, 2, 3])
    alike = 0.2 * (group[:, None] == group[None, :])
    level = rng.normal(-0.1, 0.1, (studies, seeds, 1, 1, 1))
    contrast = rng.normal(1, 0.15, (studies, seeds, 1, 1, 1)) * np.array([0.0, 1.0])[:, None, None]
    cosine = level + contrast * alike + 0.02 * rng.normal(size=(studies, seeds, 2, classes, classes))
    cosine[..., -1, :] = cosine[..., :, -1] = 9.0
    cosine = np.where(np.eye(classes, dtype=bool), 1.0, cosine)
    labels = {"class": range(classes), "other_class": range(classes), "epoch": [0, 100]}
    stepped = {"stepped_class": range(classes), "observed_class": range(classes), "epoch": [0, 100]}
    response = sim.values(np.exp(cosine), "epoch", "stepped_class", "observed_class", **stepped)
    of_means = sim.values(cosine, "epoch", "class", "other_class", bounds=sim.COSINE, **labels)
    return sim.cube(elasticity={"response": response}, class_cosine=of_means)


def with_decay(rng, studies, seeds):
    """An nc1 that decay halves, whatever the seed made of it."""
    without = rng.normal(0, 1, (studies, seeds))
    logs = np.stack([without, without - rng.normal(math.log(2), 0.1, without.shape)], axis=2)
    return sim.cube(nc1=sim.values(np.exp(logs), "decay", decay=[0.0, 0.1]))


def found_by_elasticity(rng, studies, seeds):
    """Two shares, the one 0.1 above the other, whatever the seed made of both."""
    share = rng.uniform(0.5, 0.7, (studies, seeds))
    above = share[..., None] + rng.normal(0.1, 0.01, (studies, seeds, len(DEPTHS)))
    elasticity = {
        "relative_fine_clustering_accuracy": sim.values(above, "layer", bounds=sim.SHARE),
        "input_fine_clustering_accuracy": sim.values(share, bounds=sim.SHARE),
    }
    return sim.cube(elasticity=elasticity)


def twice_as_wide(rng, studies, seeds):
    """Two ratios, the one twice the other."""
    log = rng.normal(0, 1, (studies, seeds, len(DEPTHS)))
    wide = log + rng.normal(math.log(2), 0.1, log.shape)
    return sim.cube(nc1=sim.values(np.exp(wide), "layer"), fuzziness=sim.values(np.exp(log), "layer"))


UFM = {"classes": 10, "per_class": 50, "lambda_w": 1e-2, "lambda_h": 1e-3}


def above_optimum(rng, studies, seeds):
    """A loss 5 % above the optimum."""
    loss = cross_entropy_ufm(**UFM).loss * np.exp(rng.normal(math.log(1.05), 0.01, (studies, seeds)))
    return sim.cube(training={"loss": sim.values(loss, bounds=["-inf", "inf"])})


def spectrum(rng, studies, seeds):
    """Components that theory has at 0, and that are 0.1 on average."""
    result = rng.normal(0.1, 0.02, (studies, seeds, 2))
    return sim.cube(class_mean_spectrum=sim.values(result, "component", component=[1, 2]))


SCALED = {"variable": "nc1", "axis": "scale"}
COMPARED = {"variable": "nc1", "axis": "decay", "first": 0.0, "second": 0.1}
OPTIMUM = {"variable": "loss", "theory": "cross_entropy_ufm", "arguments": UFM}
MOVES = {"variable": "locality", "other": "nc1", "way": "rises", "other_way": "falls"}
NOTHING = {"variable": "class_mean_spectrum", "theory": "mse_factor_model", "quantity": "singular_values",
           "arguments": {"per_class": [4, 4], "penalties": [1.0, 1.0]}}  # fmt: skip

CASES = (
    Case("collapse_deepens_with_depth", falling_with_depth("nc1", 0.2), {"min_factor": 1.5}, {"min_factor": 1.0},
         {"min_factor": 2.25}),
    Case("collapse_deepens_with_training", falling_in_training, {"min_factor": 10.0}, {"min_factor": 3.0},
         {"min_factor": 33.0}),
    Case("propagates_inward", falling_inward, "min_factor", {"min_factor": 1.0}, {"min_factor": 1.7}),
    Case("propagates_inward", falling_together, {}, {"min_factor": 0.4}, {"min_factor": 3.0}),
    Case("reaches_level_inward", crossing(3.6, -math.log(1.3)), "min_factor", {"min_factor": 0.8}, {"min_factor": 2.0},
         {"level": 0.1}),
    Case("reaches_level_inward", crossing(4.3, -0.5), "min_factor", {"min_factor": 1.0}, {"min_factor": 2.0},
         {"level": 0.1}),
    Case("reaches_level_inward", crossing(3.6, 0.0, never=1 / 3), {"min_factor": 1.0}, {"min_factor": 0.5},
         {"min_factor": 2.0}, {"level": 0.1}),
    Case("similarity_follows_geodesic", along_a_curve, {"min_r": 0.9}, {"min_r": 0.8}, {"min_r": 0.96}),
    Case("depth_order_crosses", crossing_order, "least", {"least": 5.0}, {"least": 18.0}),
    Case("depth_order_crosses", crossing_order, "most", {"most": 18.0}, {"most": 5.0}),
    Case("follows_power_law", growing, {"least": 2.0}, {"least": 0.0}, {"least": 2.5}, SCALED),
    Case("follows_power_law", growing, {"most": 2.0}, {"most": 2.5}, {"most": 0.0}, SCALED),
    Case("follows_power_law", growing, {"least": 2.0, "most": 2.5}, {"least": 1.6, "most": 2.4},
         {"least": 1.0, "most": 1.5}, SCALED),
    Case("equal_separation", falling_with_depth("fuzziness", 0.1), "min_r", {"min_r": 0.8}, {"min_r": 0.9999}),
    Case("below", around(0.1, 0.3), {"threshold": 0.1}, {"threshold": 0.4}, {"threshold": 0.025},
         {"variable": "nc1"}),
    Case("above", around(0.1, 0.3), {"threshold": 0.1}, {"threshold": 0.025}, {"threshold": 0.4},
         {"variable": "nc1"}),
    Case("converges_to", around(0.2, 0.02), {"tolerance": 0.05}, {"tolerance": 0.07}, {"tolerance": 0.03},
         {"variable": "nc1", "value": 0.25}),
    Case("converges_to", around(0.1, 0.3), {"tolerance": 0.1}, {"tolerance": 0.4}, {"tolerance": 0.025},
         {"variable": "nc1", "value": 0.0}),
    Case("differs_between", with_decay, {"least": 2.0}, {"least": 1.0}, {"least": 4.0}, COMPARED),
    Case("agrees_between", with_decay, {"within": 2.0}, {"within": 3.0}, {"within": 1.3}, COMPARED | {"by": "ratio"}),
    Case("exceeds", found_by_elasticity, {"least": 0.1}, {"least": 0.0}, {"least": 0.2},
         {"variable": "relative_fine_clustering_accuracy", "other": "input_fine_clustering_accuracy"}),
    Case("exceeds", twice_as_wide, {"least": 2.0}, {"least": 1.0}, {"least": 4.0},
         {"variable": "nc1", "other": "fuzziness", "by": "ratio"}),
    Case("locality_above", locality, {"threshold": 2.0}, {"threshold": 1.0}, {"threshold": 4.0},
         {"layer": "penultimate"}),
    Case("locality_above", locality, {"threshold": 2.0}, {"threshold": 1.0}, {"threshold": 8.0}),
    Case("locality_tracks_collapse", tracking, "min_r", {"min_r": 0.0}, {"min_r": 0.99999}),
    Case("locality_tracks_collapse", unrelated, {"min_r": 0.0}, {"min_r": -0.99}, {"min_r": 0.99}),
    Case("account_closes", accounted, {"max_residual": 0.3}, {"max_residual": 0.6}, {"max_residual": 0.15}),
    Case("steps_move_collapse", accounted, {"least": 1.0}, {"least": 0.0}, {"least": 2.0}, {"part": "own"}),
    Case("steps_move_collapse", accounted, {"least": 1.0}, {"least": 0.0}, {"least": 2.0},
         {"part": "other", "way": "raise"}),
    Case("precedes", one_before_the_other(2.0), "min_factor", {"min_factor": 1.0}, {"min_factor": 4.0}, MOVES),
    Case("precedes", one_before_the_other(1.0), {"min_factor": 1.0}, {"min_factor": 0.5}, {"min_factor": 2.0}, MOVES),
    Case("precedes", one_before_the_other(1.0), {"min_factor": 1.0}, {"min_factor": 0.5}, {"min_factor": 2.0},
         MOVES | {"onset": "fraction", "fraction": 0.3}),
    Case("precedes", one_before_the_other(2.0), "min_factor", {"min_factor": 1.0}, {"min_factor": 4.0},
         MOVES | {"onset": "level", "level": 2.1, "other_level": 0.1}),
    Case("precedes", one_before_the_other(1 / 2), "min_factor", {"min_factor": 0.25}, {"min_factor": 1.0}, MOVES),
    Case("precedes", two_jumps_between_two_probes, {"min_factor": 1.0}, {"min_factor": 0.2}, {"min_factor": 5.0},
         {"variable": "nc1", "other": "fuzziness"}),
    Case("ratio_between_splits", twice_on_test, {"least": 2.0}, {"least": 1.0}, {"least": 4.0}, {"variable": "nc1"}),
    Case("ratio_between_splits", twice_on_test, {"most": 0.5}, {"most": 1.0}, {"most": 0.25},
         {"variable": "nc1", "split": "train", "other_split": "test"}),
    Case("groups", alike_within_groups, {"least": 0.2}, {"least": 0.0}, {"least": 0.4}, GROUPS),
    Case("groups", alike_within_groups, {"most": 0.0}, {"most": 0.05}, {"most": -0.05}, GROUPS | {"epoch": 0}),
    Case("groups", alike_within_groups, {"least": 0.2}, {"least": 0.0}, {"least": 0.4}, GROUPS | {"since": 0}),
    Case("groups", alike_within_groups, {"least": math.exp(0.2)}, {"least": 1.0}, {"least": 1.5},
         GROUPS | {"variable": "response", "by": "ratio"}),
    Case("minority_collapses", minority, "min_cosine", {"min_cosine": 0.7}, {"min_cosine": 0.995},
         {"classes": [2, 3, 4]}),
    Case("meets_theory", above_optimum, {"tolerance": 0.05}, {"tolerance": 0.1}, {"tolerance": 0.01}, OPTIMUM),
    Case("meets_theory", spectrum, {"tolerance": 0.1}, {"tolerance": 0.2}, {"tolerance": 0.001}, NOTHING),
)  # fmt: skip

TRUTHS = (
    Truths(
        "classes_separate",
        edges=(rates_falling(-1.0), rates_falling(-0.3, shift=0.99, spread=0.3), rates_falling(0.0, 0.86, 0.3)),
        holds=(rates_falling(-0.5), rates_falling(0.0)),
        fails=(rates_falling(-1.8), rates_falling(-0.3, shift=2.0, spread=0.2)),
    ),
)
