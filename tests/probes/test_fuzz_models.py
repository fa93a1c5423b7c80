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


@pytest.mark.parametrize(("engine", "update"), RUNS)
@settings(max_examples=3)
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


#: Of the steps of a family, one in so many is examined alone whenever the tests run. Which one it begins with differs
#: from family to family, and between the updates.
SHARES = {"first_order": 7, "finite": 18}


@pytest.mark.parametrize("update", SHARES)
@pytest.mark.parametrize("family", STEPS)
def test_steps_of_the_grammar_alone(family, update):
    examine_alone(family, update, share_of(family, update))


@pytest.mark.long
@pytest.mark.parametrize("update", SHARES)
@pytest.mark.parametrize("family", STEPS)
def test_all_other_steps_of_the_grammar_alone(family, update):
    examine_alone(family, update, sorted({*range(len(STEPS[family]))} - {*share_of(family, update)}))


def share_of(family, update):
    """Return the places of a family's steps that are examined whenever the tests run."""
    return range(len(family) % SHARES[update], len(STEPS[family]), SHARES[update])


def examine_alone(family, update, places):
    faults = []
    for place in places:
        kinds = STEPS[family][place][0]
        spec = Spec(ENTRY_OF[kinds[place % len(kinds)]], 3, (f"{family}.{place}",), 0)
        try:
            check(spec, "auto", update, refusals=True)
        except AssertionError as error:
            faults.append(str(error))
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)


@pytest.mark.parametrize("entry", ENTRY_NAMES)
def test_every_entry(entry):
    for update in ("first_order", "finite"):
        for head in (0, len(HEADS)) if entry.startswith("token") else (0,):
            spec = Spec(entry, 5, (), head)
            if subject_of(spec) is not None:
                check(spec, "auto", update, refusals=True)


@pytest.mark.parametrize("head", range(len(HEADS)))
def test_every_head(head):
    for update in ("first_order", "finite"):
        check(Spec("vector.1", 6, ("activation.0",), head), "auto", update, refusals=True)
