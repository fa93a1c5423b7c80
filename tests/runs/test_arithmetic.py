"""The arithmetic of a run, whatever the process is set to: TF32 where the protocol asks, else as in a new process."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
from support import studies
from torch import nn

from elastic.probes.evaluation import probed
from elastic.protocol import load_protocol
from elastic.runs.arithmetic import arithmetic_of
from elastic.runs.setup import forget_data


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


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_run_in_a_notebook_with_modes_of_its_own_has_the_records_of_a_new_process(tmp_path):
    asked = "axes.seed=[0]", "training.epochs=1"
    plain = studies.journals(studies.run(tmp_path / "plain", *asked))
    forget_data()
    with torch.inference_mode(), torch.autocast("cpu"), torch.device("meta"), default_dtype(torch.float64):
        assert studies.journals(studies.run(tmp_path / "other", *asked)) == plain
