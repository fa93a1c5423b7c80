"""What users hand to `measure_elasticity`: inputs of every kind are taken as they are, or refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from elastic import measure_elasticity
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.models.contract import Task
from elastic.models.input_type import input_type
from elastic.models.mlp import mlp

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.arange(8) % 2


def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))


def measure(model, inputs=X, labels=Y, **options):
    half = len(inputs) // 2
    return measure_elasticity(
        model, (inputs[:half], labels[:half]), (inputs[half:], labels[half:]), layers=[], **options
    )


AS_GIVEN = {
    "float64": X.astype("float64"),
    "big-endian": X.astype(">f4"),
    "Fortran order": np.asfortranarray(X),
    "negative strides": X[::-1].copy()[::-1],
    "a view with steps": np.repeat(X, 2, axis=0)[::2],
    "lists": X.tolist(),
    "a tensor": torch.tensor(X),
    "a tensor with a graph": torch.tensor(X, requires_grad=True) * 1,
    "a transposed tensor": torch.tensor(X.T.copy()).T,
    "an unmasked masked array": np.ma.MaskedArray(X, mask=False),
    "read-only": np.frombuffer(X.tobytes(), "float32").reshape(X.shape),
}


@pytest.mark.parametrize("kind", AS_GIVEN)
def test_arrays_are_read_as_they_are(kind):
    expected, measured = measure(network()), measure(network(), AS_GIVEN[kind])
    for name in expected.data_vars.keys() - {"probe_error"}:
        np.testing.assert_allclose(measured[name], expected[name], rtol=1e-6, err_msg=name)


LABELS_REFUSED = {
    "a NaN": np.array([0, 1, np.nan, 1, 0, 1, 0, 1]),
    "fractions": np.full(8, 0.5),
    "masked": np.ma.MaskedArray(Y, mask=[True, *[False] * 7]),
    "strings": np.array(["a", "b"] * 4),
    "None": [0, 1, None, 1, 0, 1, 0, 1],
    "one-hot rows": np.eye(2)[Y],
    "beyond the logits": Y + 1,
    "negative": Y - 1,
    "complex": Y + 1j,
}


@pytest.mark.parametrize("kind", LABELS_REFUSED)
def test_labels_that_are_no_positions_are_refused(kind):
    with pytest.raises(DegenerateInput, match="should"):
        measure(network(), labels=LABELS_REFUSED[kind])


@pytest.mark.parametrize("labels", [torch.tensor(Y).bfloat16(), torch.tensor(Y).int(), Y.astype(">i8"), Y.astype(bool)])
def test_labels_of_any_type_of_whole_numbers_are_taken(labels):
    assert measure(network(), labels=labels).identical(measure(network()))


INPUTS_REFUSED = {
    "a NaN": np.where(np.arange(32).reshape(8, 4) == 3, np.nan, X),
    "masked": np.ma.MaskedArray(X, mask=X > 1),
    "sparse": torch.tensor(X).to_sparse(),
    "complex": X + 1j,
    "strings": X.astype(str),
    "objects": np.array([[object()] * 4] * 8),
    "meta": torch.empty(8, 4, device="meta"),
    "integers for weights of floating point": np.ones((8, 4), dtype=int),
    "another width": np.ones((8, 3), dtype="float32"),
    "no samples": X[:0],
}


@pytest.mark.parametrize("kind", INPUTS_REFUSED)
def test_inputs_that_a_model_cannot_take_are_refused(kind):
    samples = INPUTS_REFUSED[kind], Y
    with pytest.raises(ElasticError, match="should"):
        measure_elasticity(network(), samples, samples, layers=[])


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(6, 4), nn.Linear(4, 2)

    def forward(self, tokens):
        assert not tokens.is_floating_point()
        return self.head(
            torch.tanh(self.table(tokens).flatten(1, -2).mean(1) if tokens.ndim > 1 else self.table(tokens))
        )


@pytest.mark.parametrize("shape", [(8, 3), (8,)], ids=["sequences", "single tokens"])
@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_tokens_stay_integers(shape, dtype):
    tokens = np.random.default_rng(1).integers(6, size=shape).astype(dtype)
    measured = measure(Tokens(), tokens)
    assert measured["response"].notnull().all()
    assert measure(Tokens(), torch.tensor(tokens))["response"].notnull().all()


def test_booleans_stay_booleans():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.value, self.head = nn.Parameter(torch.randn(4)), nn.Linear(4, 2)

        def forward(self, mask):
            return self.head(torch.where(mask, self.value, 0.0))

    assert measure(Masked(), X > 0)["response"].notnull().all()


def test_inputs_of_one_number_a_sample_are_taken():
    class Scalars(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.head = nn.Linear(1, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(torch.tanh(self.enter(x[:, None])))

    flat, column = measure(Scalars(), X[:, 0]), measure(nn.Sequential(nn.Linear(1, 4), nn.Linear(4, 2)), X[:, :1])
    assert flat["response"].notnull().all()
    assert flat.sizes == column.sizes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inputs_take_the_type_of_the_parameter_that_reads_them(dtype):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.temperature = nn.Parameter(torch.ones((), dtype=torch.float64))
            self.extra = nn.Parameter(torch.ones((), dtype=torch.float16))
            self.enter = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2).to(dtype))

        def forward(self, x):
            x = torch.nn.functional.relu(x - x.mean(1, keepdim=True))
            return self.enter(x) / self.temperature + 0 * self.extra

    assert input_type(Scaled(), torch.zeros(1, 4)) == dtype
    assert measure(Scaled())["response"].notnull().all()


MODELS_REFUSED = {
    "logits of a sequence": lambda: nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Linear(2, 3)),
    "one number": lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)),
    "a script": lambda: torch.jit.script(network()),
    "a trace": lambda: torch.jit.trace(network(), torch.zeros(1, 4)),
    "lazy": lambda: nn.Sequential(nn.LazyLinear(2)),
    "on the device meta": lambda: network().to("meta"),
    "partly on the device meta": lambda: nn.Sequential(network(), nn.Linear(2, 2, device="meta")),
    "no parameters": lambda: nn.Sequential(nn.Flatten()),
    "frozen": lambda: network().requires_grad_(False),
    "no module": lambda: torch.tanh,
    "a dictionary": lambda: Dictionary(),
}


class Dictionary(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return {"scores": self.linear(x)}


@pytest.mark.parametrize("kind", MODELS_REFUSED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_models_that_cannot_be_probed_are_refused(kind):
    with pytest.raises(ModelError, match="should"):
        measure(MODELS_REFUSED[kind]())


def test_inference_mode_is_refused():
    with torch.inference_mode():
        made = network()
        with pytest.raises(ModelError, match="derivatives"):
            measure(network())
    with pytest.raises(ModelError, match="derivatives"):
        measure(made)


@pytest.mark.parametrize("wrap", [nn.DataParallel, lambda net: torch.compile(net, backend="eager")])
def test_wrappers_are_looked_through(wrap):
    net = network()
    assert measure(wrap(net)).identical(measure(net))
    built_in = mlp(Task((4,), 2), widths=[3])
    assert measure(wrap(built_in)).identical(measure(built_in))


def test_a_parameter_that_is_read_past_its_module_is_refused():
    net = network()
    weight = net[2].weight

    class Past(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return torch.tanh(self.net[0](x)) @ weight.T

    before = weight.detach().clone()
    with pytest.raises(ModelError, match="layer 'logits' should read parameters from the modules that own them"):
        measure(Past())
    assert torch.equal(weight, before)


def test_what_a_model_raises_is_told_in_a_sentence():
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 2)

        def forward(self, x):
            if len(x) == 1:
                raise KeyError("a batch of one")
            return self.linear(x)

    with pytest.raises(ModelError, match="a batch of one"):
        measure(Picky())
