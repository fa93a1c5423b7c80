"""A rerun is compared run by run and variable by variable: to the last bit, or within the spread over seeds."""

import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from support import published, recorded

from elastic.cube import seal
from elastic.errors import DataError, NotAllowed, OptionError, StudyError
from elastic.publishing import readme
from elastic.publishing.own_parts import own_parts
from elastic.publishing.publish import publish
from elastic.publishing.reproduced_runs import ReproducedRun, Reproduction, environment_differences
from elastic.publishing.reproduction import reproduce
from elastic.publishing.reproduction_table import conclusion, reproduction_table
from elastic.publishing.rerunning import check_allowed, check_data, check_registered, protocol_to_run, sample_of
from elastic.publishing.variable_comparison import Compared, compare_run, tolerance_of
from elastic.publishing.verdict_comparison import compare_verdicts, with_runs
from elastic.study import Study
from elastic.study.completeness import named

pytestmark = pytest.mark.usefixtures("few_metrics")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Return the folder of reruns: what was run again once is compared with several archives."""
    return tmp_path_factory.mktemp("reproduced")


def printed(found):
    result = io.StringIO()
    Console(width=200, file=result).print(reproduction_table(found))
    return result.getvalue()


def test_labels_of_a_published_study_are_shown_as_they_stand(tmp_path):
    one = Compared("training", "loss", "differs", 3, 1, epoch=2.0, largest=0.5, reason="other labels of act: [/b]")
    run = ReproducedRun({"act": "[/b]", "seed": 0}, {"device": ("[red]", "cpu")}, (one,), (None, 1.0), bits=False)
    whole = Reproduction("small", "0", "1", tmp_path, 1, "all runs", (), (run,), ())
    text = printed(whole)
    assert all(part in text for part in ("act=[/b] seed=0:", "[red] → cpu", "other labels of act: [/b]"))


def test_a_study_is_reproduced_to_the_last_bit(archive, out):
    reproduction = reproduce(archive, out=out)
    assert reproduction.reproduced
    assert [run.outcome for run in reproduction.runs] == ["identical", "identical"]
    assert all(run.counts == {"identical": len(run.variables)} for run in reproduction.runs)
    assert len(reproduction.runs[0].variables) > 12
    assert [one.same for one in reproduction.verdicts] == [True, True]
    result = json.loads((out / "small" / "reproduction.json").read_text())
    assert (result["reproduced"], result["sample"], result["runs_of_the_study"]) == (True, "all runs", 2)
    assert result["data"] == [published.json_of(archive, "data.json")["digests"][0]["sha256"]]
    assert "Reproduced: all runs identical to the last bit, all verdicts the same." in printed(reproduction)
    tolerant = reproduce(archive, out=out, within_tolerance=True)
    assert tolerant.reproduced
    assert {run["compared"] for run in tolerant.to_json()["runs"]} == {"within tolerance"}


@pytest.mark.usefixtures("stub_report")
def test_a_rerun_says_what_differs_and_from_which_epoch(archive, claimed_study, out, tmp_path):
    """The archive of a study with one number altered in one run, sealed and published as any other."""
    reproduce(archive, out=out)
    folder = tmp_path / "small"
    shutil.copytree(claimed_study.folder, folder)
    study = Study(folder)
    groups = {name: node.to_dataset().load() for name, node in study.cube.children.items()}
    nc1 = groups["collapse"]["nc1"]
    at = {"seed": 1, "epoch": 2, "layer": "penultimate", "split": "train"}
    nc1.loc[at] = np.nextafter(float(nc1.sel(at)), np.inf)
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs=study.cube.attrs), **{f"/{k}": v for k, v in groups.items()}})
    shutil.rmtree(folder / "cube.zarr")
    seal(tree, folder, ["protocol.yaml", "study.json"])
    path = publish(folder, tmp_path / "a.zip", **published.QUICK).path
    reproduction = reproduce(path, out=out)
    assert not reproduction.reproduced
    assert [run.outcome for run in reproduction.runs] == ["identical", "differs"]
    (wrong,) = [one for one in reproduction.runs[1].variables if one.outcome == "differs"]
    assert (wrong.group, wrong.variable, wrong.different, wrong.epoch) == ("collapse", "nc1", 1, 2.0)
    assert "collapse/nc1" in printed(reproduction)
    assert conclusion(reproduction) == "Not reproduced: 1 of 2 runs differ."


def test_a_sample_follows_from_the_digest_of_the_archive(archive, claimed_study, out):
    cells = claimed_study.protocol.cells
    drawn = {digest: sample_of(cells, 1, digest)[0].index for digest in map(str, range(20))}
    assert set(drawn.values()) == {0, 1}, "every run can be drawn"
    assert sample_of(cells, 1, "3") == sample_of(cells, 1, "3")
    assert sample_of(cells, None, "3") == list(cells) == sample_of(cells, 2, "3")
    for count in (0, 3):
        with pytest.raises(OptionError, match="from 1 to 2"):
            sample_of(cells, count, "3")
    reproduction = reproduce(archive, runs=1, out=out)
    assert (len(reproduction.runs), reproduction.sample) == (1, "1 of 2 runs, drawn by the digest of the archive")
    assert reproduction.reproduced


def test_other_data_are_refused_before_anything_is_trained(archive, claimed_study):
    cells = claimed_study.protocol.cells
    reports = {named(cell.coordinates): claimed_study.run_report(cell.digest) for cell in cells}
    assert check_data(cells, reports) == [claimed_study.cube.attrs["data_digest"]]
    others = {name: {**report, "data_digest": "0" * 64} for name, report in reports.items()}
    with pytest.raises(DataError, match="nothing was trained"):
        check_data(cells, others)


def test_code_of_strangers_runs_only_where_it_is_allowed():
    protocol = SimpleNamespace(canonical=lambda: {"model": {"name": "external", "target": "evil.nets:Net"}})
    with pytest.raises(NotAllowed, match=r"reading it, and then --allow evil\.nets"):
        check_allowed(protocol, [])
    for allowed in ("evil.nets", "evil"):  # as `elastic run --allow` takes them
        check_allowed(protocol, [allowed])


def test_parts_of_strangers_are_asked_for_before_anything_is_trained(claimed_study):
    cells = claimed_study.protocol.cells
    check_registered(cells)
    settings = cells[0].settings.canonical()
    settings["loss"] = {"name": "theirs"}
    own = SimpleNamespace(settings=SimpleNamespace(canonical=lambda: settings))
    with pytest.raises(StudyError, match=r"found parts of its authors: losses theirs; try .* group elastic\.losses;"):
        check_registered([own])
    settings["probes"]["dead"] = {}
    theirs = SimpleNamespace(protocol=SimpleNamespace(cells=[own]))
    assert (own_parts(theirs), own_parts(claimed_study)) == (["losses theirs", "probes dead"], [])


def test_the_readme_names_the_parts_that_are_not_in_the_archive(claimed_study, monkeypatch):
    assert "parts of the authors" not in readme._reproduce(claimed_study)
    monkeypatch.setattr(readme, "own_parts", lambda study: ["losses theirs"])
    assert "parts of the authors that are not in this archive (losses theirs)" in readme._reproduce(claimed_study)


def test_what_has_no_protocol_or_no_place_of_its_data_says_so(claimed_study, tmp_path):
    study = recorded.recorded(claimed_study.cube, tmp_path / "mine")
    with pytest.raises(StudyError, match="recorded from a training loop"):
        protocol_to_run(study, None)
    with pytest.raises(OptionError, match="read from no place"):
        protocol_to_run(claimed_study, tmp_path)


# --- the comparison of one variable -----------------------------------------------------------------------------------


def cube(values, status=None):
    """Return a cube with one variable [seed, epoch, layer]."""
    values = np.asarray(values, float)
    seeds, epochs, layers = values.shape
    coords = {"seed": range(seeds), "epoch": range(epochs), "layer": [f"l{i}" for i in range(layers)]}
    states = np.ones((seeds, epochs), "int8") if status is None else status
    groups = {
        "/training": xr.Dataset({"status": (("seed", "epoch"), states)}, {k: coords[k] for k in ("seed", "epoch")}),
        "/collapse": xr.Dataset({"nc1": (("seed", "epoch", "layer"), values)}, coords),
    }
    return xr.DataTree.from_dict(groups)


def outcome(first, second, seed=0, *, bits=False, same_weights=False):
    compared = compare_run(first, second, {"seed": seed}, bits=bits, same_weights=same_weights)
    collected = {one.variable: one for one in compared}
    return collected["nc1"]


SPREAD = np.arange(5.0)[:, None, None] + np.zeros((5, 8, 3))  # s = 1.5811, tolerance = 4.6041 · √2 · s = 10.29


def test_bits_are_bits():
    near = SPREAD.copy()
    near[0, 3:, 1] = np.nextafter(near[0, 3:, 1], 1)
    result = outcome(cube(SPREAD), cube(near), bits=True)
    assert (result.outcome, result.different, result.epoch) == ("differs", 5, 3.0)
    assert outcome(cube(SPREAD), cube(near), seed=1, bits=True).outcome == "identical"
    assert outcome(cube(SPREAD), cube(-SPREAD), bits=True).outcome == "differs", "−0 is not 0"
    gaps = np.where(np.arange(8)[None, :, None] > 5, np.nan, SPREAD)
    assert outcome(cube(gaps), cube(gaps.copy()), bits=True).outcome == "identical"


def test_the_tolerance_is_that_of_two_seeds():
    assert float(tolerance_of(cube(SPREAD)["collapse"]["nc1"], {"seed": 0}).max()) == pytest.approx(10.2944, abs=1e-3)
    for shift, expected in ((10.2, "within tolerance"), (10.4, "differs")):
        assert outcome(cube(SPREAD), cube(SPREAD + shift)).outcome == expected


def test_a_difference_beyond_tolerance_is_told_from_its_first_epoch():
    far = SPREAD.copy()
    far[0, 6:] += 50
    result = outcome(cube(SPREAD), cube(far))
    assert (result.outcome, result.beyond, result.epoch, result.largest) == ("differs", 6, 6.0, 50.0)
    far = SPREAD.copy()
    far[0, 7, 2] += 50  # 1 of 24 values: within the share of 5 %
    assert (outcome(cube(SPREAD), cube(far)).outcome, outcome(cube(SPREAD), cube(far)).beyond) == (
        "within tolerance",
        1,
    )


def test_numbers_that_are_missing_or_new_count_as_different():
    gaps = SPREAD.copy()
    gaps[0, 4:] = np.nan
    assert (outcome(cube(SPREAD), cube(gaps)).outcome, outcome(cube(SPREAD), cube(gaps)).epoch) == ("differs", 4.0)
    assert outcome(cube(gaps), cube(SPREAD)).outcome == "differs"
    without = xr.DataTree.from_dict({"/training": cube(SPREAD)["training"].to_dataset()})
    assert outcome(cube(SPREAD), without).reason == "not recorded by the rerun"
    longer = cube(np.concatenate([SPREAD, SPREAD], axis=1))
    assert outcome(cube(SPREAD), longer).reason == "other labels of epoch: 10"


def test_one_seed_tells_no_tolerance_and_a_state_has_none():
    one = SPREAD[:1]
    assert outcome(cube(one), cube(one + 1e-9)).outcome == "undecided"
    assert outcome(cube(one), cube(one)).outcome == "identical"
    states = np.ones((5, 8), "int8")
    states[0, 7] = 2
    collected = {v.variable: v for v in compare_run(cube(SPREAD), cube(SPREAD, states), {"seed": 0}, bits=False)}
    assert (collected["status"].outcome, collected["status"].epoch) == ("differs", 7.0)


def test_before_training_nothing_but_rounding_may_differ():
    """Seeds differ by 1.6 and 10.3 would be within tolerance; equal weights give equal numbers at epoch 0."""
    values = SPREAD + 1
    for change, expected in ((1e-6, "within tolerance"), (0.1, "differs")):
        far = values.copy()
        far[1, 0] *= 1 + change
        result = outcome(cube(values), cube(far), seed=1, same_weights=True)
        assert (result.outcome, result.epoch) == (expected, 0.0 if expected == "differs" else None)
        assert outcome(cube(values), cube(far), seed=1).outcome == "within tolerance"
    late = values.copy()
    late[1, 1:] *= 1.1
    assert outcome(cube(values), cube(late), seed=1, same_weights=True).outcome == "within tolerance"
    late[1, 0, 0] = np.nan
    result = outcome(cube(values), cube(late), seed=1, same_weights=True)
    assert "nothing but rounding" in result.reason
    for first in (values[:1], values):  # one seed tells no tolerance, and yet this much
        far = first.copy()
        far[0, 0] += 1
        assert outcome(cube(first), cube(far), same_weights=True).outcome == "differs"


def test_what_does_not_vary_over_seeds_may_round_and_no_more():
    same = np.full((5, 8, 3), 0.1)
    assert outcome(cube(same), cube(same * (1 + 1e-7))).outcome == "within tolerance"
    assert outcome(cube(same), cube(same * (1 + 1e-3))).outcome == "differs"


def test_a_run_is_as_good_as_its_worst_variable():
    words = ["identical", "within tolerance", "undecided", "differs"]
    made = [Compared("collapse", word, word, 1, 0) for word in words]
    collected = [ReproducedRun({}, {}, tuple(made[:count]), (None, None)).outcome for count in range(1, 5)]
    assert collected == words
    assert ReproducedRun({}, {}, (), (None, None)).outcome == "undecided"


def test_bits_are_asked_for_in_the_same_environment_only():
    here = {"torch": "2.13.0", "threads": "1", "cpu_capability": "AVX512", "device": "cpu"}
    assert environment_differences(here, dict(here)) == {}
    for name in here:
        assert list(environment_differences(here, {**here, name: "other"})) == [name]
    assert len(environment_differences({}, here)) == len(here)


def test_verdicts_are_those_of_the_rerun_in_its_places(claimed_study):
    cube = claimed_study.cube
    groups = {name: node.to_dataset().load().copy(deep=True) for name, node in cube.children.items()}
    groups["elasticity"]["locality"] = groups["elasticity"]["locality"] * 0 + 0.1 * (
        1 + groups["elasticity"]["locality"]["seed"]
    )
    groups["elasticity"]["locality"].loc[{"seed": 0}] = 0.5
    other = xr.DataTree.from_dict({"/": xr.Dataset(attrs=cube.attrs), **{f"/{k}": v for k, v in groups.items()}})
    one = with_runs(cube, other, [{"seed": 0}])["elasticity"]["locality"]
    np.testing.assert_array_equal(one.sel(seed=0), other["elasticity"]["locality"].sel(seed=0))
    np.testing.assert_array_equal(one.sel(seed=1), cube["elasticity"]["locality"].sel(seed=1))
    result = [{"verdict": "supported"}, {"verdict": "supported"}]
    verdict = compare_verdicts(claimed_study, result, cube, other, [{"seed": 0}, {"seed": 1}])
    assert verdict[0].again != "supported"
    assert not verdict[0].same or verdict[0].judged_now == verdict[0].again
