"""A wrong engine is found by real steps: replaced where it may be, refused by name, and never believed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.sampling import pairwise
from torch import nn

from elastic import measure_elasticity
from elastic.data.contract import Samples
from elastic.errors import ModelError
from elastic.losses import build_loss
from elastic.models.contract import Task
from elastic.models.mlp import mlp
from elastic.probes import engine_selection, verification
from elastic.probes.autodiff import Autodiff
from elastic.probes.elasticity import ElasticityProbe
from elastic.probes.pair import Pair, PairMovement
from elastic.probes.reference import reference_movement
from elastic.probes.structured import Structured
from elastic.probes.verification import EngineCheck, EngineMismatch, Witness, pairs_of, verify

X = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3
LAYERS = ("hidden_1", "penultimate", "logits")


def network(**options):
    return mlp(Task((5,), 3), widths=[6, 6], **options)


def wrong(engine, layer, factor, what=("moved", "own")):
    """Return an engine whose movements of one layer are too large by a factor."""

    class Wrong(engine):
        def moved(self, steps, inputs):
            moved, features = super().moved(steps, inputs)
            return {**moved, layer: moved[layer] * factor} if "moved" in what else moved, features

        def own(self, steps, inputs, at_a_time):
            own = super().own(steps, inputs, at_a_time)
            return {**own, layer: own[layer] * factor} if "own" in what else own

    return Wrong


def measure(**options):
    return measure_elasticity(network(), (X[:4], Y[:4]), (X[4:], Y[4:]), pairs=True, **options)


@pytest.fixture(scope="module")
def right():
    """Return what the autodiff engine measures, which no test here makes wrong."""
    torch.manual_seed(0)
    return measure(engine="autodiff")


@pytest.mark.parametrize(
    ("layer", "factor", "what"), pairwise(LAYERS, [1.005, 0.0, float("nan")], [("moved", "own"), ("moved",)])
)
def test_a_wrong_structured_engine_is_replaced_and_named(monkeypatch, right, layer, factor, what):
    monkeypatch.setitem(engine_selection.ENGINES, "structured", wrong(Structured, layer, factor, what))
    torch.manual_seed(0)
    measured = measure()
    assert measured.attrs["engine"].startswith("autodiff (the structured engine is off by")
    assert f"in layer {layer!r}" in measured.attrs["engine"]
    np.testing.assert_array_equal(measured["pair_response"], right["pair_response"])
    with pytest.raises(
        ModelError, match=rf"`engine` should move features as a real step .* structured: off .* '{layer}'"
    ):
        measure(engine="structured")


def test_where_neither_engine_is_right_nothing_is_returned(monkeypatch):
    monkeypatch.setitem(engine_selection.ENGINES, "structured", wrong(Structured, "logits", 1.01))
    monkeypatch.setitem(
        engine_selection.ENGINES, "autodiff", lambda *arguments: wrong(Autodiff, "hidden_1", 1.01)(*arguments)
    )
    words = r"within 1e-03.*found autodiff \(the structured engine .*'logits'.*: off .*'hidden_1'"
    with pytest.raises(EngineMismatch, match=words) as refused:
        measure()
    check = refused.value.check
    assert (check.tolerance, check.pairs, check.precision) == (1e-3, len(pairs_of(4, 8, 0, 0)), "float64")
    assert check.errors["hidden_1"] == pytest.approx(0.01, rel=0.01)
    assert max(check.errors["penultimate"], check.errors["logits"]) < 2e-5
    assert check.seconds > 0


def test_a_small_error_that_float32_makes_is_accepted(monkeypatch):
    monkeypatch.setitem(engine_selection.ENGINES, "structured", wrong(Structured, "logits", 1 + 1e-5))
    assert measure().attrs["engine"] == "structured"


@pytest.mark.parametrize("options", [{}, {"update": "finite", "lr": 0.1}, {"update": "finite", "lr": 1e-9}])
@pytest.mark.parametrize("engine", ["structured", "autodiff"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_right_engines_agree_with_real_steps_to_rounding(engine, options, activation):
    net = network(activation=activation)
    measured = measure_elasticity(net, (X[:4], Y[:4]), (X[4:], Y[4:]), engine=engine, **options)
    assert measured["probe_error"].notnull().all()
    assert float(measured["probe_error"].max()) < 2e-5
    assert "against real steps in float64" in measured.attrs["engine_check"]


def test_late_in_training_gradients_that_vanish_are_still_checked():
    net = network()
    with torch.no_grad():
        net.stages["logits"].weight *= 1000  # p = 1 to rounding in float32
        labels = net(X).argmax(1)
    measured = measure_elasticity(net, (X[:4], labels[:4]), (X[4:], labels[4:]))
    assert 0 < float(measured["response"].min()) < 1e-12
    assert measured["probe_error"].notnull().all()


@pytest.mark.parametrize("engine", ["structured", "autodiff"])
def test_a_finite_step_that_changes_no_bit_is_checked_by_its_derivative(engine):
    net = network()
    with torch.no_grad():
        net.stages["logits"].weight *= 1000
        labels = net(X).argmax(1)
    given = (X[:4], labels[:4]), (X[4:], labels[4:])
    measured = measure_elasticity(net, *given, engine=engine, update="finite", lr=0.1)
    assert 0 < float(measured["response"].min()) < 1e-30
    assert float(measured["probe_error"].max()) < 2e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_types_are_checked_to_their_own_rounding(dtype):
    measured = measure_elasticity(network().to(dtype), (X[:4].to(dtype), Y[:4]), (X[4:].to(dtype), Y[4:]))
    assert 1e-4 < float(measured["probe_error"].max()) < 16 * torch.finfo(dtype).eps


def probe(**options):
    draws = [(torch.arange(4), torch.arange(4, 12))]
    return ElasticityProbe(network(), build_loss("cross_entropy"), Samples(X, Y, ("a", "b", "c")), draws, **options)


def test_more_pairs_are_checked_first_and_one_later_the_same_in_every_process():
    first, again = probe(seed=3), probe(seed=3)
    again.model = first.model
    for epoch in (0, 5, 6):
        for one in (first, again):
            one.read(epoch)
        assert first.check.errors == again.check.errors
        assert max(first.check.errors.values()) < 2e-5
        assert first.check.pairs == len(pairs_of(4, 8, 3, epoch)) == (1 if epoch else 6)  # eight, of which two twice
    assert pairs_of(4, 8, 3, 5) != pairs_of(4, 8, 3, 6) != pairs_of(4, 8, 4, 6)


def test_every_epoch_has_its_own_pairs_also_between_whole_ones():
    drawn = [tuple(pairs_of(10**4, 10**4, 0, epoch)) for epoch in (5, 5.25, 5.5, 6, 6.25)]
    assert len(set(drawn)) == 5


def test_an_engine_that_became_wrong_is_not_asked_again(monkeypatch):
    reader = probe()
    reader.read(0)
    assert reader.chosen_engine().name == "structured"
    monkeypatch.setitem(engine_selection.ENGINES, "structured", wrong(Structured, "logits", 1.01))
    reader.read(1)
    monkeypatch.undo()
    reader.read(2)
    assert reader.chosen_engine().name == "autodiff"


def test_a_check_says_what_it_found():
    off = EngineCheck({"a": 1e-7, "b": 0.2, "c": float("nan")}, 1e-3, 8, "float64")
    assert str(off) == "off by 2.0e-01 in layer 'b', of 8 pairs against real steps in float64"
    assert not off.passed
    first = EngineCheck({"undecided": float("nan"), "a": 1e-7, "b": float("inf")}, 1e-3, 8, "float64")
    assert (first.worst, first.passed) == (("b", float("inf")), False), "an engine returned NaN"
    nothing = EngineCheck({"a": float("nan")}, 1e-3, 1)
    assert nothing.passed
    assert str(nothing) == "undecided on 1 pair: the movements have kinks or are below rounding"


@pytest.mark.parametrize("of_first", [1.0, 1e-3])
def test_the_error_of_a_layer_is_the_largest_of_all_pairs(of_first):
    model, seed = network().double(), torch.ones(3).double()
    errors = {(0, 0): 1e-4 * of_first, (1, 0): 1e-7 / of_first}
    witness = Witness(list(errors))
    for (row, column), error in errors.items():
        pair = Pair(X[row : row + 1].double(), X[column : column + 1].double(), "logits", seed, None)
        exact = reference_movement(model, pair).movement
        own, moved = ({layer: h * (1 + error) for layer, h in part.items()} for part in (exact.own, exact.moved))
        witness.movements[row, column] = PairMovement(own, moved), seed, 1.0
    check = verify(model, witness, (X.double(), X.double()), "logits", None)
    assert list(check.errors.values()) == [pytest.approx(1e-4, rel=0.01)] * 3


def test_a_model_of_units_on_their_kinks_is_undecided_where_it_has_no_derivative():
    net = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    measured = measure_elasticity(net, (X[:4], Y[:4]), (X[4:], Y[4:]), layers=["0", "1"])
    assert measured["probe_error"].sel(layer=["0"]).notnull().all()


class Tied(nn.Module):
    """A network with a unit whose input float32 rounds to zero, or a pooling of two entries that it rounds to one."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.enter = nn.Linear(5, 24)
        self.tied = nn.Parameter(torch.tensor([1.0, 2.0**-25, 1.0]))

    def forward(self, x):
        one, little, other = self.tied
        if self.kind == "relu":  # 2^-25 in float64, zero in float32
            unit = torch.relu((one + little) - other + 0 * x[:, :1])
        else:  # the second entry is the larger one in float64, and equal to the first in float32
            pair = torch.stack([other * (1 + 0 * x[:, 0]), one + little + 0 * x[:, 0]], dim=1)
            unit = nn.functional.max_pool1d(pair[:, None], 2).squeeze(1)
        return torch.cat([torch.relu(self.enter(x)), unit], dim=1)


class Classified(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.features = Tied(kind)
        self.logits = nn.Linear(25, 3)

    def forward(self, x):
        return self.logits(self.features(x))


def tied(kind):
    torch.manual_seed(0)
    net = Classified(kind)
    given = (X[:4], Y[:4]), (X[4:], Y[4:])
    return lambda engine="auto": measure_elasticity(net, *given, layers=["features"], engine=engine)


@pytest.mark.parametrize("kind", ["relu", "pooling"])
@pytest.mark.parametrize("engine", ["structured", "autodiff"])
def test_a_tie_that_float64_decides_otherwise_is_no_fault_of_an_engine(kind, engine, monkeypatch):
    assert tied(kind)(engine)["probe_error"].max() < 2e-5
    monkeypatch.setattr(verification, "TURNS", 0)
    with pytest.raises(EngineMismatch, match=r"layer 'features'|layer 'logits'"):
        tied(kind)(engine)


@pytest.mark.parametrize("kind", ["relu", "pooling"])
@pytest.mark.parametrize("layer", ["features", "logits"])
@pytest.mark.parametrize("factor", [1.005, 0.9, 0.0])
def test_a_wrong_movement_is_found_beside_a_tie(kind, layer, factor, monkeypatch):
    monkeypatch.setitem(engine_selection.ENGINES, "structured", wrong(Structured, layer, factor))
    with pytest.raises(EngineMismatch, match=rf"structured: off by .* in layer '{layer}'"):
        tied(kind)("structured")


def test_a_wrong_slope_of_many_units_is_found_beside_a_tie(monkeypatch):
    class Leaky(Structured):
        """Lets a tenth of the units through that a ReLU stops."""

        def moved(self, steps, inputs):
            moved, features = super().moved(steps, inputs)
            stopped = features["features"] == 0
            stopped[:, ::2] = False
            return {**moved, "features": moved["features"].masked_fill(stopped, 0.01)}, features

    monkeypatch.setitem(engine_selection.ENGINES, "structured", Leaky)
    with pytest.raises(EngineMismatch, match="in layer 'features'"):
        tied("relu")("structured")
