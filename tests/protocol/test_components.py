"""Components of registries other than elastic's own: what a new part must be to stand in a protocol."""

import sys
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import Field
from support import processes

from elastic.errors import UnknownName
from elastic.protocol import Protocol, json_schema
from elastic.registry import Registry

KINDS = ("data", "models", "losses", "optimizers", "schedules", "probe_schedules", "metrics", "claims")

WRITTEN = {
    "name": "toy",
    "title": "Toy parts",
    "data": "blobs",
    "model": "net",
    "loss": "hinge",
    "optimizer": {"name": "walk", "lr": 1},
    "training": {"epochs": 1},
}


def blobs(generator, *, spread: float = 1, shape: tuple[int, ...] = (2, 3)):
    """Blobs of points."""


def net(task, *, depth: Annotated[int, Field(ge=1)] = 2, extra: dict[str, Any] = {}):  # noqa: B006
    """A net."""


def hinge(*, margin: Annotated[float, Field(gt=0)] = 1.0, kind: Literal["hard", "soft"] = "hard"):
    """The hinge loss."""


def walk(parameters, *, lr: float):
    """Walks."""


def constant(epoch, epochs):
    """Stays."""


def log(epochs, *, count: int = 12):
    """Logarithmic."""


@pytest.fixture
def toys(monkeypatch):
    """Registries of one function a kind instead of elastic's own."""
    registries = {kind: Registry(kind, package=None) for kind in KINDS}
    functions = {"data": blobs, "models": net, "losses": hinge, "optimizers": walk, "schedules": constant,
                 "probe_schedules": log}  # fmt: skip
    for kind, function in functions.items():
        registries[kind].register()(function)
    for module in ("components", "loading", "claims", "file_schema"):
        monkeypatch.setattr(f"elastic.protocol.{module}.registry", registries.__getitem__)
    return registries


def test_components_of_any_registry_are_completed(files, toys):
    protocol = files.load(WRITTEN)
    assert protocol.data.options == {"spread": 1.0, "shape": [2, 3]}
    assert protocol.model.options == {"depth": 2, "extra": {}}
    assert protocol.loss.options == {"margin": 1.0, "kind": "hard"}
    assert protocol.optimizer.options == {"lr": 1.0}
    assert protocol.data.normalize == "standardize"


def test_a_new_part_is_known_as_soon_as_it_is_registered(files, toys):
    written = WRITTEN | {"loss": {"name": "focal", "gamma": 3}}
    assert isinstance(files.refuse(written), UnknownName)

    @toys["losses"].register()
    def focal(*, gamma: int = 2):
        """Focal."""

    assert files.load(written).loss.options == {"gamma": 3}
    jsonschema.Draft202012Validator(json_schema()).validate(written)


def test_free_options_keep_their_plain_data(files, toys):
    extra = {"list": [1, 2.5, None, True, "x"], "dict": {"float": {"int": 1}}}
    assert files.load(WRITTEN | {"model": {"name": "net", "extra": extra}}).model.options["extra"] == extra


@pytest.mark.parametrize(
    ("change", "field", "hint"),
    [
        ({"loss": {"name": "hinge", "kind": "sotf"}}, "`loss.kind`", "kind: 'soft'"),
        ({"loss": {"name": "hinge", "margin": 0}}, "`loss.margin`", "elastic show hinge"),
        ({"loss": {"name": "hinge", "Margin": 2}}, "`loss.Margin`", "'margin'"),
        ({"model": {"name": "net", "depht": 2}}, "`model.depht`", "'depth'"),
        ({"optimizer": "walk"}, "`optimizer.lr`", "adding it (elastic show walk)"),
        ({"optimizer": {"name": "walk", "lr": 1, "shedule": "constant"}}, "`optimizer.shedule`", "'schedule'"),
        ({"data": {"name": "blobs", "test_fracton": 0.5}}, "`data.test_fracton`", "'test_fraction'"),
    ],
)
def test_options_are_checked_with_the_functions_own_types(files, toys, change, field, hint):
    error = files.refuse(WRITTEN | change)
    assert (error.field, error.hint) == (field, hint)


@pytest.mark.parametrize(
    "key", ["model_config", "__class__", "model_fields", "copy", "options", "_x", "", "self", "ä b"]
)
def test_no_key_is_special_to_the_code_that_reads_it(files, toys, key):
    protocol = Protocol.from_canonical(files.load(WRITTEN).canonical() | {"claims": [{"name": "c", key: 1}]})
    assert protocol.claims[0].options == {key: 1}
    assert protocol.canonical()["claims"] == [{"name": "c", key: 1}]
    assert files.refuse(WRITTEN | {"loss": {"name": "hinge", key: 1}}).field == f"`loss.{key}`"


def test_reading_an_opened_study_needs_neither_torch_nor_registries(files):
    canonical = files.load(
        {
            "name": "little",
            "title": "Little",
            "data": "digits",
            "model": {"name": "mlp", "widths": [8]},
            "optimizer": {"name": "sgd", "lr": 0.1},
            "training": {"epochs": 2},
            "axes": {"net": {"path": "model", "values": ["cnn", {"name": "mlp", "widths": [3]}], "labels": ["c", "m"]}},
        }
    ).canonical()
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from elastic.protocol import Protocol\n"
        f"protocol = Protocol.from_canonical({canonical!r})\n"
        "assert [cell.settings.model.name for cell in protocol.cells] == ['cnn', 'mlp']\n"
        "print(protocol.digest)"
    )
    done = processes.run([sys.executable, "-c", program], check=True)
    assert len(done.stdout.strip()) == 64
