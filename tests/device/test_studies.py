"""Whole studies on a GPU: the cube and the verdicts of the processor, kills and resumption, workers on one card."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import numpy as np
import pytest
from support import processes, studies

import elastic

pytestmark = pytest.mark.device

#: A convolutional network in float64, in which a GPU and a processor agree for all of a short training.
EXACT = """\
name: exact
title: A study in float64
data: {name: digits, classes: [3, 5, 8], per_class: 20, test_fraction: 0.3}
model: {name: cnn, channels: [3, 4]}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9, weight_decay: 1.0e-3}
training: {epochs: 4, batch_size: 16, dtype: float64}
probes:
  at: {name: every, step: 2}
  collapse: {per_class: 20}
  elasticity: {stepped_per_class: 2, observed_per_class: 4}
  weights: {}
axes:
  seed: [0, 1]
claims:
  - {name: collapse_deepens_with_depth, metric: nc1}
  - {name: collapse_deepens_with_training, metric: nc1, layer: penultimate}
  - {name: locality_above, threshold: 1.0}
"""


@pytest.fixture(scope="module")
def small(device, tmp_path_factory):
    """Return the small study, run on the device without a break."""
    return studies.run(tmp_path_factory.mktemp("device"), device=device)


def arrays(study):
    """Return every floating-point array of a cube by its path."""
    cube = study.cube.load()
    datasets = {group: cube[group].to_dataset() for group in cube.groups[1:]}
    return {f"{g}/{n}": v.values for g, ds in datasets.items() for n, v in ds.data_vars.items() if v.dtype.kind == "f"}


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-6), ("float32", 2e-2)])
def test_a_study_has_the_cube_and_the_verdicts_of_the_processor(device, tmp_path, dtype, rtol):
    setting = f"training.dtype={dtype}"
    here, there = (studies.run(tmp_path / str(place), setting, text=EXACT, device=place) for place in ("cpu", device))
    expected, result = arrays(here), arrays(there)
    worst = {}
    assert expected.keys() == result.keys()
    for name, values in expected.items():
        scale = np.nanmax(np.abs(values), initial=1e-6)
        assert (np.isnan(values) == np.isnan(result[name])).all(), name
        worst[name] = np.nanmax(np.abs(values - result[name]), initial=0.0) / scale
    print(dtype, sorted(worst.items(), key=lambda item: -item[1])[:5])
    # The error of a probe against real steps is rounding itself; which engine is faster depends on the device.
    apart = {"/elasticity/probe_error", "/elasticity/probe_engine"}
    assert {name: error for name, error in worst.items() if error > rtol and name not in apart} == {}
    one, other = (elastic.check(study.folder).verdicts for study in (here, there))
    assert [verdict.verdict for verdict in one] == [verdict.verdict for verdict in other]


def test_a_run_that_is_stopped_goes_on_to_the_same_bits(device, small, tmp_path):
    class Stopping(elastic.progress.Watcher):
        def epoch_done(self, epoch, scores, probed):
            if epoch == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        studies.run(tmp_path, device=device, watch=Stopping())
    assert studies.journals(studies.run(tmp_path, device=device)) == studies.journals(small)


def test_a_run_that_is_killed_goes_on_to_the_same_bits(device, small, tmp_path):
    path = studies.write(tmp_path)
    command = [sys.executable, "-m", "elastic", "run", path, "--out", tmp_path / "results", "--device", device]
    with processes.started(command, cwd=tmp_path) as process:
        limit = time.monotonic() + 120
        while time.monotonic() < limit and process.poll() is None:
            if list(tmp_path.glob("results/small/runs/*/journal/*.npz")):
                break
            time.sleep(0.01)
        process.kill()
    study = studies.run(tmp_path, device=device)
    assert studies.journals(study) == studies.journals(small)


def test_several_workers_on_one_card_record_the_bits_of_one(device, small, tmp_path):
    study = studies.run(tmp_path, device=device, workers=2)
    assert studies.journals(study) == studies.journals(small)


def test_a_run_tells_on_which_device_it_was_trained(device, small):
    reports = [json.loads(path.read_text()) for path in small.folder.glob("runs/*/status.json")]
    assert len(reports) == 2
    assert all((report["environment"]["device"] == "cpu") == (device == "cpu") for report in reports)
