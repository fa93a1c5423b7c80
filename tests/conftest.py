"""Settings of all tests: one thread a process, so that tests side by side do not fight for the cores."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("elastic", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("elastic")


def pytest_collection_finish():
    """Take ten thousand tests and the modules that they import out of what the garbage collector goes through."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each file to one worker, in the order of files, whatever `--dist` says.

    Studies that a module makes once are made once altogether, instead of once a worker. The last files are those of
    doctests, short ones, so that no worker waits long for the other.
    """
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # which puts files of few tests last, and with them the slowest ones
    return LoadFileScheduling(config, log)


@pytest.fixture(autouse=True)
def _seeded():
    """Draw each test's weights from one seed: about one small ReLU net in fifty has a class that no unit sees."""
    torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _unsynced():
    """Leave it to the kernel when files reach the disk: no test cuts the power, and a study waits for 500 syncs.

    That a file is synced before it takes its place, and its folder after, tests/cube/test_atomic.py watches.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_figure():
    """Draw one figure a page: a page of all costs seconds of drawing.

    Every figure is drawn and looked at in tests/figures, tests/report asks for more where a page has several, and
    `elastic report` draws all in tests/test_without_torch.py and tests/cli/test_exit_codes.py, in processes of
    their own.
    """
    from support.report_pages import drawing

    with drawing("depth_profile"):
        yield


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory):
    """Return the small study of `studies`, run to its end; tests read it and change nothing."""
    from support import studies

    return studies.run(tmp_path_factory.mktemp("finished"))
