"""``training.tf32``: where a GPU may round the factors of products, whatever the process is set to."""

from __future__ import annotations

import pytest
import studies
import torch
from torch import nn

from elastic.probes.evaluation import probed
from elastic.protocol import load_protocol
from elastic.runs.arithmetic import arithmetic_of


def precisions():
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision


@pytest.mark.parametrize(("asked", "training", "probes"), [
    ("never", "ieee", "ieee"), ("training", "tf32", "ieee"), ("everywhere", "tf32", "tf32"),
])  # fmt: skip
@pytest.mark.parametrize("process", ["ieee", "tf32"])
def test_products_are_rounded_where_the_protocol_asks(tmp_path, monkeypatch, asked, training, probes, process):
    for backend in (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn):
        monkeypatch.setattr(backend, "fp32_precision", process)
    settings = load_protocol(studies.write(tmp_path), settings=[f"training.tf32={asked}"]).cells[0].settings
    with arithmetic_of(settings):
        assert precisions() == (training, training)
        with probed(nn.Linear(1, 1)):
            assert precisions() == (probes, probes)
        assert precisions() == (training, training)
    assert precisions() == (process, process)
