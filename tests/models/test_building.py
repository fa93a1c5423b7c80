import copy

import pytest
import torch
from torch import nn

from elastic.errors import ModelError, OptionError, UnknownName
from elastic.models.building import build_model, layer_table
from elastic.models.contract import Stages, TappedModel, Task
from elastic.registry import registry

IMAGES = Task((1, 8, 8), classes=10)
OPTIONS = {"mlp": {"widths": [7, 5]}, "cnn": {"channels": [4, 6]}}


@pytest.fixture
def register(monkeypatch):
    """Enter a model for one test."""
    models = registry("models")
    models.names()

    def enter(function):
        monkeypatch.setattr(models, "_entries", dict(models._entries))
        models.register("for_the_test")(function)

    return enter


def test_every_built_in_model_is_built_by_name():
    assert {*OPTIONS, "external"} <= set(registry("models").names())
    for name, options in OPTIONS.items():
        model = build_model(name, options, IMAGES)
        assert model(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
        assert model.layers[-2:] == ("penultimate", "logits")


def test_the_layer_table_counts_flattened_widths_from_the_input():
    rows = layer_table(build_model("cnn", OPTIONS["cnn"], IMAGES), IMAGES.input_shape)
    assert rows == [("input", 0, 64), ("conv_1", 1, 64), ("conv_2", 2, 24), ("penultimate", 3, 6), ("logits", 4, 10)]


def test_the_layer_table_of_a_double_model_in_training_leaves_it_so():
    model = build_model("mlp", OPTIONS["mlp"] | {"norm": "batch"}, IMAGES).double().train()
    before = copy.deepcopy(model.state_dict())
    assert [row.width for row in layer_table(model, IMAGES.input_shape)] == [64, 7, 5, 10]
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_the_first_forward_pass_draws_nothing(name):
    """The random state after building is that after the initialisation alone."""
    torch.manual_seed(0)
    built = build_model(name, OPTIONS[name], IMAGES)
    after = torch.get_rng_state()
    torch.manual_seed(0)
    initialised = registry("models").get(name).function(IMAGES, **OPTIONS[name])
    assert torch.equal(after, torch.get_rng_state())
    assert built.training
    expected = initialised.state_dict()
    assert all(torch.equal(expected[key], value) for key, value in built.state_dict().items())


def test_unknown_names_and_options_are_refused_with_the_nearest():
    with pytest.raises(UnknownName, match="'mlp'"):
        build_model("mpl", {}, IMAGES)
    with pytest.raises(OptionError, match="'activation'"):
        build_model("mlp", {"widths": [3], "activatoin": "relu"}, IMAGES)


def test_a_model_that_is_no_tapped_model_is_refused(register):
    register(lambda task: nn.Linear(64, 10))
    with pytest.raises(ModelError, match="be a TappedModel; found Linear"):
        build_model("for_the_test", {}, IMAGES)


def test_a_model_that_fails_on_the_data_is_refused_in_one_line(register):
    register(lambda task: Stages({"penultimate": nn.Linear(3, 4), "logits": nn.Linear(4, 10)}))
    with pytest.raises(ModelError, match=r"run on inputs of shape \(1, 8, 8\); found RuntimeError: .+; try") as caught:
        build_model("for_the_test", {}, IMAGES)
    assert "\n" not in str(caught.value)


def test_a_model_of_too_many_logits_is_refused(register):
    register(lambda task: Stages({"penultimate": nn.Flatten(), "logits": nn.Linear(64, 11)}))
    with pytest.raises(ModelError, match=r"10 logits .* found shape \(2, 11\)"):
        build_model("for_the_test", {}, IMAGES)


def test_a_model_whose_taps_are_not_its_layers_is_refused(register):
    class Forgetful(TappedModel):
        layers = ("penultimate", "logits")

        def forward(self, inputs):
            return torch.zeros(len(inputs), 10)

        def taps(self, inputs):
            return {"logits": self(inputs)}

    register(lambda task: Forgetful())
    with pytest.raises(ModelError, match="the same names"):
        build_model("for_the_test", {}, IMAGES)
