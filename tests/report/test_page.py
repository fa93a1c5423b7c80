"""What stands in a report, read without a browser: true, complete, escaped, and small."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import altair as alt
import numpy as np
import pytest
import xarray as xr
from altair.utils.schemapi import SchemaValidationError
from ruamel.yaml import YAML
from support import altered, studies
from support.few_metrics import few_of, leave_few
from support.report_pages import drawing, read

import elastic
from elastic.cube import Status
from elastic.errors import OptionError, StudyError
from elastic.report import context, vega, write_report
from elastic.report.page import EXPLORERS
from elastic.study import Study


@pytest.fixture(scope="module")
def page(report):
    return read(report)


@pytest.fixture(scope="module")
def plain(finished_study, tmp_path_factory):
    """Return the page of the small study as it is."""
    return read(write_report(finished_study, tmp_path_factory.mktemp("plain") / "report.html"))


@pytest.fixture(scope="module")
def cube(finished_study):
    return few_of(finished_study.cube.load())


def test_the_page_tells_title_verdicts_runs_protocol_provenance_and_citation(page, finished_study):
    for result in (
        "A small study", "supported 1 of 3", "refuted 1 of 3", "inconclusive 1 of 3", "nc1 falls with depth",
        "He and Su 2023", "0.300 [0.200, 0.400]", "claimed: above 0.100", "nc9 was not measured", "layer = hidden_1",
        "2 done", "6 of 6", "per_class: 20", finished_study.digest, finished_study.facts["provenance"]["machine"],
        "@software{elastic", "A law of data separation in deep learning", "elastic run protocol.yaml", "torch==",
    ):  # fmt: skip
        assert result in page.text, result


def test_no_claims_are_said_to_be_none(plain):
    assert "The protocol makes no claims." in plain.text


@pytest.mark.usefixtures("no_figure")
def test_a_claim_that_makes_no_sense_is_told_and_the_page_still_comes(finished_study, cube, tmp_path, monkeypatch):
    def check(study, cube, runs):
        raise OptionError("`metric`", "be a variable of the cube", "'nc_9'", "'nc1'")

    monkeypatch.setattr(context, "check_cube", check)
    study = altered.Altered(finished_study.folder, whole=cube, claims=[{"name": "below"}])
    text = read(write_report(study, tmp_path / "r.html")).text
    assert "`metric` should be a variable of the cube; found 'nc_9'; try 'nc1'" in text


class Counted(Study):
    """A study with one claim that counts how often it is read."""

    def __init__(self, folder):
        super().__init__(folder)
        self.facts["protocol"]["claims"] = [{"name": "collapse_deepens_with_depth"}]
        self.reads = Counter()

    @property
    def cube(self):
        self.reads["cube"] += 1
        return super().cube

    def runs(self):
        self.reads["runs"] += 1
        return super().runs()


@pytest.fixture(scope="module")
def under_way(finished_study, tmp_path_factory):
    """Return a study under way that counts how often it is read, and its page."""
    study = Counted(altered.under_way(finished_study, tmp_path_factory.mktemp("under way")).folder)
    return study, write_report(study)


def test_a_study_is_read_once_however_many_parts_the_page_has(under_way):
    study, path = under_way
    assert study.reads == {"cube": 1, "runs": 1}
    assert "1 of 1" in read(path).text


def test_a_page_that_cannot_be_written_is_told_in_a_sentence(finished_study, tmp_path, monkeypatch):
    monkeypatch.setattr("elastic.report.page.page", lambda study: "")
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="should be writable"):
        write_report(finished_study, tmp_path / "file" / "report.html")


def test_a_study_under_way_says_so_and_gives_the_same_bytes_twice(under_way, tmp_path):
    study, path = under_way
    assert path == study.folder / "report.html"
    assert write_report(Counted(study.folder), tmp_path / "again.html").read_bytes() == path.read_bytes()
    page = read(path)
    assert "was interrupted, and can be resumed: 1 of 2 runs have ended" in page.text
    assert "2 of 6" in page.text
    assert "mean over 1 to 2 seeds" in json.dumps(page.specs["responses"])


def test_a_study_that_was_founded_and_has_no_run_gives_a_page(finished_study, tmp_path):
    study = altered.under_way(finished_study, tmp_path)
    for run in study.cells:
        shutil.rmtree(study.folder / "runs" / run["digest"])
    page = read(write_report(Study(study.folder), tmp_path / "r.html"))
    assert "0 of 2 runs have ended" in page.text
    assert "nothing that a figure shows yet" in page.text
    assert "nothing to explore yet" in page.text
    assert page.specs == {}
    assert not [script for script in page.scripts if script[1]]


def test_a_study_without_elasticity_has_metrics_to_explore_and_no_responses(finished_study, cube, tmp_path):
    study = altered.Altered(finished_study.folder, altered.without("relative_similarity"), whole=cube)
    with drawing("response_matrices"):
        page = read(write_report(study, tmp_path / "r.html"))
    assert set(page.specs) == {"courses"}
    assert "response_matrices" in page.text.split("need data this study lacks")[1]


@pytest.mark.usefixtures("no_figure")
def test_one_seed_is_told_as_one_seed(finished_study, cube, tmp_path):
    study = altered.Altered(finished_study.folder, lambda group: group.isel(seed=[0]), whole=cube)
    page = read(write_report(study, tmp_path / "r.html"))
    assert "one seed, train split" in page.text
    assert "one seed" in json.dumps(page.specs["responses"])
    assert all(value is None for row in page.rows("courses", "metrics") for value in row["a"])


@pytest.mark.usefixtures("no_figure")
def test_one_probed_epoch_gives_a_page(finished_study, cube, tmp_path):
    study = altered.Altered(finished_study.folder, lambda group: group.isel(epoch=[-1]), whole=cube)
    page = read(write_report(study, tmp_path / "r.html"))
    assert len(page.rows("courses", "metrics")[0]["m"]) == 1


@pytest.mark.usefixtures("unsealed", "no_figure")
def test_diverged_runs_are_told_and_give_a_page(tmp_path, monkeypatch):
    leave_few(monkeypatch)
    few = ("training.epochs=2", "probes.elasticity=null")
    study = studies.run(tmp_path, "optimizer.lr=1.0e30", "model.norm=none", "axes.seed=[0, 1]", "loss=mse", *few)
    page = read(write_report(study))
    assert "All runs diverged" in page.text
    assert "2 diverged" in page.text
    assert int((study.cube["training"]["status"] == Status.DIVERGED).sum()) > 0


def test_the_explorer_holds_the_means_of_the_cube_in_four_digits(finished_study, plain):
    page, cube = plain, finished_study.cube
    expected = np.exp(np.log(cube["elasticity"]["relative_similarity"]).mean("seed"))
    for row in page.rows("responses", "responses"):
        at = expected.isel(layer=row["l"], epoch=row["e"], stepped_class=row["s"]).values
        assert np.array(row["v"], float) == pytest.approx(at, rel=5e-4)
    assert len(page.rows("responses", "responses")) == np.prod(expected.shape[:3])
    nc1 = np.exp(np.log(cube["collapse"]["nc1"].sel(split="train")).mean("seed"))
    labels = next(signal["value"] for signal in page.specs["courses"]["signals"] if signal["name"] == "labels")
    of_nc1 = [row for row in page.rows("courses", "metrics") if labels[row["q"]] == "nc1 (train)"]
    assert len(of_nc1) == nc1.sizes["layer"]
    for row in of_nc1:
        assert np.array(row["m"], float) == pytest.approx(nc1.isel(layer=row["l"]).values, rel=5e-4)


def test_the_charts_are_valid_and_those_of_the_page(finished_study, plain):
    """A page leaves it to this test to validate its charts, which takes longer than to write them."""
    context_of_page = context.read_context(finished_study)
    with pytest.raises(SchemaValidationError):
        vega.compiled(alt.concat(vega.now().encode(x=alt.X("epoch:Q", title=3))), (), (), {}, 0, {})
    for build in EXPLORERS:
        explorer = build(context_of_page)
        assert json.loads(explorer.spec) == plain.specs[explorer.key]


def test_one_script_may_run_and_it_is_the_one_of_the_page(page):
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    (script,) = [data for attrs, data in page.scripts if "type" not in attrs]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy


def test_nothing_of_the_page_points_to_the_network_but_links(page):
    for tag, attrs in page.elements:
        for name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
            address = attrs.get(name) or "data:"
            assert address.startswith(("data:", "#")) or (tag == "a" and address.startswith("https://doi.org/")), (
                address
            )
        assert not [name for name in attrs if name.startswith("on")]


def test_hostile_text_is_text(hostile_report):
    page = read(hostile_report)
    assert len([attrs for attrs, _ in page.scripts if "type" not in attrs]) == 1
    assert not [attrs for attrs in page.all("img") if not attrs["src"].startswith("data:image/")]
    for name in (
        "title",
        "question",
        "protocol",
        "axis",
        "machine",
        "sentence",
        "source",
        "quantity",
        "setting",
        "name",
    ):
        assert f"window.caught='{name}'" in page.text, name
    assert {"responses", "courses"} == set(page.specs)


def expressions(spec):
    """Yield everything in a Vega specification that Vega reads as an expression."""
    if isinstance(spec, dict):
        for key, value in spec.items():
            if isinstance(value, str) and key in ("update", "signal", "expr", "test", "init"):
                yield value
            elif key != "values":
                yield from expressions(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from expressions(value)


def test_no_text_of_a_user_is_in_an_expression(hostile_report):
    collected = [text for spec in read(hostile_report).specs.values() for text in expressions(spec)]
    assert len(collected) > 100
    assert not [text for text in collected if "caught" in text]


def test_headings_landmarks_captions_and_alternatives_are_there(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"
    assert [len(page.all(tag)) for tag in ("main", "header", "footer", "nav")] == [1, 1, 1, 1]
    assert len(page.all("caption")) == len(page.all("table")) >= 3
    assert all(cell["scope"] in ("col", "row") for cell in page.all("th"))
    assert all(picture["alt"].strip() for picture in page.all("img"))
    assert len(page.all("img")) == 2
    assert page.all("a")[0]["href"] == "#content"
    known = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(known) == len(set(known))
    inside = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
    assert set(inside) <= set(known)
    named = [attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs]
    assert set(named) <= set(known)


def test_the_protocol_can_be_saved_as_it_was_read(page, finished_study):
    (link,) = [link for link in page.all("a") if link.get("download")]
    saved = base64.b64decode(link["href"].partition(",")[2]).decode()
    assert saved == finished_study.facts["text"] == studies.SMALL


def grown(classes, layers, epochs, seeds=2):
    """Return a cube of a large study, of random numbers."""
    random = np.random.default_rng(0)
    names = [f"block_{n}" for n in range(layers)]
    labels = {"seed": range(seeds), "epoch": range(epochs), "layer": names, "split": ["train", "test"]}
    labels |= {dim: range(classes) for dim in ("stepped_class", "observed_class")}

    def values(*dims):
        shape = [len(labels[dim]) for dim in dims]
        drawn = random.random(shape, dtype=np.float32) + 0.01
        return xr.DataArray(drawn, {d: list(labels[d]) for d in dims}, dims, attrs={"value_bounds": ["0.0", "inf"]})

    metrics = {f"metric_{n}": values("seed", "epoch", "split", "layer") for n in range(12)}
    pairs = values("seed", "epoch", "layer", "stepped_class", "observed_class")
    elasticity = {"relative_similarity": pairs, "locality": values("seed", "epoch", "layer")}
    status = xr.ones_like(values("seed", "epoch"), dtype=np.int8)
    groups = {"/collapse": metrics, "/elasticity": elasticity, "/training": {"status": status}}
    return xr.DataTree.from_dict({name: xr.Dataset(held) for name, held in groups.items()})


class Imagined(Study):
    """A study with another cube."""

    tree: xr.DataTree

    @property
    def cube(self):
        return self.tree


def test_a_page_of_a_hundred_classes_stays_below_six_megabytes_and_says_what_was_thinned(
    finished_study, tmp_path, monkeypatch
):
    study = Imagined(finished_study.folder)
    study.tree = grown(classes=100, layers=20, epochs=16)
    monkeypatch.setattr("elastic.figures.response_matrices.LAYERS", 3)  # six take twice as long
    with drawing("response_matrices"):  # the heaviest: images of pixels
        path = write_report(study, tmp_path / "r.html")
    assert path.stat().st_size < 6_000_000
    page = read(path)
    assert {picture["src"][:15] for picture in page.all("img")} == {"data:image/png;"}
    assert "the explorer shows 30 of 100 classes, evenly chosen" in page.text
    assert len(page.rows("responses", "responses")) == 30 * 20 * 16
    shown = next(signal["value"] for signal in page.specs["responses"]["signals"] if signal["name"] == "stepped")
    assert (shown[0], shown[-1], len(shown)) == ("0", "99", 30)


def test_the_bibtex_of_elastic_is_what_its_citation_file_says():
    from elastic.report.citation import software

    facts = YAML(typ="safe").load((Path(elastic.__file__).parents[1] / "CITATION.cff").read_text())
    assert f"title   = {{{facts['title']}}}" in software()
    assert f"version = {{{facts['version']}}}" in software()
    assert f"year    = {{{facts['date-released'][:4]}}}" in software()
    assert all(author["name"] in software() for author in facts["authors"])


def test_every_entry_of_the_bibliography_is_told_in_words():
    from elastic.protocol.citations import cite_keys
    from elastic.protocol.references import references

    assert list(references()) == list(cite_keys())
    for reference in references().values():
        assert re.fullmatch(r"[^{}\\]+ \d{4}", reference.short), reference.short
        assert re.fullmatch(r"[^{}\\]+; ?[^{}\\]+\.|[^{}\\;]+\.", reference.text), reference.text
        assert "()" not in reference.text
        assert ". ." not in reference.text


def test_every_figure_has_its_place_in_the_order():
    from elastic.figures.order import ORDER
    from elastic.registry import registry

    assert set(ORDER) <= set(registry("figures").names())
