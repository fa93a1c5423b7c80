"""Settings of all tests: one thread a process, so that tests side by side do not fight for the cores."""

from __future__ import annotations

import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("elastic", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("elastic")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Take ten thousand tests and the modules that they import out of what the garbage collector goes through.

    While they are collected it would go through them again and again, which takes a third of that time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)  # of 700 new objects: the tests make millions, of which few are garbage
        gc.enable()


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
    import torch  # here, because the process that hands out the tests needs none

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
def _unthreaded():
    """Let Zarr read and write in the thread that asks it to: it hands each small file to two others, and waits.

    That takes a quarter of the time of opening or sealing a small cube. Commands that run in processes of their own
    have Zarr's threads, as users have them.
    """
    import asyncio

    from support import unthreaded

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "run_coroutine_threadsafe", unthreaded.done_at_once)
        patch.setattr(asyncio, "to_thread", unthreaded.called_at_once)
        yield
    unthreaded.close()


@pytest.fixture(scope="session", autouse=True)
def _one_figure():
    """Draw one figure a page: a page of all costs seconds of drawing.

    Every figure is drawn and looked at in tests/figures, tests/report asks for more where a page has several, and
    `elastic report` draws all in tests/cli/test_exit_codes.py, in a process of its own.
    """
    from support.report_pages import drawing

    with drawing("depth_profile"):
        yield


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory):
    """Return the small study of `studies`, run to its end; tests read it and change nothing."""
    from support import studies

    return studies.run(tmp_path_factory.mktemp("finished"))


#: What the cube says of the engines of the elasticity probes.
OF_ENGINES = ("probe_engine", "probe_error")


@pytest.fixture(scope="module")
def few_metrics():
    """Leave out most metrics in a file that asks nothing of the others: records and cubes of few take less."""
    from support.few_metrics import leave_few

    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch, *OF_ENGINES)
        yield


@pytest.fixture(scope="session")
def study_of_few(tmp_path_factory):
    """Return the small study of `studies` with few metrics, run to its end; tests read it and change nothing."""
    from support import studies
    from support.few_metrics import leave_few

    with pytest.MonkeyPatch.context() as patch:
        leave_few(patch, *OF_ENGINES)
        return studies.run(tmp_path_factory.mktemp("finished_of_few"))


@pytest.fixture
def sealing():
    """Seal studies, in a file whose other tests are `unsealed`."""


@pytest.fixture
def unsealed(request, monkeypatch):
    """Leave out the sealing of studies, which takes as long as a record: the cube is read from the journals then.

    For tests of what is recorded. Those of names, of epochs and of whatever else a sealed cube holds seal it.
    """
    from elastic.study import Study

    if "sealing" not in request.fixturenames:
        monkeypatch.setattr(Study, "seal", lambda self: None)
