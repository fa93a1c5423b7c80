"""``training.tf32``: where a GPU may round the factors of products, whatever the process is set to."""

from __future__ import annotations

import pytest
import torch
from support import studies
from torch import nn

from elastic.probes.evaluation import probed
from elastic.protocol import load_protocol
from elastic.runs.arithmetic import arithmetic_of


def precisions():
    return torch.backends.cuda.matmul.fp32_precision, torch.backends.cudnn.conv.fp32_precision


@pytest.fixture(params=["ieee", "tf32"])
def process(request):
    """Set the process to a precision, and back."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = request.param
    yield request.param
    for backend, precision in zip(backends, before, strict=True):
        backend.fp32_precision = precision


@pytest.mark.parametrize(("asked", "training", "probes"), [
    ("never", "ieee", "ieee"), ("training", "tf32", "ieee"), ("everywhere", "tf32", "tf32"),
])  # fmt: skip
def test_products_are_rounded_where_the_protocol_asks(tmp_path, process, asked, training, probes):
    settings = load_protocol(studies.write(tmp_path), settings=[f"training.tf32={asked}"]).cells[0].settings
    with arithmetic_of(settings):
        assert precisions() == (training, training)
        with probed(nn.Linear(1, 1)):
            assert precisions() == (probes, probes)
        assert precisions() == (training, training)
    assert precisions() == (process, process)
