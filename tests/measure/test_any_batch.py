"""Batches of any form: mappings, lists of samples, functions of the user's, output objects and token positions.

What is measured is compared with a network of the same weights that takes one array and names its features by modules
of its own, so that neither mappings nor positions are needed.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import xarray as xr
from support.recordings import CHEAP, PROBES
from torch import nn
from torch.utils.data import DataLoader, Dataset

import elastic
from elastic import measure_collapse, measure_elasticity, open_study
from elastic.errors import DegenerateInput, ElasticError, ModelError
from elastic.models.contract import Task
from elastic.models.mlp import mlp

pytestmark = pytest.mark.usefixtures("unsealed")

LENGTH, WIDTH, CLASSES = 5, 6, 3


@dataclass
class Output:
    logits: torch.Tensor
    hidden: torch.Tensor | None = None


class Block(nn.Module):
    """Mixes tokens and turns them."""

    def __init__(self):
        super().__init__()
        self.mix, self.turn = nn.Linear(LENGTH, LENGTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, h):
        return h + torch.tanh(self.turn(self.mix(h.mT).mT))


class Sequences(nn.Module):
    """A classifier of token sequences that takes keyword arguments and returns an object."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(11, WIDTH)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, input_ids, attention_mask, kind=Output):
        weights = attention_mask[:, :, None].to(self.head.weight.dtype)
        h = self.embed(input_ids)
        for block in self.blocks:
            h = block(h * weights)
        return kind(self.head((h * weights).sum(1) / weights.sum(1)))


class Selected(nn.Module):
    """Gives the features at a position: its output is a layer [n, d]."""

    def __init__(self, position):
        super().__init__()
        self.position = position

    def forward(self, h, mask):
        if self.position == "mean":
            return torch.stack([row[kept.bool()].mean(0) for row, kept in zip(h, mask, strict=True)])
        if self.position == "last":
            return torch.stack([row[kept.bool()][-1] for row, kept in zip(h, mask, strict=True)])
        return h[:, self.position]


class Twin(nn.Module):
    """The same classifier of one array [n, 2, T], tokens and mask, whose features at a position come from modules."""

    def __init__(self, net, position):
        super().__init__()
        self.net = net
        self.first, self.second = Selected(position), Selected(position)

    def forward(self, x):
        ids, mask = x[:, 0], x[:, 1]
        weights = mask[:, :, None].to(self.net.head.weight.dtype)
        h = self.net.embed(ids)
        for block, select in zip(self.net.blocks, (self.first, self.second), strict=True):
            h = block(h * weights)
            select(h, mask)
        return self.net.head((h * weights).sum(1) / weights.sum(1))


def batch(count=12, seed=0, padded=True):
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    ids = torch.randint(0, 11, (count, LENGTH), generator=draw)
    mask = torch.ones(count, LENGTH, dtype=torch.long)
    if padded:
        for place in range(count):
            mask[place, 2 + place % 4 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def as_array(data):
    return torch.stack([data["input_ids"], data["attention_mask"]], dim=1), data["labels"]


def one_by_one(data):
    keys = list(data)
    return [{key: data[key][place] for key in keys} for place in range(len(data["labels"]))]


class Of(Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, place):
        return self.samples[place]


def numbers(ds):
    return {name: ds[name].values for name in ds.data_vars}


def assert_same(found, expected, **tolerance):
    found, expected = numbers(found), numbers(expected)
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], **tolerance, err_msg=name)


@pytest.mark.parametrize("engine", ["structured", "autodiff"])
def test_a_mapping_has_the_elasticity_of_an_array(engine):
    net = Sequences()
    measured = measure_elasticity(
        net, batch(6), batch(9, seed=1), layers=["embed", "blocks.*"], engine=engine, pairs=True
    )
    twin = Twin(net, 0)
    names = ["net.embed", "net.blocks.0", "net.blocks.1"]
    expected = measure_elasticity(
        twin, as_array(batch(6)), as_array(batch(9, seed=1)), layers=names, engine="autodiff", pairs=True
    )
    assert measured["layer"].values.tolist() == ["embed", "blocks.0", "blocks.1", "logits"]
    assert measured.attrs["features"] == "all of a layer, flattened"
    assert_same(measured, expected, rtol=2e-4, atol=1e-5)


#: Each position, and padding where the last token, the last that is read and the mean of those differ by it.
DIFFERENT = [(0, False), (2, False), (-1, True), ("last", True), ("mean", True)]
OTHER = [(0, True), (2, True), (-1, False), ("last", False), ("mean", False)]


@pytest.mark.parametrize(
    ("position", "padded"), [*DIFFERENT, *(pytest.param(*one, marks=pytest.mark.long) for one in OTHER)]
)
def test_a_position_gives_the_features_of_its_token(position, padded):
    net = Sequences()
    stepped, observed = batch(3, padded=padded), batch(6, seed=1, padded=padded)
    measured = measure_elasticity(net, stepped, observed, layers=["blocks.*"], position=position)
    # The twin chooses tokens by control flow that vmap has no rule for: it is run sample by sample.
    expected = measure_elasticity(
        Twin(net, position), as_array(stepped), as_array(observed), layers=["first", "second"], engine="autodiff"
    )
    assert measured["width"].values.tolist() == [WIDTH, WIDTH, CLASSES]
    assert_same(measured, expected, rtol=2e-4, atol=1e-5)
    collapse = measure_collapse(net, [stepped, observed], layers=["blocks.*"], position=position)
    both = [torch.cat(parts) for parts in zip(as_array(stepped), as_array(observed), strict=True)]
    assert_same(
        collapse[["nc1", "cdnv", "ncc_accuracy"]],
        measure_collapse(Twin(net, position), both, layers=["first", "second"])[["nc1", "cdnv", "ncc_accuracy"]],
        rtol=1e-4,
    )
    assert "position" in collapse.attrs["features"]
    assert collapse.attrs["features"] == measured.attrs["features"]


def test_a_movement_at_a_position_is_that_of_a_step_in_float64():
    net, data = Sequences().double(), batch(2)
    measured = measure_elasticity(
        net, rows(data, [0]), rows(data, [1]), layers=["blocks.1"], position="mean", pairs=True
    )

    def features():
        mask = data["attention_mask"][1].bool()
        h = net.embed(data["input_ids"][1:]) * mask[None, :, None]
        h = net.blocks[1](net.blocks[0](h) * mask[None, :, None])
        return h[0, mask].mean(0).detach().clone()

    loss = nn.functional.cross_entropy(net(**rows(data, [0], labels=False)).logits, data["labels"][:1])
    gradients = torch.autograd.grad(loss, list(net.parameters()))
    ends = []
    for size in (1e-6, -1e-6):
        with torch.no_grad():
            for p, g in zip(net.parameters(), gradients, strict=True):
                p -= size * g
        ends.append(features())
        with torch.no_grad():
            for p, g in zip(net.parameters(), gradients, strict=True):
                p += size * g
    moved = float((ends[0] - ends[1]).norm() / 2e-6)
    assert float(measured["pair_response"].sel(layer="blocks.1").squeeze()) == pytest.approx(moved, rel=1e-6)


def rows(data, places, labels=True):
    return {key: value[places] for key, value in data.items() if labels or key != "labels"}


FORMS = {
    "a mapping of lists": lambda data: {key: value.tolist() for key, value in data.items()},
    "a mapping of NumPy arrays": lambda data: {key: value.numpy() for key, value in data.items()},
    "a UserDict": collections.UserDict,
    "a pair": lambda data: ({key: data[key] for key in data if key != "labels"}, data["labels"]),
    "a list of samples": one_by_one,
    "samples of lists, with texts": lambda data: [
        {"input_ids": s["input_ids"].tolist(), "attention_mask": s["attention_mask"].tolist(),
         "label": int(s["labels"]), "text": "some", "id": None}
        for s in one_by_one(data)
    ],
    "a Dataset of samples": lambda data: Of(one_by_one(data)),
    "a DataLoader of samples": lambda data: DataLoader(Of(one_by_one(data)), batch_size=5),
    "a DataLoader of pairs": lambda data: DataLoader(
        Of([({k: v for k, v in s.items() if k != "labels"}, s["labels"]) for s in one_by_one(data)]), batch_size=5
    ),
}  # fmt: skip


def recorded_as(make, folder, probes=CHEAP):
    """Record one epoch of samples in a form, and return the cube."""
    train, test = batch(12), batch(6, seed=1)
    options = {"layers": ["blocks.*"], "train": make(train), "test": make(test), "position": "last"}
    with elastic.Recorder(folder, Sequences(), epochs=3, probes=probes, **options) as recorder:
        recorder.record(0)
    return open_study(folder).cube


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Return the cube of a plain mapping."""
    return recorded_as(dict, tmp_path_factory.mktemp("plain"), PROBES)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_samples_is_recorded_alike(form, plain, tmp_path):
    """All are one table of samples after the first look at them: elasticity is recorded of one form."""
    probes = PROBES if form == "a DataLoader of pairs" else CHEAP
    cube = recorded_as(FORMS[form], tmp_path, probes)
    assert cube.attrs["data_digest"] == plain.attrs["data_digest"]
    assert ("elasticity" in cube) is (probes is PROBES)
    for group in cube.children:
        xr.testing.assert_identical(cube[group].to_dataset(), plain[group].to_dataset())


def test_a_mapping_is_recorded_as_its_array_bit_by_bit(tmp_path):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    x, y = torch.randn(12, 5), torch.arange(12) % 3

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, features):
            return {"logits": self.net(features)}

    forms = {"array": (net, (x, y), ["1", "2"]), "mapping": (Named(), {"features": x, "labels": y}, ["net.1", "net.2"])}
    cubes = {}
    for name, (model, train, layers) in forms.items():
        with elastic.Recorder(tmp_path / name, model, layers=layers, train=train, probes=PROBES, epochs=3) as recorder:
            recorder.record(0)
        cubes[name] = open_study(tmp_path / name).cube
    for group in ("training", "collapse", "elasticity"):
        for name, values in cubes["array"][group].data_vars.items():
            np.testing.assert_array_equal(values.values, cubes["mapping"][group][name].values, err_msg=name)
    assert cubes["mapping"]["collapse"]["width"].values.tolist() == [5, 4, 3]
    assert "Named" in open_study(tmp_path / "mapping").cube.attrs["settings"]


def test_the_inputs_of_a_mapping_are_all_its_arrays(tmp_path):
    data = batch(12)
    with elastic.Recorder(tmp_path, Sequences(), layers=["blocks.*"], train=data, probes=CHEAP, epochs=3) as recorder:
        recorder.record(0)
    collapse = open_study(tmp_path).cube["collapse"].sel(layer="input", split="train")
    both = np.concatenate([data["input_ids"].numpy(), data["attention_mask"].numpy()], axis=1)
    expected = measure_collapse({"input": both[:18]}, data["labels"][:18])
    assert int(collapse["width"]) == 2 * LENGTH
    np.testing.assert_allclose(collapse["nc1"].values.item(), expected["nc1"].values.item(), rtol=1e-12)


class TwoInputs(nn.Module):
    """Takes two arrays by position and returns a tuple, its outputs second."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.left, self.right, self.head = nn.Linear(4, 5), nn.Linear(2, 5), nn.Linear(5, 3)
        self.join = nn.Tanh()

    def forward(self, a, b):
        h = self.join(self.left(a) + self.right(b))
        return h, self.head(h)


class Joined(TwoInputs):
    def forward(self, x):
        return super().forward(x[:, :4], x[:, 4:])[1]


def test_a_function_of_the_users_runs_the_model_on_the_batch(tmp_path):
    draw = torch.Generator().manual_seed(0)
    a, b, y = torch.randn(9, 4, generator=draw), torch.randn(9, 2, generator=draw), torch.arange(9) % 3

    def forward(model, samples):
        (left, right), labels = samples
        assert len(labels) == len(left)
        return model(left, right)

    options = {"layers": ["join"], "forward": forward, "output": 1}
    net = TwoInputs()
    measured = measure_elasticity(net, ((a, b), y), ((a, b), y), **options, pairs=True)
    whole = (torch.cat([a, b], dim=1), y)
    expected = measure_elasticity(Joined(), whole, whole, layers=["join"], pairs=True)
    assert_same(measured, expected, rtol=1e-4, atol=1e-6)
    assert bool(np.isnan(np.diag(measured["pair_response"].values[0])).all())  # a sample is no pair with itself
    with elastic.Recorder(tmp_path, net, train=((a, b), y), probes=CHEAP, epochs=3, **options) as recorder:
        recorder.record(0)
    assert open_study(tmp_path).cube["collapse"]["layer"].values.tolist() == ["input", "join", "logits"]
    streamed = measure_collapse(net, [((a, b), y)], **options)
    assert_same(streamed, measure_collapse(Joined(), whole, layers=["join"]), rtol=1e-6)


def test_samples_one_by_one_are_streamed_as_their_batch():
    net, data = Sequences(), batch(12)
    lists = [{"input_ids": s["input_ids"].tolist(), "attention_mask": s["attention_mask"].tolist(),
              "label": int(s["labels"]), "text": "some"} for s in one_by_one(data)]  # fmt: skip
    expected = measure_collapse(net, [data], layers=["blocks.*"], position="last")
    for samples in (lists, Of(lists), one_by_one(data), Of(one_by_one(data))):
        measured = measure_collapse(net, samples, layers=["blocks.*"], position="last", batch_size=5)
        assert_same(measured, expected, rtol=1e-4, atol=1e-9)


def test_outputs_are_named(tmp_path):
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.hidden, self.a, self.b = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(5, 3)

        def forward(self, x):
            h = self.hidden(x)
            return {"coarse": self.a(h), "fine": self.b(h)}

    net, samples = Several(), (torch.randn(9, 4), torch.arange(9) % 3)
    measured = measure_elasticity(net, samples, samples, layers=["hidden", "b"], output="fine")
    assert measured["layer"].values.tolist() == ["hidden", "b"]
    plain = nn.Sequential(net.hidden, net.b)
    assert_same(measured, measure_elasticity(plain, samples, samples, layers=["0", "1"]), rtol=1e-4, atol=1e-6)
    with pytest.raises(ModelError, match=r"'logits' is none; found a dict with the tensors coarse, fine; try output="):
        measure_elasticity(net, samples, samples, layers=["hidden"])
    with pytest.raises(ModelError, match="'finer' is none"):
        elastic.Recorder(tmp_path, net, layers=["hidden"], train=samples, output="finer", epochs=3)
    assert not list(tmp_path.iterdir())


def test_a_head_on_every_token_is_the_output_at_the_position(tmp_path):
    """As a causal language model classifies: the head reads all tokens, and the model returns those of the last one."""

    class Causal(Sequences):
        def forward(self, input_ids, attention_mask):
            h = self.embed(input_ids)
            for block in self.blocks:
                h = block(h)
            scores = self.head(h)
            return Output(scores[torch.arange(len(h)), attention_mask.sum(1) - 1])

    for call in (
        lambda net: measure_collapse(net, [batch(12)], layers=["blocks.*", "head"], position="last"),
        lambda net: measure_elasticity(net, batch(6), batch(6), layers=["blocks.*", "head"], position="last"),
    ):
        measured = call(Causal())
        assert measured["layer"].values.tolist() == ["blocks.0", "blocks.1", "head"]
        assert measured["role"].values.tolist() == ["hidden", "hidden", "output"]
    net = Causal()
    measured = measure_collapse(net, [batch(12)], layers=["blocks.*", "head"], position="last")
    h = {}
    handle = net.blocks[1].register_forward_hook(lambda module, arguments, output: h.update(features=output.detach()))
    net(**rows(batch(12), slice(None), labels=False))
    handle.remove()
    last = h["features"][torch.arange(12), batch(12)["attention_mask"].sum(1) - 1]
    expected = measure_collapse({"blocks.1": last}, batch(12)["labels"], classifier=net.head.weight)
    np.testing.assert_allclose(
        measured["nc3_duality"].sel(layer="blocks.1"), expected["nc3_duality"].sel(layer="blocks.1"), rtol=1e-5
    )


def test_a_model_that_takes_the_first_token_has_its_classifier(tmp_path):
    class First(Sequences):
        def forward(self, input_ids, attention_mask):
            return self.head(self.blocks[1](self.blocks[0](self.embed(input_ids)))[:, 0])

    options = {"layers": ["blocks.*"], "probes": CHEAP, "epochs": 3, "train": batch(12)}
    for position, known in ((0, True), (1, False), (None, False)):
        with elastic.Recorder(tmp_path / str(position), First(), position=position, **options) as recorder:
            recorder.record(0)
        values = open_study(tmp_path / str(position)).cube["collapse"]
        measured = "nc3_duality" in values and bool(values["nc3_duality"].sel(layer="blocks.1").notnull().all())
        assert measured is known


def test_control_flow_that_looks_at_the_mask_is_followed_by_both_engines():
    """As transformers choose a mask: vmap has no rule for it, so samples are recorded one by one."""

    class Looking(Sequences):
        def forward(self, input_ids, attention_mask):
            if not attention_mask.all():
                input_ids = input_ids * attention_mask
            return super().forward(input_ids, attention_mask)

    net = Looking()
    both = {
        engine: measure_elasticity(net, batch(6), batch(9, seed=1), layers=["blocks.*"], position="last", engine=engine)
        for engine in ("auto", "autodiff")
    }
    assert both["auto"].attrs["engine"] == "structured"
    assert_same(both["auto"], both["autodiff"], rtol=2e-4, atol=1e-5)


def test_samples_are_copied(tmp_path):
    data, net = batch(12), Sequences()
    with elastic.Recorder(tmp_path, net, layers=["blocks.*"], train=data, probes=PROBES, epochs=3) as recorder:
        first = recorder.record(0)
        data["input_ids"].zero_()
        second = recorder.record(1)
    assert first.scores == second.scores


def test_nothing_of_the_model_changes(tmp_path):
    net = Sequences().train()
    net.head.weight.grad = torch.ones_like(net.head.weight)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    held = set(vars(net))
    state = torch.get_rng_state()
    with elastic.Recorder(
        tmp_path, net, layers="auto", position="mean", train=batch(12), probes=PROBES, epochs=3
    ) as recorder:
        recorder.record(0)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training
    assert net.blocks[0].training
    assert set(vars(net)) == held
    assert torch.equal(state, torch.get_rng_state())
    assert float(net.head.weight.grad.sum()) == net.head.weight.numel()
    assert not any(module._forward_hooks for module in net.modules())


def test_layers_takes_a_mapping(capsys):
    tree = elastic.layers(Sequences(), batch(4))
    assert [row.name for row in tree if row.is_auto] == ["embed", "blocks.0", "blocks.1", "head"]
    assert "[n, 5, 6]" in capsys.readouterr().out
    assert tree.model == "Sequences"
    two = elastic.layers(
        TwoInputs(), (torch.ones(3, 4), torch.ones(3, 2)), forward=lambda model, inputs: model(*inputs)
    )
    assert [row.name for row in two if not row.obstacle] == ["left", "right", "head", "join"]


def changed(**parts):
    data = batch(12)
    data.update({key: part(data[key]) if callable(part) else part for key, part in parts.items()})
    return data


def without(*keys):
    return {key: value for key, value in batch(12).items() if key not in keys}


REFUSED = {
    "no labels": ({"train": without("labels")}, 'have "labels"|with "labels"'),
    "fewer rows": ({"train": changed(attention_mask=lambda t: t[:7])}, "one entry a label"),
    "fewer labels": ({"train": changed(labels=lambda t: t[:7])}, "one entry a label"),
    "other arrays in test": ({"test": without("attention_mask")}, "same arrays"),
    "another length in test": (
        {"test": {k: v[:, :3] if v.ndim > 1 else v for k, v in batch(12).items()}}, "one shape.*padding"
    ),
    "ragged lists": ({"train": changed(input_ids=[[1, 2], [3]] * 6)}, "one length.*padding"),
    "ragged samples": ({"train": [{"input_ids": [1, 2], "labels": 0}, {"input_ids": [1], "labels": 1}]}, "one shape"),
    "samples of other keys": ({"train": [*one_by_one(batch(3)), {"labels": 1}]}, "as the first one has"),
    "an unknown argument": ({"train": changed(other=torch.ones(12))}, "unexpected keyword argument 'other'"),
    "a mask of zeros": ({"train": changed(attention_mask=torch.zeros(12, 5)), "position": "mean"}, "a token in every"),
    "no such token": ({"position": 5}, "one of the 5 positions"),
    "a position that is none": ({"position": "first"}, "be an index, 'mean' or 'last'"),
    "a position that is a truth value": ({"position": True}, "be an index, 'mean' or 'last'"),
    "an output that is none": ({"output": 1.5}, "be a name or a position"),
    "a forward that is none": ({"forward": "model"}, "be a function"),
    "a forward that raises": ({"forward": lambda model, batch: model(batch)}, "missing 1 required|run on"),
    "a forward that returns nothing": ({"forward": lambda model, batch: None}, "be a tensor that the model returns"),
    "several arrays without forward": ({"train": ((torch.ones(12, 2), torch.ones(12, 2)), torch.arange(12) % 3)},
                                       "forward=lambda model, batch"),
    "three parts": ({"train": (torch.ones(12, 2), torch.arange(12), torch.arange(12))}, "a pair; found a tuple of 3"),
    "a shuffling loader": ({"train": DataLoader(Of(one_by_one(batch(12))), batch_size=4, shuffle=True)}, "the same"),
    "texts": ({"train": changed(input_ids=["a text"] * 12)}, "run on"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_samples_are_refused_before_anything_is_written(kind, tmp_path):
    given, match = REFUSED[kind]
    options = {"layers": ["blocks.*"], "train": batch(12), "epochs": 3, "probes": CHEAP}
    with pytest.raises(ElasticError, match=match):
        elastic.Recorder(tmp_path / "study", Sequences(), **{**options, **given})
    assert not (tmp_path / "study").exists()


def test_batches_of_several_lengths_are_refused(tmp_path):
    short = {key: value[:, :3] if value.ndim > 1 else value for key, value in batch(4).items()}
    loader = DataLoader(Of([batch(4), short]), batch_size=None)
    with pytest.raises(DegenerateInput, match=r"one shape.*batch 2 of `train`.*padding"):
        elastic.Recorder(tmp_path / "study", Sequences(), layers=["blocks.*"], train=loader, epochs=3)


def test_an_infinite_input_is_refused():
    net = TwoInputs()
    data = ((torch.full((6, 4), torch.inf), torch.ones(6, 2)), torch.arange(6) % 3)
    with pytest.raises(DegenerateInput, match="be finite"):
        measure_elasticity(net, data, data, layers=["join"], forward=lambda model, batch: model(*batch[0]), output=1)


def test_a_built_in_model_takes_arrays():
    net = mlp(Task((4,), classes=3), widths=[5])
    samples = (torch.randn(6, 4), torch.arange(6) % 3)
    with pytest.raises(ModelError, match="`position` should be left out for a built-in model"):
        measure_elasticity(net, samples, samples, position=0)
    with pytest.raises(ModelError, match="take one array"):
        measure_elasticity(net, {"x": samples[0], "labels": samples[1]}, samples)
    with pytest.raises(ModelError, match="built-in"):
        measure_collapse(net, [samples], position=0)


def test_arrays_take_no_options_of_models():
    with pytest.raises(DegenerateInput, match="`position` should be left out for arrays"):
        measure_collapse(np.eye(4), [0, 0, 1, 1], position=0)


class Slots:
    __slots__ = ("hidden", "scores")

    def __init__(self, hidden, scores):
        self.hidden, self.scores = hidden, scores


@pytest.mark.parametrize(
    ("returning", "output", "warns"),
    [
        (lambda h, z: Slots(h, z), "scores", False),
        (lambda h, z: (z, h[:, :, None]), None, False),
        (lambda h, z: (z, h), 0, False),
        (lambda h, z: (z, h), None, True),
    ],
)
def test_which_tensor_of_several_is_read_is_known(returning, output, warns, caplog):
    class Returning(nn.Sequential):
        def forward(self, x):
            hidden = self[0](x)
            return returning(hidden, self[1](hidden))

    torch.manual_seed(0)
    net, samples = Returning(nn.Linear(4, 5), nn.Linear(5, 3)), (torch.randn(6, 4), torch.arange(6) % 3)
    measured = measure_elasticity(net, samples, samples, layers=["0"], output=output)
    plain = measure_elasticity(nn.Sequential(*net), samples, samples, layers=["0"])
    np.testing.assert_allclose(measured.response.values, plain.response.values, rtol=1e-5)
    logged = [record.getMessage() for record in caplog.records]
    assert (
        logged
        == ["the model returns [n, 3] and [n, 5]: the first is read as its output; output=1 reads the next"] * warns
    )


def test_a_module_in_place_of_its_weights_is_named():
    with pytest.raises(DegenerateInput, match=r"found a Linear; try \(module\.weight, module\.bias\)"):
        measure_collapse(torch.randn(6, 4), torch.arange(6) % 3, classifier=nn.Linear(4, 3))
    with pytest.raises(DegenerateInput, match="be an array of numbers; found a function"):
        measure_collapse(lambda x: x, torch.arange(6) % 3)
