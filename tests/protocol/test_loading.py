"""What `load_protocol` accepts, and where and how it tells a mistake."""

import pytest

from elastic.errors import ElasticError, ModelError, NotAllowed, ProtocolError, UnknownName


def text_of(error: ElasticError):
    """Return an error without its place."""
    return str(error).removeprefix(f"{error.place}: ")


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("name: mlp", "name: mpl", "a.yaml:8:9",
         "`model.name` should be one of the models; found 'mpl'; try 'mlp' (elastic list models)"),
        ("name: digits", "name: digit", "a.yaml:5:9",
         "`data.name` should be one of the data; found 'digit'; try 'digits' (elastic list data)"),
        ("per_class: 20", "per_clas: 20", "a.yaml:6:3",
         "`data.per_clas` should be an option of 'digits'; found 'per_clas'; try 'per_class'"),
        ("per_class: 20", "per_class: 2.5", "a.yaml:6:14",
         "`data.per_class` should be a valid integer; found 2.5; try per_class: 2"),
        ("  per_class: 20", "  classes: [3, 2.5]", "a.yaml:6:16",
         "`data.classes.1` should be a valid integer or a valid string; found 2.5; try 2"),
        ("  per_class: 20", "  classes: [3, 3]", "a.yaml:6:12",
         "`data.classes` should have no duplicates; found [3, 3]; try classes: [3, 8]"),
        ("widths: [8, 4]", "widths: [8, 0]", "a.yaml:9:15",
         "`model.widths.1` should be greater than or equal to 1; found 0; try 1"),
        ("lr: 0.05", "Lr: 0.05", "a.yaml:12:3",
         "`optimizer.Lr` should be an option of 'sgd'; found 'Lr'; try 'lr'"),
        ("  lr: 0.05\n", "", "a.yaml:11:3",
         "`optimizer.lr` should be given for 'sgd'; found nothing; try adding it (elastic show sgd)"),
        ("lr: 0.05", "lr: true", "a.yaml:12:7",
         "`optimizer.lr` should be a valid number; found true; try elastic show sgd"),
        ("lr: 0.05", "lr: 0.05\n  schedule: {name: cosine, finale: 0}", "a.yaml:13:28",
         "`optimizer.schedule.finale` should be an option of 'cosine'; found 'finale'; try 'final'"),
        ("lr: 0.05", "lr: 0.05\n  schedule: null", "a.yaml:13:13",
         "`optimizer.schedule` should be a mapping of keys to values; found null; "
         "try schedule: {name: constant}"),
        ("epochs: 3", "epochs: -3", "a.yaml:14:11",
         "`training.epochs` should be greater than or equal to 1; found -3; try epochs: 3"),
        ("epochs: 3", "epochs: 0", "a.yaml:14:11",
         "`training.epochs` should be greater than or equal to 1; found 0; try epochs: 200"),
        ("epochs: 3", "epochs: 1e3", "a.yaml:14:11",
         "`training.epochs` should be a valid integer; found 1000.0; try epochs: 1000"),
        ("epochs: 3", "epochs: true", "a.yaml:14:11",
         "`training.epochs` should be a valid integer; found true; try epochs: 200"),
        ("epochs: 3", "epoch: 3", "a.yaml:14:3",
         "`training.epoch` should be a key of `training`; found 'epoch'; try 'epochs'"),
        ("epochs: 3", "epochs: 3\n  device: gpu", "a.yaml:15:11",
         "`training.device` should be auto, cpu, cuda, cuda:N or mps; found 'gpu'; try device: \"auto\""),
        ("training:\n  epochs: 3\n", "", "a.yaml:1:1",
         "`training` should be given; found nothing; try a part `training:` as in protocols/quickstart.yaml"),
        ("training:\n  epochs: 3\n", "training: 3\n", "a.yaml:13:11",
         "`training` should be a mapping of keys to values; found 3; try training: {epochs: 200}"),
        ("training:", "probes:\ntraining:", "a.yaml:13:1",
         "`probes` should be a mapping of keys to values; found null; try probes: {at: {name: log, count: 12}}"),
        ("name: little", "name: Little", "a.yaml:1:7",
         "`name` should be a short name of a-z, 0-9, - and _; found 'Little'; try name: 'little'"),
        ("name: little", "name: ../up", "a.yaml:1:7",
         "`name` should be a short name of a-z, 0-9, - and _; found '../up'; try name: \"my-study\""),
        ("[he2023law]", "[he2023law, he2023lwa]", "a.yaml:3:20",
         "`cites.1` should be a key of elastic/references.bib; found 'he2023lwa'; "
         "try 'he2023law' (elastic/references.bib)"),
        ("cites:", "sites:", "a.yaml:3:1",
         "`sites` should be a key of the protocol; found 'sites'; try 'cites'"),
        ("training:", "probes: {at: {count: 5}}\ntraining:", "a.yaml:13:14",
         "`probes.at.name` should be given; found nothing; try one of its names (elastic list probe_schedules)"),
        ("training:", "probes: {elasticity: {update: finite}}\ntraining:", "a.yaml:13:22",
         "`probes.elasticity.lr` should be given with update: finite; found null; try lr: 0.01"),
        ("training:", "probes: {elasticity: {lr: 0.1}}\ntraining:", "a.yaml:13:27",
         "`probes.elasticity.lr` should be left out, as a first-order response is per unit of learning rate "
         "(update: finite); found 0.1; try leaving it out, or adding update: finite"),
        ("training:", "probes: {memory_budget: 1 GB}\ntraining:", "a.yaml:13:25",
         "`probes.memory_budget` should be a number of bytes or a text such as 512MiB; found '1 GB'; "
         "try memory_budget: \"1GiB\""),
        ("training:", "loss: {name: mse, scale: 2}\ntraining:", "a.yaml:13:19",
         "`loss.scale` should be an option of 'mse'; found 'scale'; try one of target, weight"),
        ("training:", "claims: [{metric: nc1}]\ntraining:", "a.yaml:13:10",
         "`claims.0.name` should be given; found nothing; try one of its names (elastic list claims)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place_and_what_to_try(files, base, old, new, place, message):
    assert old in base
    error = files.refuse(base.replace(old, new, 1))
    assert (error.place, text_of(error)) == (place, message)


def test_all_mistakes_are_listed_in_reading_order(files, base):
    text = base.replace("lr: 0.05", "lr: -1").replace("name: mlp", "name: mpl").replace("epochs: 3", "epochs: 0")
    error = files.refuse(text)
    assert isinstance(error, UnknownName)
    assert [(one.field, one.place.rpartition("/")[2]) for one in (error, *error.others)] == [
        ("`model.name`", "a.yaml:8:9"), ("`optimizer.lr`", "a.yaml:12:7"), ("`training.epochs`", "a.yaml:14:11"),
    ]  # fmt: skip
    assert str(error).splitlines() == [str(error.with_others([])), *map(str, error.others)]


def test_common_fields_of_data_and_optimizer_are_no_options(files, base):
    protocol = files.load(base)
    assert protocol.data.options == {}
    assert protocol.data.per_class == 20
    assert set(protocol.optimizer.options) == {"lr", "momentum", "nesterov", "weight_decay"}
    assert protocol.optimizer.schedule.options == {}
    assert protocol.model.options["widths"] == [8, 4]


def test_a_name_alone_is_a_component(files, base):
    written = (
        base + "loss: mse\nclaims: [propagates_inward, {name: equal_separation, min_r: 0.95}]\nprobes: {at: linear}\n"
    )
    protocol = files.load(written)
    assert (protocol.loss.name, protocol.probes.at.name) == ("mse", "linear")
    assert [claim.name for claim in protocol.claims] == ["propagates_inward", "equal_separation"]
    assert protocol.claims[1].options["min_r"] == 0.95


def test_null_switches_a_probe_off(files, base):
    protocol = files.load(base + "probes: {collapse: null}\n")
    assert protocol.probes.collapse is None
    assert protocol.probes.elasticity is not None


@pytest.mark.parametrize(("written", "count"), [("1GiB", 2**30), ("1536 MiB", 1536 * 2**20), (4096, 4096), ("3B", 3)])
def test_a_memory_budget_is_a_number_of_bytes(files, base, written, count):
    assert files.load(base + f"probes: {{memory_budget: {written}}}\n").probes.memory_budget_bytes == count


def test_the_text_of_the_file_is_kept_and_not_digested(files, base):
    protocol, other = files.load(base), files.load("# a comment\n" + base)
    assert protocol.text == base
    assert protocol.text != other.text
    assert protocol.digest == other.digest


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("training.epochs=5", lambda p: p.training.epochs == 5),
        ("axes.seed=[0,1]", lambda p: p.axes.seed == [0, 1]),
        ("model.widths.1=6", lambda p: p.model.options["widths"] == [8, 6]),
        ("model={name: mlp, widths: [2]}", lambda p: p.model.options["widths"] == [2]),
        ("loss=mse", lambda p: p.loss.name == "mse"),
        ("probes.at.count=4", lambda p: p.probes.at.options == {"count": 4} and p.probes.at.name == "log"),
        ("probes.elasticity.stepped_per_class=2", lambda p: p.probes.elasticity.stepped_per_class == 2),
        ("optimizer.schedule.name=cosine", lambda p: p.optimizer.schedule.options == {"final": 0.0}),
        ("training.batch_size=null", lambda p: p.training.batch_size is None),
        ("axes.decay={path: optimizer.weight_decay, values: [0, 1e-3]}", lambda p: len(p.cells) == 2),
    ],
)
def test_a_setting_replaces_what_the_file_says(files, base, setting, read):
    assert read(files.load(base, settings=[setting]))


def test_the_last_setting_wins_and_a_setting_reaches_into_a_name_alone(files, base):
    protocol = files.load(base, settings=["training.epochs=5", "training.epochs=6"])
    assert protocol.training.epochs == 6
    assert files.refuse(base + "loss: mse\n", settings=["loss.scale=2"]).field == "`loss.scale`"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs=-3", "`training.epochs` should be greater than or equal to 1; found -3; try epochs: 3"),
        ("trainin.epochs=3", "`trainin` should be a key of the protocol; found 'trainin'; try 'training'"),
        ("model.widths.1=-6", "`model.widths.1` should be greater than or equal to 1; found -6; try 6"),
        ("model.widths.2=6", "`model.widths` should be a mapping; found [8, 4], which has no `2`; "
                             "try setting the whole of `model.widths`"),
        ("name.x=1", "`name` should be a mapping; found 'little', which has no `x`; try setting the whole of `name`"),
        ("axes.seed=[0,0]", "`axes.seed` should have no duplicates; found [0, 0]; try seed: [0, 1, 2]"),
        ("model=null", "`model` should be a mapping of keys to values; found null; "
                       "try model: {name: …}"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_setting_is_told_as_it_was_typed(files, base, setting, message):
    error = files.refuse(base, settings=["training.batch_size=7", setting])
    assert (error.place, text_of(error)) == (f"--set {setting}", message)


def test_a_mistake_in_the_file_can_be_set_right(files, base):
    assert files.load(base.replace("epochs: 3", "epochs: x"), settings=["training.epochs=2"]).training.epochs == 2


EXTERNAL = "external\n  target: lab.nets:Net\n  layers: [body]\n"


@pytest.mark.parametrize("allow", [(), ("lab.net",), ("lab.nets.deep",), ("la",), ("",), ("nets",), ("lab.nets:Net",)])
def test_a_model_by_import_path_is_refused_unless_its_module_is_allowed(files, base, allow):
    error = files.refuse(base.replace("mlp\n  widths: [8, 4]\n", EXTERNAL), allow=allow)
    assert isinstance(error, NotAllowed)
    assert error.place == "a.yaml:9:11"
    assert "--allow lab.nets" in error.hint


@pytest.mark.parametrize("allow", [("lab",), ("lab.nets",), ("other", "lab.nets")])
def test_an_allowed_module_allows_what_lies_under_it(files, base, allow):
    text = base.replace("mlp\n  widths: [8, 4]\n", EXTERNAL)
    assert files.load(text, allow=allow).model.options["target"] == "lab.nets:Net"


def test_no_axis_brings_in_a_model_that_is_not_allowed(files, base):
    values = "[{name: mlp, widths: [4]}, {name: external, target: 'lab:Net', layers: [a]}]"
    text = base + f"axes: {{net: {{path: model, values: {values}, labels: [own, theirs]}}}}\n"
    assert isinstance(files.refuse(text), NotAllowed)
    assert len(files.load(text, allow=["lab"]).cells) == 2


def test_every_value_of_an_axis_must_be_allowed(files, base):
    text = base.replace("mlp\n  widths: [8, 4]\n", EXTERNAL)
    text += "axes: {net: {path: model.target, values: ['lab:Net', 'os:system']}}\n"
    error = files.refuse(text, allow=["lab"])
    assert isinstance(error, NotAllowed)
    assert (error.found, error.place) == ("'os:system'", "a.yaml:16:54")


def test_no_setting_brings_in_a_model_that_is_not_allowed(files, base):
    setting = "model={name: external, target: 'lab:Net', layers: [a]}"
    assert isinstance(files.refuse(base, settings=[setting]), NotAllowed)
    assert files.load(base, settings=[setting], allow=["lab"]).model.name == "external"


@pytest.mark.parametrize("key", ["allow", "allowed", "settings"])
def test_a_protocol_cannot_allow_itself(files, base, key):
    text = base.replace("mlp\n  widths: [8, 4]\n", EXTERNAL)
    assert files.refuse(f"{text}{key}: [lab]\n").exit_code == 2
    with pytest.raises(ElasticError):
        files.load(text, settings=[f"{key}=[lab]"])


@pytest.mark.parametrize("target", ["lab", ":Net", "lab:", "lab.nets:Net()", "lab..nets:Net", " lab:Net", "[lab]", "7"])
def test_a_target_that_is_no_import_path_is_refused(files, base, target):
    text = base.replace("mlp\n  widths: [8, 4]\n", EXTERNAL.replace("lab.nets:Net", f'"{target}"'))
    assert isinstance(files.refuse(text, allow=["lab"]), (ProtocolError, NotAllowed))


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("training.penalties.logits.weight", 16),
        ("training.penalties.logits", None),
        ("memory_budget", 17),
        ("name", 1),
        ("epochs", 14),
    ],
)
def test_what_is_found_out_later_is_told_at_its_place(files, base, field, line):
    """Also a key that has a dot, and a part by its last name where there is one of it only."""
    text = base.replace("epochs: 3", "epochs: 3\n  penalties:\n    logits.weight: 0.1")
    protocol = files.load(text + "probes: {memory_budget: 1}\n")
    text_of = protocol.located(ModelError(f"`{field}`", "be another", "it", "another"))
    assert (text_of.place and int(text_of.place.split(":")[1])) == line
