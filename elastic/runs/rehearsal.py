"""A rehearsal of a run before anything is written: it is built, and takes one step that is thrown away.

It refuses what would fail at the first epoch: numbers that overflow, one sample under batch norm, a memory budget that
not even one pair of samples keeps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elastic.errors import ElasticError, ModelError, ProtocolError
from elastic.protocol import Protocol, Settings
from elastic.protocol.formatting import one_line
from elastic.runs.setup import Setup, build_setup, forget_data, resolve_device
from elastic.training.trial_step import trial_step

#: What torch's norms of a batch say about a batch that is too small.
_ONE_VALUE = "Expected more than 1 "


def rehearse(protocol: Protocol, allow: Sequence[str], device: str | None) -> Setup:
    """Rehearse the first run of a study and return it; what fails in another one is that run's failure.

    Raises
    ------
    ElasticError
        As `elastic.runs.setup.build_setup`; ModelError if no step can be taken, or no probe can be read within the
        memory budget; ProtocolError if an axis is named like a variable: in a cube a name means one thing.
    """
    forget_data()
    setup = rehearse_cell(protocol.cells[0].settings, device, allow)
    for axis in {variable.name for variable in setup.layout.variables} & {*protocol.axis_labels, *protocol.grid.along}:
        expected = "have a name that no variable of the cube has"
        raise ProtocolError(f"`axes.{axis}`", expected, repr(axis), f"`{axis}_axis`")
    return setup


def rehearse_cell(settings: Settings, device: str | None, allow: Sequence[str]) -> Setup:
    """Build one run, take one step, and ask its probes whether they can be read.

    An error of a model of the user's own is left to the run, which keeps its traceback.
    """
    setup = build_setup(settings, resolve_device(device or settings.training.device), tuple(allow))
    own = settings.model.name == "external"
    try:
        for probe in setup.probes.values():
            probe.rehearse()
        trial_step(setup.trainer)
    except ElasticError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        hint = "a smaller training.batch_size or model"
        raise ModelError("the first training step", "fit the memory", one_line(str(error), 200), hint) from error
    except Exception as error:  # torch raises a ValueError, an OverflowError, mostly a RuntimeError
        if str(error).startswith(_ONE_VALUE):
            found, hint = one_line(str(error), 200), "training.batch_size: 2 or more, or a model without batch norm"
            raise ModelError("`training.batch_size`", "suit the model's norms", found, hint) from error
        if not own:
            found, hint = one_line(f"{type(error).__name__}: {error}", 200), "ordinary numbers in its options"
            raise ModelError("the first training step", "be possible", found, hint) from error
    return setup
