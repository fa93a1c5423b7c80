"""Random models, drawn from a grammar: what the probe tells of each is true, or it is refused, and no state is changed.

A failing model is printed as a spec and as source text. Replay it with
``python tests/scripts/fuzz_models.py --replay "vector.1/3: in_place.4 > 0"``.
"""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.examination import Subject, examine
from support.random_models import ENTRY_NAMES, Spec, compose
from support.random_steps import HEADS, STEPS

RUNS = [(engine, update) for engine in ("auto", "autodiff", "structured") for update in ("first_order", "finite")]
steps = st.sampled_from(list(STEPS)).flatmap(
    lambda f: st.integers(0, len(STEPS[f]) - 1).map(lambda place: f"{f}.{place}")
)
specs = st.builds(
    Spec,
    st.sampled_from(ENTRY_NAMES),
    st.integers(0, 99),
    st.lists(steps, min_size=1, max_size=5).map(tuple),
    st.integers(0, len(HEADS)),
)


@lru_cache(maxsize=1024)
def subject_of(spec):
    model = compose(spec)
    return model and Subject(model.make, model.make_double, *model.samples(), model.layers)


@lru_cache(maxsize=1024)
def truth_of(spec, update):
    return subject_of(spec).truth(update)


#: Steps and entries that no engine follows, with the reason; ``auto`` refuses them.
LIMITS = {
    "token.3": "rows that the forward pass rescales (`max_norm`)",
    "state.39": "parameters that the forward pass rescales",
    "activation.53": "RReLU in place, whose noise torch writes beside it",
    "arithmetic.58": "a parameter that becomes a number of Python",
    "out.3": "`out=` that takes another shape",
    "out.4": "`out=` with indices, which torch does not differentiate",
    "detach.7": "a torch.autograd.Function without a `jvp`",
    "detach.18": "features that become a NumPy array",
    "cast.3": "`Tensor.type` with a fixed type, along finite steps",
    "state.34": "random numbers of a fixed seed, which differ in float64",
    "coupled.11": "a branch on the whole batch",
}


def check(spec, engine, update, refusals=False):
    """Fail with the findings and the model's text; refusals of models without a known limit count if asked for."""
    subject = subject_of(spec)
    outcome = examine(subject, engine, update, truth_of(spec, update))
    borne = not refusals or {spec.entry, *spec.steps} & LIMITS.keys()
    text = "\n".join(str(result) for result in outcome.findings if result.kind != "refused" or not borne)
    assert not text, f"{text}\n{engine}, {update}\n{compose(spec)}"
    return outcome


@pytest.mark.parametrize(("engine", "update"), RUNS)
@settings(max_examples=2)
@given(spec=specs)
def test_a_random_model_is_measured_truly_or_refused_and_left_as_it_was(engine, update, spec):
    assume(subject_of(spec) is not None)
    check(spec, engine, update)


@pytest.mark.long
@pytest.mark.parametrize(("engine", "update"), RUNS)
@settings(max_examples=8)
@given(spec=specs)
def test_more_random_models_are_measured_truly_or_refused(engine, update, spec):
    assume(subject_of(spec) is not None)
    check(spec, engine, update)


ENTRY_OF = {"v": "vector.1", "s": "sequence.1", "i": "image.1"}


#: Of the steps of a family, one in so many is examined whenever the tests run. Which one it begins with differs from
#: family to family, and between the updates.
SHARES = {"first_order": 7, "finite": 18}
#: Of these, so many are examined as one model first. If it has them all and the structured engine follows it, each rule
#: is held to real steps, in a fraction of the time; otherwise each is examined alone.
AT_ONCE = 4
#: Steps that the structured engine leaves to autodiff, which are examined alone at once.
LEFT = {
    "recurrent.2", "arithmetic.59", "selection.16", "in_place.43", "assignment.3", "control.0", "control.14",
    "control.21", "gate.11", "frozen.6", "coupled.0", "coupled.7", "random.6", *LIMITS,
}  # fmt: skip


def share_of(family, update):
    """Return the places of a family's steps that are examined whenever the tests run."""
    return range(len(family) % SHARES[update], len(STEPS[family]), SHARES[update])


def entry_of(step):
    family, place = step.split(".")
    kinds = STEPS[family][int(place)][0]
    return ENTRY_OF[kinds[int(place) % len(kinds)]]


SHARE = {update: [f"{family}.{place}" for family in STEPS for place in share_of(family, update)] for update in SHARES}
TOGETHER = [
    chosen[begin :: -(-len(chosen) // AT_ONCE)]
    for entry in ENTRY_OF.values()
    for chosen in [[step for step in SHARE["first_order"] if entry_of(step) == entry and step not in LEFT]]
    for begin in range(-(-len(chosen) // AT_ONCE))
]


@pytest.mark.parametrize("steps", TOGETHER, ids=" ".join)
def test_the_structured_engine_is_right_for_steps_of_the_grammar(steps):
    if not are_right_together(steps):
        examine_alone(steps, "first_order", followed="structured")


def are_right_together(steps):
    """Tell whether a model of several steps has all of them, is followed by the structured engine, and is right."""
    spec = Spec(entry_of(steps[0]), 3, tuple(steps), 0)
    if compose(spec) is None or compose(spec).steps != spec.steps:
        return False
    outcome = examine(subject_of(spec), "auto", "first_order", truth_of(spec, "first_order"))
    return outcome.engine == "structured" and not outcome.findings and outcome.checked > outcome.undecided


@pytest.mark.parametrize("step", [step for step in SHARE["first_order"] if step in LEFT])
def test_steps_that_autodiff_follows_or_none_does(step):
    examine_alone([step], "first_order")


@pytest.mark.parametrize("family", [family for family in STEPS if share_of(family, "finite")])
def test_steps_of_the_grammar_along_finite_steps(family):
    examine_alone([f"{family}.{place}" for place in share_of(family, "finite")], "finite")


@pytest.mark.long
@pytest.mark.parametrize("update", SHARES)
@pytest.mark.parametrize("family", STEPS)
def test_every_step_of_the_grammar_alone(family, update):
    examine_alone([f"{family}.{place}" for place in range(len(STEPS[family]))], update)


def examine_alone(steps, update, followed=""):
    """Examine a model of each step; refusals count, but for those of known limits, and so does another engine."""
    faults = []
    for step in steps:
        try:
            outcome = check(Spec(entry_of(step), 3, (step,), 0), "auto", update, refusals=True)
            assert outcome.engine.startswith(followed), f"{step}: {outcome.engine}"
        except AssertionError as error:
            faults.append(str(error))
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)


#: Every entry and head in first order, every other one along finite steps too, the rest of which are long.
ALONG = [pytest.param(entry, marks=[pytest.mark.long] * (place % 2)) for place, entry in enumerate(ENTRY_NAMES)]


@pytest.mark.parametrize("entry", ENTRY_NAMES)
def test_every_entry(entry):
    for head in (0, len(HEADS)) if entry.startswith("token") else (0,):
        check_if_it_runs(Spec(entry, 5, (), head), "first_order")


@pytest.mark.parametrize("entry", ALONG)
def test_entries_along_finite_steps(entry):
    check_if_it_runs(Spec(entry, 5, (), len(HEADS) if entry.startswith("token") else 0), "finite")


def check_if_it_runs(spec, update):
    if subject_of(spec) is not None:
        check(spec, "auto", update, refusals=True)


@pytest.mark.parametrize("head", range(len(HEADS)))
def test_every_head(head):
    for update in ("first_order", "finite"):
        check(Spec("vector.1", 6, ("activation.0",), head), "auto", update, refusals=True)
