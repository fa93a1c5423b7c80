"""Networks of trainers: a study and the one that it is compared with record copies of the same one."""

import pytest

from elastic.probes import elasticity
from elastic.probes.shared_choice import choose_once


@pytest.fixture(scope="module", autouse=True)
def _one_trial_of_an_engine():
    """Try engines once for all copies of a network: a trial takes as long as a training of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elasticity, "choose_once", lambda alike, *given: choose_once(alike or "a copy", *given))
        yield
