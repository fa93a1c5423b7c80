"""Studies whose probes have not been read yet: they diverged at once, or are on their way to the first."""

from __future__ import annotations

import shutil

import pytest
import torch
from click.testing import CliRunner
from support.recordings import network, record, recorder

import elastic
from elastic.cli import cli

pytestmark = pytest.mark.usefixtures("few_metrics")


@pytest.fixture(scope="module", params=["diverged", "not due"])
def unprobed(tmp_path_factory, request):
    model = network()
    if request.param == "diverged":
        with torch.no_grad():
            model[0].weight.fill_(float("nan"))
    folder = tmp_path_factory.mktemp("unprobed") / "study"
    with recorder(folder, model) as recording:
        recording.record(0, probe=False)
    return folder


def test_a_group_comes_with_its_first_probed_epoch(unprobed, tmp_path):
    unprobed = shutil.copytree(unprobed, tmp_path / "study")
    assert set(elastic.open_study(unprobed).cube.children) == {"training"}
    record(unprobed, coordinates={"seed": 1})
    assert elastic.open_study(unprobed).cube["collapse"]["nc1"].isnull().all(["epoch", "layer", "split"]).any()


@pytest.mark.parametrize("command", ["status", "check", "report", "notebook", "export"])
def test_every_command_serves_such_a_study(unprobed, command):
    result = CliRunner().invoke(cli, [command, str(unprobed)])
    assert result.exit_code == 0, result.output
