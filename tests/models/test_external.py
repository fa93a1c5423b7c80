import sys

import pytest
import torch

from elastic.errors import ModelError, NotAllowed, OptionError
from elastic.models.building import build_model
from elastic.models.contract import Task

SOURCE = """
import functools
import os
from os import system as os_system

import torch
from torch import nn
from torch.nn import Linear as borrowed

open(os.path.join(os.path.dirname(__file__), "was_imported"), "w").close()

class Net(nn.Module):
    def __init__(self, input_shape, classes, width=5):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(input_shape[0] * 6, width), nn.ReLU())
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.body(x))

    @classmethod
    def build(cls, **options):
        return cls((2,), 3, **options)

def plain(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.Linear(width, 3))

def no_module():
    return 3

def broken():
    raise RuntimeError("first line\\nsecond line")

instance = plain(2)
partial = functools.partial(plain, 2)
"""

TASK = Task((2, 6), classes=3, allowed=("mypkg.models",))


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "mypkg"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "models.py").write_text(SOURCE)
    (folder / "fails.py").write_text("import no_such_package_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypkg"]:
        del sys.modules[name]


def build(target, task=TASK, layers=("body",), **options):
    return build_model("external", {"target": target, "layers": list(layers), "options": options}, task)


def test_a_class_is_told_the_shape_and_the_classes(package):
    model = build("mypkg.models:Net", width=7)
    assert model.layers == ("body", "logits")
    taps = model.taps(torch.randn(4, 2, 6))
    assert {name: tuple(f.shape) for name, f in taps.items()} == {"body": (4, 7), "logits": (4, 3)}
    assert model.next_weights()["body"] is model.module.head


def test_the_output_layer_is_called_logits_whatever_submodule_gives_it(package):
    for layers in (["body"], ["body", "head"], ["body", "logits"], ["body", "head", "logits"]):
        model = build("mypkg.models:Net", layers=layers)
        assert model.layers == tuple(model.taps(torch.zeros(1, 2, 6))) == ("body", "logits")
        assert model.next_weights()["body"] is model.module.head


@pytest.mark.parametrize("target", ["mypkg.models:plain", "mypkg.models:Net.build"])
def test_functions_and_class_methods_are_called_with_the_options(package, target):
    layers = ["1"] if target.endswith("plain") else ["body"]
    assert build(target, layers=layers, width=9).taps(torch.zeros(2, 2, 6))[layers[0]].shape == (2, 9)


@pytest.mark.parametrize(
    "allowed", [(), ("mypkg.model",), ("mypkg.models.more",), ("models",), ("mypkg.models_",), ("",), ("my",)]
)
def test_without_permission_nothing_is_imported(package, allowed):
    with pytest.raises(NotAllowed, match=r"--allow mypkg\.models"):
        build("mypkg.models:Net", Task((2, 6), 3, allowed))
    assert not [name for name in sys.modules if name.startswith("mypkg")]
    assert not (package / "was_imported").exists()


def test_permission_for_a_package_is_permission_for_its_modules(package):
    assert build("mypkg.models:Net", Task((2, 6), 3, ("mypkg",))).layers == ("body", "logits")
    assert (package / "was_imported").exists()


@pytest.mark.parametrize("name", ["os_system", "os.system", "borrowed", "torch.hub.load", "partial"])
def test_what_an_allowed_module_has_from_elsewhere_is_refused_and_not_called(package, name):
    error = ModelError if name == "partial" else NotAllowed
    with pytest.raises(error):
        build(f"mypkg.models:{name}", command="touch called")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mypkg.models:Missing", "be importable; found AttributeError"),
        ("mypkg.missing:Net", "be importable; found ModuleNotFoundError"),
        ("mypkg.fails:Net", "be importable; found ModuleNotFoundError: No module named 'no_such_package_at_all'"),
        ("mypkg.models:instance", "be a class or function; found Sequential"),
        ("mypkg.models:no_module", "return a torch.nn.Module; found int"),
        ("mypkg.models:broken", "found RuntimeError: first line; try"),
        ("mypkg.models:plain", "found TypeError"),
    ],
)
def test_a_useless_target_is_refused_in_one_line(package, target, message):
    with pytest.raises(ModelError) as caught:
        build(target, Task((2, 6), 3, ("mypkg",)), layers=["1"])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "target", ["", "mypkg.models", "mypkg.models:", ":Net", "..models:Net", "a b:c", "a:b:c", "/a:b"]
)
def test_a_target_is_an_import_path(target):
    with pytest.raises(OptionError, match=r"package\.module:attribute"):
        build(target)


def test_logits_must_be_as_many_as_the_classes(package):
    with pytest.raises(ModelError, match=r"give 4 logits .* found shape \(2, 3\)"):
        build("mypkg.models:plain", Task((2, 6), 4, ("mypkg",)), layers=["1"], width=2)


def test_unknown_layers_are_refused_with_the_nearest(package):
    with pytest.raises(ModelError, match="'bodi'; try 'body'"):
        build("mypkg.models:Net", layers=["bodi"])
