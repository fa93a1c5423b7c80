"""What a message proposes is accepted in the place of what was wrong, and is what its writer most likely meant."""

import pickle
import re

import pytest

from elastic.protocol.diagnostics import MOST
from elastic.protocol.grid import RESERVED
from elastic.protocol.misplaced_keys import SYNONYMS, homes, meant_by
from elastic.protocol.schema import Protocol
from elastic.registry import nearest


def mistakes(error):
    return [(one.field, one.hint) for one in (error, *error.others)]


@pytest.mark.parametrize(
    ("old", "new", "field", "hint"),
    [
        ("epochs: 3", "epochs: 20.5", "training.epochs", "epochs: 20"),
        ("epochs: 3", "epochs: '20'", "training.epochs", "epochs: 20 (without quotes)"),
        ("epochs: 3", "epochs: 1e2", "training.epochs", "epochs: 100"),
        ("epochs: 3", "epochs: [20]", "training.epochs", "epochs: 20"),
        ("epochs: 3", "epochs: -7", "training.epochs", "epochs: 7"),
        ("epochs: 3", "epochs: 3\n  batch_size: none", "training.batch_size", "batch_size: null"),
        ("epochs: 3", "epochs: 3\n  batch_size: '64'", "training.batch_size", "batch_size: 64 (without quotes)"),
        ("epochs: 3", "epochs: 3\n  batch_size: 1,000", "training.batch_size", "batch_size: 1000"),
        ("epochs: 3", "epochs: 3\n  deterministic: yes", "training.deterministic", "deterministic: true"),
        ("epochs: 3", "epochs: 3\n  deterministic: Off", "training.deterministic", "deterministic: false"),
        ("epochs: 3", "epochs: 3\n  deterministic: 0", "training.deterministic", "deterministic: false"),
        ("epochs: 3", "epochs: 3\n  dtype: Float64", "training.dtype", "dtype: 'float64'"),
        ("epochs: 3", "epochs: 3\n  dtype: float", "training.dtype", "dtype: 'float32'"),
        ("lr: 0.05", "lr: '1e-3'", "optimizer.lr", "lr: 0.001 (without quotes)"),
        ("lr: 0.05", "lr: 0,05", "optimizer.lr", "lr: 0.05"),
        ("lr: 0.05", "lr: 5%", "optimizer.lr", "lr: 0.05"),
        ("lr: 0.05", "lr: 1/4", "optimizer.lr", "lr: 0.25"),
        ("lr: 0.05", "lr: 0.1\n  nesterov: maybe", "optimizer.nesterov", "elastic show sgd"),
        ("widths: [8, 4]", "widths: 256", "model.widths", "widths: [256]"),
        ("widths: [8, 4]", "widths: 8, 4", "model.widths", "widths: [8, 4]"),
        ("widths: [8, 4]", "widths: (8, 4)", "model.widths", "widths: [8, 4]"),
        ("widths: [8, 4]", "widths: [8.0, 4]", "model.widths.0", "8"),
        ("widths: [8, 4]", "widths: [8, '4']", "model.widths.1", "4 (without quotes)"),
        ("widths: [8, 4]", "widths: [8]\n  activation: ReLU", "model.activation", "activation: 'relu'"),
        ("widths: [8, 4]", "widths: [8]\n  activation: leaky-relu", "model.activation", "activation: 'leaky_relu'"),
        ("widths: [8, 4]", "widths: [8]\n  norm: batchnorm", "model.norm", "norm: 'batch'"),
        ("widths: [8, 4]", "widths: [8]\n  norm: null", "model.norm", "norm: 'none' (with quotes)"),
        ("per_class: 20", "test_fraction: 20%", "data.test_fraction", "test_fraction: 0.2"),
        ("per_class: 20", "test_fraction: 20", "data.test_fraction", "test_fraction: 0.2"),
        ("per_class: 20", "classes: 3, 5", "data.classes", "classes: [3, 5]"),
        ("title: A protocol with one of everything", "title: 3", "title", "title: '3' (with quotes)"),
        ("name: little", "name: My Study", "name", "name: 'my_study'"),
        ("[he2023law]", "he2023law", "cites", "cites: ['he2023law']"),
        ("training:", "probes: {collapse: {splits: Train}}\ntraining:", "probes.collapse.splits", "splits: ['train']"),
        ("training:", "probes: {elasticity: false}\ntraining:", "probes.elasticity", "elasticity: null"),
        ("training:", "axes: {seed: 3}\ntraining:", "axes.seed", "seed: [3]"),
        ("training:", "claims:\ntraining:", "claims", "claims: []"),
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_told_as_it_has_to_be(files, base, old, new, field, hint):
    error = files.refuse(base.replace(old, new, 1))
    assert mistakes(error) == [(f"`{field}`", hint)]


@pytest.mark.parametrize(
    "text", ["20.5", "'20'", "1e2", "[20]", "-7", "0x10.5", "three", "3 epochs", ".5", "null", "{}"]
)
def test_what_is_proposed_is_accepted(files, base, text):
    """Whatever stands there: the hint is a line of the file."""
    error = files.refuse(base.replace("epochs: 3", f"epochs: {text}"))
    proposed = error.hint.removesuffix(" (without quotes)")
    assert files.load(base.replace("epochs: 3", proposed)).training.epochs > 0


@pytest.mark.parametrize(
    ("old", "new", "field", "hint"),
    [
        ("name: mlp", "name: MLP", "model.name", "'mlp' (elastic list models)"),
        ("name: digits", "name: cifar-10", "data.name", "'cifar10' (elastic list data)"),
        ("name: sgd", "name: SGD", "optimizer.name", "'sgd' (elastic list optimizers)"),
        ("training:", "loss: Cross-Entropy\ntraining:", "loss.name", "'cross_entropy' (elastic list losses)"),
        ("lr: 0.05", "learning_rate: 0.05", "optimizer.learning_rate", "'lr'"),
        ("lr: 0.05", "lr: 0.05\n  weight-decay: 0", "optimizer.weight-decay", "'weight_decay'"),
        ("widths:", "Width:", "model.Width", "'widths'"),
        ("epochs: 3", "epoch: 3", "training.epoch", "'epochs'"),
        ("epochs: 3", "n_epochs: 3", "training.n_epochs", "'epochs'"),
        ("epochs: 3", "epochs: 3\n  lr: 0.1", "training.lr", "optimizer.lr or probes.elasticity.lr"),
        ("epochs: 3", "epochs: 3\n  schedule: cosine", "training.schedule", "optimizer.schedule"),
        ("epochs: 3", "epochs: 3\nbatch_size: 8", "batch_size", "training.batch_size"),
        ("epochs: 3", "epochs: 3\nseed: 0", "seed", "axes.seed or data.seed"),
        ("epochs: 3", "epochs: 3\nwidths: [3]", "widths", "model.widths"),
        ("training:", "Training:", "Training", "'training'"),
        ("training:", "claims: [{name: below, variable: NC1, threshold: 1}]\ntraining:", "claims.0.variable", "'nc1'"),
        ("training:", "axes: {rate: [0.1]}\ntraining:", "axes.rate", "rate: {path: optimizer.lr, values: [0.1]}"),
        ("training:", "axes: {seeds: [1]}\ntraining:", "axes.seeds", "seed: [1]"),
        ("training:", "axes: {rate: {path: lr, values: [1]}}\ntraining:", "axes.rate.path", "path: optimizer.lr"),
        ("training:", "axes: {rate: {path: optimizer/lr, values: [1]}}\ntraining:", "axes.rate.path",
         "path: optimizer.lr"),
        ("training:", "axes: {Learning Rate: {path: optimizer.lr, values: [1]}}\ntraining:", "axes.Learning Rate",
         "learning_rate"),
        ("training:\n  epochs: 3", "training:\n  epochs:3", "training", "epochs: 3 (with a space after the colon)"),
        ("model:\n  name: mlp\n  widths: [8, 4]", "model: {mlp: {widths: [8]}}", "model.name",
         "{name: mlp, …}, its options beside the name"),
    ],
)  # fmt: skip
def test_a_name_is_proposed_as_it_is_spelled_and_where_it_belongs(files, base, old, new, field, hint):
    assert old in base
    error = files.refuse(base.replace(old, new, 1))
    assert mistakes(error) == [(f"`{field}`", hint)]


AXIS = "training:", "axes: {rate: {path: %s}}\ntraining:"


@pytest.mark.parametrize(
    ("old", "new", "field", "hint"),
    [
        ("name: mlp", "name: null", "model.name", "one of its names (elastic list models)"),
        ("name: sgd", "name: {}", "optimizer.name", "one of its names (elastic list optimizers)"),
        ("training:", "loss: hinge\ntraining:", "loss.name",
         "one of binary_cross_entropy, cross_entropy, focal, mse, multi_margin, scalar_mse, "
         "supervised_contrastive (elastic list losses)"),
        ("epochs: 3", "epochs: 3\n  optimizer: adam", "training.optimizer",
         "a part `optimizer:` of its own, not in `training`"),
        ("title:", "Extends: quickstart\ntitle:", "Extends", "'extends'"),
        ("training:", "probes: {at: {name: every, epochs: 2}}\ntraining:", "probes.at.epochs", "'step'"),
        ("training:", "probes: {at: {name: listed, epochs: [1]}}\ntraining:", "probes.at.epochs", "'values'"),
        ("training:", "probes: {collapse: {layers: [a]}}\ntraining:", "probes.collapse.layers",
         "one of per_class, splits, rank_tolerance"),
        ("training:", "probes: {elasticity: {update: first_order, lr: 0.1}}\ntraining:", "probes.elasticity.lr",
         "leaving it out, or adding update: finite"),
        ("training:", "claims: [{name: below, metric: nc1, threshold: 1}]\ntraining:", "claims.0.metric", "'variable'"),
        ("training:", "claims: [{name: below, variable: nc1, threshold: 1, where: a=1}]\ntraining:", "claims.0.where",
         "{a: 1}"),
        (AXIS[0], AXIS[1] % "optimizer.lr, values: []", "axes.rate.values", "values: [0.01, 0.1]"),
        (AXIS[0], AXIS[1] % "optimizer.lr, values: [1, 1]", "axes.rate.values", "values: [1]"),
        (AXIS[0], AXIS[1] % "optimizer.lr", "axes.rate.values", "values: [0.01, 0.1]"),
        (AXIS[0], AXIS[1] % "axes.seed, values: [1]", "axes.rate.path", "path: data.seed"),
        (AXIS[0], AXIS[1] % "'', values: [1]", "axes.rate.path", "path: optimizer.lr"),
        (AXIS[0], AXIS[1] % "optimizer.lr, values: [1, 2], labels: [a]", "axes.rate", "leaving the labels out"),
        (AXIS[0], AXIS[1] % "model.widths, values: [[1], [2]], labels: [a]", "axes.rate",
         "labels: [label_1, label_2]"),
        ("training:", "together: {size: a}\ntraining:", "together.size", "[a, …], with another axis"),
        ("training:", "together: 3\ntraining:", "together", 'together: {"size": ["wide", "rate"]}'),
    ],
)  # fmt: skip
def test_a_hint_that_is_followed_makes_no_other_mistake(files, base, old, new, field, hint):
    """Each of these once proposed the value that was refused, a key of another function, or a place that has none."""
    assert old in base
    assert mistakes(files.refuse(base.replace(old, new, 1)))[0] == (f"`{field}`", hint)


def test_what_is_missing_of_a_model_by_import_path_is_told_once(files, base):
    error = files.refuse(base.replace("name: mlp", "name: external", 1))
    assert [field for field, _ in mistakes(error)] == ["`model.widths`", "`model.target`", "`model.layers`"]


def test_a_count_is_told_in_words_of_elastic(files, base):
    text = base.replace("per_class: 20", "superclasses: {a: [0, 1]}")
    assert files.refuse(text).expected == "have at least 2 items, not 1"


def test_every_synonym_is_of_a_key_that_a_protocol_has():
    for word, key in SYNONYMS.items():
        assert meant_by(word, [key]) == key
        assert key in Protocol.model_fields or homes(key, ()) or key in ("seed", "lr", "classes", "norm", "widths"), (
            word
        )


@pytest.mark.parametrize(
    ("name", "known", "proposed"),
    [
        ("NC1", ["nc1", "nc2_equinorm"], "'nc1'"), ("hidden-1", ["input", "hidden_1"], "'hidden_1'"),
        ("Trains", ["train", "test"], "'train'"), ("resent", ["mlp", "resnet"], "'resnet'"),
        ("20.5", ["0", "20", "200"], "20"), ("150", ["0", "20", "200"], "200"), ("7", ["0", "1"], "all"),
        ("zebra", ["mlp", "resnet"], "all"), ("0.5", ["a", "b"], "all"),
    ],
)  # fmt: skip
def test_the_nearest_name(name, known, proposed):
    assert nearest(name, known, fallback="all") == proposed


def test_many_mistakes_are_listed_up_to_a_number(files, base):
    wrong = [f"  wrong_{number}: 1" for number in range(3 * MOST)]
    error = files.refuse(base + "\n".join(wrong) + "\n")
    assert len(error.others) == MOST - 1
    assert str(error).endswith(f"\n… and {2 * MOST} more mistakes")
    lines = [int(one.place.rsplit(":", 2)[1]) for one in (error, *error.others)]
    assert lines == sorted(lines)


def test_mistakes_of_every_section_are_listed_at_once(files, base):
    text = base.replace("lr: 0.05", "lr: -1\n  momentm: 1").replace("per_class: 20", "per_class: 0")
    text = text.replace("widths: [8, 4]", "widths: [8, x]\n  bias: no").replace("epochs: 3", "epochs: 0\n  colour: 1")
    text += "claims: [belo, {name: below, variable: nc1}]\nprobes: {collapse: {per_class: 0}}\nquestion: 3\n"
    error = files.refuse(text)
    fields = [one.field.strip("`") for one in (error, *error.others)]
    assert fields == [
        "data.per_class", "model.widths.1", "model.bias", "optimizer.lr", "optimizer.momentm", "training.epochs",
        "training.colour", "claims.0.name", "claims.1.threshold", "probes.collapse.per_class", "question",
    ]  # fmt: skip


def test_a_misspelt_key_and_the_one_that_it_leaves_out_are_one_mistake(files, base):
    assert mistakes(files.refuse(base.replace("epochs: 3", "Epochs: 3"))) == [("`training.Epochs`", "'epochs'")]
    both = files.refuse(base.replace("epochs: 3", "colour: 3"))
    assert [field for field, _ in mistakes(both)] == ["`training.colour`", "`training.epochs`"]


def test_reserved_names_are_listed(files, base):
    error = files.refuse(base + "axes: {depth: {path: optimizer.lr, values: [1]}}\n")
    assert all(f"{name}," in error.expected or f"{name})" in error.expected for name in RESERVED)
    assert error.hint == "depth_axis"


TABS = [
    "epochs:\t3", "epochs\t: 3", "epochs:\t\t 3", "epochs: 3\t", "epochs: 3\t# three", "epochs: 3\n\t",
    "epochs:\t3\n  \t# x", "epochs: 3\n  penalties:\t{logits:\t0.1}", "epochs:\t'3'",
]  # fmt: skip


@pytest.mark.parametrize("text", TABS)
def test_a_tab_between_the_parts_of_a_line_is_white_space(files, base, text):
    written = base.replace("epochs: 3", text)
    if "'3'" in text:
        assert files.refuse(written).hint == "epochs: 3 (without quotes)"
    else:
        assert files.load(written).training.epochs == 3


@pytest.mark.parametrize(
    ("old", "new", "found", "hint"),
    [
        ("  epochs: 3", "  <<: *base\n  epochs: 3", "'<<'", "writing the merged keys out"),
        ("  epochs: 3", "  <<: {batch_size: 3}\n  epochs: 3", "'<<'", "writing the merged keys out"),
        ("training:\n  epochs: 3", "training: {<<: [{a: 1}], epochs: 3}", "'<<'", "writing the merged keys out"),
        ("training:", "training: &base", "'&base'", "writing the value out where it is needed"),
        ("epochs: 3", "epochs: *base", "'*base'", "writing the value out where it is needed"),
        ("epochs: 3", "epochs: !!int 3", "'tag:yaml.org,2002:int'", "the value alone"),
        ("name: little", "name: 'little", "(found unexpected end of stream)", "a closing quote, or none"),
        ("[8, 4]", "[8, 4", "but got ':')", "a closing bracket, and commas between the items (it opens at"),
        ("  epochs: 3", "   epochs: 3\n  batch_size: 3", "block mapping start", "the same indentation for all keys"),
        ("title: A", "title: A: a", "mapping values are not allowed", "quotes around text that holds a colon"),
        ("  epochs: 3", "\tepochs: 3", r"'\t'", "spaces in place of the tab"),
        ("  epochs: 3", "  epochs: 3\n  batch_size=8\n  threads: 1", "expected ':'", "batch_size: 8 (with a space"),
        ("  epochs: 3", "  batch_size:8\n  epochs: 3", "not allowed here", "batch_size: 8 (with a space"),
        ("title: A", "title：A", "expected ':'", "title: A protocol with one of everything (with a space"),
        ("  epochs: 3", "  batch_size:\u00a08\n  epochs: 3", "not allowed here", "plain spaces in place of the no-"),
    ],
)  # fmt: skip
def test_what_a_protocol_does_not_take_of_yaml_is_refused_by_its_name(files, base, old, new, found, hint):
    error = files.refuse(base.replace(old, new, 1))
    assert found in error.found
    assert error.hint.startswith(hint)
    if hint.endswith("(with a space"):  # the line of the mistake, although it is found in the next one
        lines = enumerate(base.replace(old, new, 1).splitlines(), 1)
        wrong = next(number for number, line in lines if re.search("[:=]\\w|：", line))
        assert error.place.split(":")[1] == str(wrong)


def test_all_keys_that_are_given_twice_are_listed(files, base):
    error = files.refuse(base + "name: b\ntitle: c\n")
    assert [one.field for one in (error, *error.others)] == ["`name`", "`title`"]


def test_nothing_behind_a_colon_is_told_at_its_key(files, base):
    error = files.refuse(base.replace("model:\n  name: mlp\n  widths: [8, 4]\n", "model:\n"))
    assert (error.place, error.found) == ("a.yaml:7:1", "null")


def test_a_message_of_several_lines_survives_pickling(files, base):

    error = files.refuse(base.replace("epochs: 3", "epochs: 0").replace("lr: 0.05", "lr: 0"))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
