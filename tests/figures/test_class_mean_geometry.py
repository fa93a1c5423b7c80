"""The figure of the class means shows the quantiles and matrices of the cube's cosines."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from matplotlib.container import BarContainer, ErrorbarContainer
from support.collapsing import cube_of, with_variable
from support.legibility import caption_of, unreadable

from elastic.analysis.intervals import interval
from elastic.analysis.reading import read
from elastic.errors import NotMeasured
from elastic.figures.class_mean_geometry import QUANTILES, class_mean_geometry


def quantiles(cube, epoch, **choice):
    """Return quantiles of the cosines of different classes, [seed, layer, quantile], one by one."""
    cosines = read(cube, "class_cosine", **choice).sel(epoch=epoch).transpose("seed", "layer", "class", "other_class")
    K = cosines.sizes["class"]
    pairs = [(j, k) for j in range(K) for k in range(K) if j < k]
    chosen = xr.concat([cosines.isel({"class": j, "other_class": k}, drop=True) for j, k in pairs], "pair")
    return chosen.quantile(QUANTILES, "pair").transpose("seed", "layer", "quantile")


def shown(figure, epoch):
    """Return what the left panel shows of the first (0) or the last (1) epoch: five numbers a layer."""
    axes = figure.axes[0]
    points = [container for container in axes.containers if isinstance(container, ErrorbarContainer)]
    boxes = [container for container in axes.containers if isinstance(container, BarContainer)]
    whiskers = np.array([segment[:, 1] for segment in axes.collections[2 * epoch].get_segments()])
    box = np.array([[bar.get_y(), bar.get_y() + bar.get_height()] for bar in boxes[epoch]])
    median = points[epoch][0].get_xydata()[:, 1]
    return np.column_stack([whiskers[:, 0], box[:, 0], median, box[:, 1], whiskers[:, 1]])


@pytest.mark.parametrize(("which", "epoch"), [(0, 0), (1, 16)])
def test_boxes_are_the_seeds_mean_quantiles_over_pairs(which, epoch):
    cube = cube_of(classes=5)
    wanted = quantiles(cube, epoch).mean("seed")
    np.testing.assert_allclose(shown(class_mean_geometry(cube), which), wanted, atol=1e-12)


def test_the_bar_of_a_median_is_its_interval_over_the_seeds():
    cube = cube_of(classes=5)
    wanted = interval(quantiles(cube, 0).sel(quantile=0.5))
    points = next(c for c in class_mean_geometry(cube).axes[0].containers if isinstance(c, ErrorbarContainer))
    ends = np.array([segment[:, 1] for segment in points[2][0].get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([wanted["lower"], wanted["upper"]]), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_line_is_at_the_cosine_of_a_simplex(classes):
    drawn = class_mean_geometry(cube_of(classes=classes))
    (line,) = [line for line in drawn.axes[0].lines if line.get_linestyle() == "--"]
    assert set(line.get_ydata()) == {-1 / (classes - 1)}
    marks = {y for line in drawn.axes[-1].lines for y in line.get_ydata()}
    assert marks == {-1 / (classes - 1)}


def test_a_simplex_lies_on_the_line():
    cube = cube_of(classes=6)  # at the last epoch the last layer is one: the logits
    np.testing.assert_allclose(shown(class_mean_geometry(cube), 1)[-1], -1 / 5, atol=1e-12)


def test_matrices_are_the_mean_over_the_seeds_without_the_diagonal():
    cube = cube_of(classes=5)
    drawn = class_mean_geometry(cube)
    images = [axes.images[0] for axes in drawn.axes if axes.images and axes.get_title()]
    for image, epoch in zip(images, (0, 16), strict=True):
        wanted = read(cube, "class_cosine", where={"epoch": epoch, "layer": "penultimate"}).mean("seed").values
        result = np.ma.filled(image.get_array().astype(float), np.nan)
        assert np.isnan(np.diag(result)).all()
        np.testing.assert_allclose(result[~np.eye(5, dtype=bool)], wanted[~np.eye(5, dtype=bool)])
    assert images[0].get_clim() == images[1].get_clim()
    low, high = images[0].get_clim()
    assert low <= -1 / 4 <= high
    assert [axes.get_title() for axes in drawn.axes[1:3]] == ["penult., epoch 0", "penult., epoch 16"]


def test_epochs_layer_split_and_setting_are_taken_as_asked():
    cube = cube_of(axes={"lr": [0.1, 0.2]})
    drawn = class_mean_geometry(cube, epochs=[1, 4, -1], layer="hidden_2", split="test", where={"lr": 0.2})
    assert [axes.get_title() for axes in drawn.axes if axes.images] == [f"h2, epoch {epoch}" for epoch in (1, 4, 16)]
    np.testing.assert_allclose(
        shown(drawn, 1), quantiles(cube, 4, split="test", where={"lr": 0.2}).mean("seed"), atol=1e-12
    )
    assert "class means on test samples" in caption_of(drawn)
    assert "at lr = 0.2" in caption_of(drawn)
    assert unreadable(drawn) == []


def test_a_class_without_a_direction_is_left_out():
    holes = with_variable(
        cube_of(classes=5),
        "class_cosine",
        lambda values: values.where((values["class"] > 0) & (values["other_class"] > 0)),
    )
    fewer = holes.map_over_datasets(
        lambda one: one.isel({"class": slice(1, None), "other_class": slice(1, None)}, missing_dims="ignore")
    )
    np.testing.assert_allclose(shown(class_mean_geometry(holes), 1), quantiles(fewer, 16).mean("seed"), atol=1e-12)


def test_one_seed_two_classes_one_layer():
    drawn = class_mean_geometry(cube_of(seeds=1, classes=2, hidden=1))
    np.testing.assert_allclose(shown(drawn, 1)[-1], -1)
    assert "one seed" in caption_of(drawn)
    assert unreadable(drawn) == []


def test_a_hundred_classes_in_eighteen_layers_can_be_read():
    drawn = class_mean_geometry(cube_of(seeds=2, epochs=(0, 8), classes=100, hidden=18))
    assert "of 100 classes" in caption_of(drawn)
    assert unreadable(drawn) == []


def test_classes_with_long_names_are_not_named_one_by_one():
    cube = cube_of(classes=3)
    names = {dim: ["trousers", "ankle boot", "shirt"] for dim in ("class", "other_class")}
    cube = cube.map_over_datasets(lambda one: one.assign_coords(names) if "class" in one.dims else one)
    drawn = class_mean_geometry(cube)
    assert [label.get_text() for axes in drawn.axes[1:3] for label in axes.get_xticklabels()] == []
    assert unreadable(drawn) == []


def test_what_is_not_measured_is_told():
    with pytest.raises(NotMeasured, match="`class_cosine` should be a variable of the cube"):
        class_mean_geometry(with_variable(cube_of(), "class_cosine", None))
    with pytest.raises(NotMeasured, match="`layer`"):
        class_mean_geometry(cube_of(), layer="hidden_7")
    with pytest.raises(NotMeasured, match="finite"):
        class_mean_geometry(with_variable(cube_of(), "class_cosine", lambda values: values * np.nan))


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="class_mean_geometry.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_class_mean_geometry_looks_as_it_did():
    return class_mean_geometry(cube_of())
