"""A rehearsal of a run before anything is written: it is built, and takes one step, which is discarded.

It refuses what would fail at the first epoch: overflow, one sample under batch norm, a memory budget below the needs
of one pair of samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elastic.errors import ElasticError, ModelError, ProtocolError
from elastic.losses.own_registered import check_registered
from elastic.protocol import Protocol, Settings
from elastic.protocol.formatting import error_line, one_line
from elastic.runs.arithmetic import default_modes
from elastic.runs.setup import Setup, build_setup, forget_data, resolve_device
from elastic.training.trial_step import trial_step

#: Error messages of torch's normalisations for a batch that is too small.
_ONE_VALUE = "Expected more than 1 "


def rehearse(protocol: Protocol, allow: Sequence[str], device: str | None) -> Setup:
    """Rehearse the first run of a study and return it; an error in another run makes only that run fail.

    Raises
    ------
    ElasticError
        As `elastic.runs.setup.build_setup`; ModelError if no step can be taken, or no probe can be read within the
        memory budget; ProtocolError if an axis has the name of a variable: names in a cube are unique.
    """
    forget_data()
    setup = rehearse_cell(protocol.cells[0].settings, device, allow)
    for axis in {variable.name for variable in setup.layout.variables} & {*protocol.axis_labels, *protocol.grid.along}:
        expected = "have a name that no variable of the cube has"
        raise ProtocolError(f"`axes.{axis}`", expected, repr(axis), f"`{axis}_axis`")
    return setup


@default_modes()
def rehearse_cell(settings: Settings, device: str | None, allow: Sequence[str]) -> Setup:
    """Build one run, take one step, and check that its probes can be read.

    An error of a user's model is left to the run, which stores its traceback.
    """
    setup = build_setup(settings, resolve_device(device or settings.training.device), tuple(allow))
    _check_loss(setup, settings.loss.name)
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
            found, hint = error_line(error), "ordinary numbers in its options"
            raise ModelError("the first training step", "be possible", found, hint) from error
    return setup


def _check_loss(setup: Setup, name: str) -> None:
    """Check a user's registered loss on features of the width that it reads."""
    model, loss, layout = setup.trainer.model, setup.trainer.loss, setup.layout
    widths = {layer: width for layer, _, width in layout.layers}
    check_registered(name, loss, widths[model.layer_of(loss.layer)], len(layout.classes))
