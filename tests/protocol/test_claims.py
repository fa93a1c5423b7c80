"""Claims in a protocol are read before anything is trained: names, options, variables, axes and labels."""

import pytest

from elastic.errors import ProtocolError
from elastic.protocol import Protocol, load_claims

AXES = "axes:\n  seed: [0, 1]\n  decay: {path: optimizer.weight_decay, values: [0, 0.1]}\n  bias: {path: model.bias, values: [true, false]}\n"  # noqa: E501


def with_claim(base, claim):
    return base + AXES + f"claims:\n  - {claim}\n"


def text_of(error):
    return f"{error.field} should {error.expected}; found {error.found}; try {error.hint}"


def test_every_option_is_written_out_in_the_canonical_form(files, base):
    short = files.load(with_claim(base, "collapse_deepens_with_depth"))
    whole = "{name: collapse_deepens_with_depth, metric: nc1, split: train, epoch: -1, layers: null, min_factor: 1, "
    assert short.claims[0].options == {
        "metric": "nc1", "split": "train", "epoch": -1, "layers": None, "min_factor": 1.0, "where": None,
    }  # fmt: skip
    assert files.load(with_claim(base, whole + "where: null}")).digest == short.digest
    assert files.load(with_claim(base, whole + "where: {decay: 0.1}}")).digest != short.digest


def test_a_file_of_claims_that_is_missing_is_told_with_what_it_says(tmp_path):
    with pytest.raises(ProtocolError, match="the file of claims should be a readable file") as caught:
        load_claims(tmp_path / "claims.yaml")
    text = caught.value.hint.removeprefix("a file with ").partition(" (")[0]
    (tmp_path / "claims.yaml").write_text(text)
    assert [claim.name for claim in load_claims(tmp_path / "claims.yaml")] == ["collapse_deepens_with_depth"]


def test_the_claims_of_a_file_are_those_of_its_protocol(files, base):
    protocol = files.load(with_claim(base, "{name: below, variable: nc1, threshold: 1, where: {bias: true}}"))
    assert load_claims(files.path) == protocol.claims


@pytest.mark.parametrize(
    ("claim", "column", "message"),
    [
        ("colapse_deepens_with_depth", 5,
         "`claims.0.name` should be one of the claims; found 'colapse_deepens_with_depth'; "
         "try 'collapse_deepens_with_depth' (elastic list claims)"),
        ("{name: equal_separation}", 5,
         "`claims.0.min_r` should be given for 'equal_separation'; found nothing; "
         "try adding it (elastic show equal_separation)"),
        ("{name: equal_separation, min_r: 2}", 37,
         "`claims.0.min_r` should be less than 1; found 2; try elastic show equal_separation"),
        ("{name: equal_separation, minr: 0.9}", 30,
         "`claims.0.minr` should be an option of 'equal_separation'; found 'minr'; try 'min_r'"),
        ("{name: propagates_inward, metric: nc_1}", 39,
         "`claims.0.metric` should be a variable of the cube; found 'nc_1'; try 'nc1'"),
        ("{name: below, variable: training/los, threshold: 1}", 29,
         "`claims.0.variable` should be a variable of the cube; found 'training/los'; try 'loss'"),
        ("{name: propagates_inward, where: {decy: 0.1}}", 39,
         "`claims.0.where.decy` should be an axis of the protocol or a dim of the cube; found 'decy'; try 'decay'"),
        ("{name: propagates_inward, where: {decay: 0.2}}", 46,
         "`claims.0.where.decay` should be a label on the axis decay; found 0.2; try 0.1"),
        ("{name: propagates_inward, where: {seed: 0}}", 39,
         "`claims.0.where.seed` should be an axis of the protocol or a dim of the cube; found 'seed'; "
         "try one of bias, decay, class, other_class, component, stepped_class, observed_class"),
        ("{name: differs_between, variable: nc1, axis: deca, first: 0, second: 0.1, least: 1}", 50,
         "`claims.0.axis` should be an axis of the protocol; found 'deca'; try 'decay'"),
        ("{name: differs_between, variable: nc1, axis: decay, first: 0, second: 0.5, least: 1}", 75,
         "`claims.0.second` should be a label on the axis decay; found 0.5; try one of 0.0, 0.1"),
        ("{name: below, variable: nc1, threshold: 1, source: he2023lwa}", 56,
         "`claims.0.source` should be a key of elastic/references.bib; found 'he2023lwa'; try 'he2023law'"),
        ("3", 5,
         "`claims.0` should be a mapping of keys to values; found 3; try {name: …}"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_claim_is_told_with_its_place_and_what_to_try(files, base, claim, column, message):
    text = with_claim(base, claim)
    error = files.refuse(text)
    assert text_of(error) == message
    assert error.place == f"a.yaml:{len(text.splitlines())}:{column}"


def test_a_claim_along_an_axis_in_a_protocol_without_axes_is_told_to_add_one(files, base):
    claim = "{name: differs_between, variable: nc1, axis: seed, first: 0, second: 1, least: 1}"
    assert files.refuse(f"{base}claims: [{claim}]\n").hint == "adding one beside the seed (elastic show axes)"


@pytest.mark.parametrize("where", ["{decay: 0.1}", "{decay: 0}", "{bias: true}", "{bias: 'true'}", "{class: 3}"])
def test_labels_are_those_of_the_axes(files, base, where):
    files.load(with_claim(base, f"{{name: propagates_inward, where: {where}}}"))


def test_a_setting_may_change_a_claim(files, base):
    text = with_claim(base, "{name: equal_separation, min_r: 0.5}")
    assert files.load(text, settings=["claims.0.min_r=0.9"]).claims[0].options["min_r"] == 0.9
    assert files.refuse(text, settings=["claims.0.min_r=9"]).place == "--set claims.0.min_r=9"


def test_a_claim_that_stands_twice_is_refused(files, base):
    text = with_claim(base, "{name: below, variable: nc1, threshold: 1}")
    files.load(text + "  - {name: below, variable: nc1, threshold: 2}\n")
    error = files.refuse(text + "  - {variable: nc1, name: below, threshold: 1.0, epoch: -1}\n")
    assert text_of(error) == (
        "`claims.1` should differ from the claims before it; found the claim `claims.0` once more, with the same "
        "options; try removing one of them"
    )
    assert error.place == f"a.yaml:{len(text.splitlines()) + 1}:5"


def test_a_study_of_an_earlier_release_in_which_a_claim_stands_twice_is_read(files, base):
    canonical = files.load(with_claim(base, "{name: below, variable: nc1, threshold: 1}")).canonical()
    canonical["claims"] *= 2
    assert Protocol.from_canonical(canonical).canonical() == canonical
