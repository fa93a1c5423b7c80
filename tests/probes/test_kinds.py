"""Movements of networks as users write them are those of real steps, or are refused."""

from __future__ import annotations

import copy

import pytest
import torch
from support.engine_cases import LOSS
from support.model_kinds import ALONE, KINDS, moved, network

from elastic.errors import ModelError
from elastic.models.taps import Tapped
from elastic.probes.engine import movements
from elastic.probes.engine_selection import ENGINES, choose_engine
from elastic.probes.memory.plan import Plan
from elastic.probes.preconditions import check_preconditions

pytestmark = pytest.mark.filterwarnings("ignore")


def is_refused(name, given):
    """Whether a kind is refused before any engine is asked, as every probe does: for random features."""
    net, *_, observed = given
    try:
        check_preconditions(Tapped(copy.deepcopy(net), []), observed[:1] if name in ALONE else observed)
    except ModelError:
        return True
    return False


def found(name, given, engine, lr):
    """Return the movements [J, M, K] of a kind."""
    net, x, y, observed = given
    model = Tapped(copy.deepcopy(net), [])
    if name not in TRIED[engine] and not (lr and engine == "structured"):
        stepping = ENGINES[engine](model, observed[:1], lr, model.output)
    else:
        stepping = choose_engine(model, observed[:1], engine=engine, finite=lr is not None).at_work(
            model, observed[:1], lr
        )
    whole = [slice(None)]
    steps, seen = ([slice(i, i + 1) for i in range(n)] if name in ALONE else whole for n in (len(x), len(observed)))
    return torch.cat([torch.cat([pairs(stepping, x[j], y[j], observed[m]) for j in steps]) for m in seen], 1)


def pairs(stepping, x, y, observed):
    """Return the movements [J, M, K] of one block."""
    plan = Plan(len(x), len(observed), own=len(x), batch=len(observed))
    (block,) = movements(stepping, LOSS, (x, y), observed.clone(), plan)
    return block.moved["logits"].double() * block.scale[:, None, None]


#: Kinds that no engine follows: parameters that the forward pass writes into, derivatives that are missing or wrong in
#: torch, numbers of Python that move, random numbers.
REFUSED = {
    "noise", "noise_and_branch", "dropout_by_function", "dropout_in_attention", "param_modified",
    "param_data_modified", "param_clip_view", "set_data", "fake_quantized",
    "embedding_max_norm", "scatter_reduce", "float_of_a_feature", "numpy_numbers", "own_function",
    "own_function_without_gradient", "inference_mode", "number_by_tensor", "scale_by_tensor",
    "slope_that_is_a_parameter",
}  # fmt: skip
#: Kinds that the structured engine leaves to autodiff in first order.
LEFT = REFUSED | {
    "scripted", "own_function_kept_by_name",
    "vmap_inside", "grad_inside", "cat_out", "int_write", "convolution_of_one_image",
    "slices_of_zeros", "out_argument", "add_out_of_a_slice", "buffer_written", "mask_in_place",
    "squeeze_", "embedding_by_frequency", "one_hot_matmul", "recurrent", "flag_taken_off", "item",
    "item_of_a_parameter", "tolist", "new_tensor_of_a_feature", "item_for_control_flow", "branch", "loop_by_value",
    "rows_by_index", "list_of_rows", "own_function_with_a_wrong_derivative", "reversed_gradient", "checkpointed",
    "grid_sample", "token_written", "cache_written", "several_in_place", "imaginary_part_written", "long_memory",
    "attention_of_other_widths", "attention_in_groups", "activations_with_options", "copied_deeply",
    "cloned_detached", "energy", "integer_choice", "selected_by_value", "one_hot_gate", "arrays",
    "number_for_control_flow",
}  # fmt: skip


#: Of the kinds that an engine follows a trial shows only what it costs: in first order the structured engine is asked
#: for one where it may refuse, and for one kind in three.
TRIED = {"autodiff": REFUSED, "structured": LEFT | {name for i, name in enumerate(KINDS) if i % 3 == 2}}

#: Each kind in first order; of three kinds, one along finite steps, and all of them by `pytest -m long`.
FINITE = [pytest.param(name, 0.05, marks=() if i % 3 == 0 else pytest.mark.long) for i, name in enumerate(KINDS)]
#: The engine that `auto` takes first, and the other one where that refuses, and for one kind in three.
ORDINARY = {name: i % 3 == 1 or name in LEFT for i, name in enumerate(KINDS)}


@pytest.mark.parametrize(("name", "lr"), [*((name, None) for name in KINDS), *FINITE])
def test_movements_are_those_of_real_steps_or_refused(name, lr):
    check(name, lr, ("structured", "autodiff") if lr or ORDINARY[name] else ("structured",))


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in KINDS if not ORDINARY[name]])
def test_both_engines_find_those_of_real_steps(name):
    check(name, None, ("structured", "autodiff"))


def check(name, lr, engines):
    """Hold the movements of these engines to real steps; of a kind that is refused, none has any."""
    given = network(name)
    expected = moved(*given, lr)
    followed = set()
    for engine in () if is_refused(name, given) else engines:
        try:
            got = found(name, given, engine, lr)
        except ModelError:
            continue
        followed.add(engine)
        assert float((got - expected).norm() / expected.norm()) < (1e-6 if lr is None else 1e-9), engine
    assert bool(followed) == (name not in REFUSED)
    if lr is None:
        assert ("structured" in followed) == (name not in LEFT)


@pytest.mark.parametrize("name", ["clamp_min_", "tied_embedding", "branch", "float_of_a_feature"])
def test_auto_takes_the_engine_that_follows(name):
    net, _, _, observed = network(name)
    if name in REFUSED:
        with pytest.raises(ModelError, match="__float__"):
            choose_engine(Tapped(net, []), observed[:1], engine="auto")
    else:
        chosen = choose_engine(Tapped(net, []), observed[:1], engine="auto")
        assert chosen.name == ("autodiff" if name in LEFT else "structured")
