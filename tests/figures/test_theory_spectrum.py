"""The figure of spectra shows the cube's singular values beside those of a simplex or of a theory."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from support.collapsing import cube_of, with_variable
from support.legibility import caption_of, unreadable

from elastic.analysis.intervals import interval
from elastic.analysis.reading import read
from elastic.errors import NotMeasured, OptionError
from elastic.figures.theory_spectrum import theory_spectrum

CENTRED = "class_mean_spectrum_centred"


def lines(axes):
    """Return the lines of a panel by their name in the legend."""
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    return {name: next(line for line in axes.lines if line.get_label() == name).get_ydata() for name in names}


def theory(axes):
    return next(line for line in axes.lines if line.get_linestyle() == "--").get_ydata()


def in_frames(cube, **where):
    """Return centred singular values over the common one of a simplex with the same sum of squares."""
    values = read(cube, CENTRED, where=where)
    return values / np.sqrt((values**2).sum("component") / (values.sizes["component"] - 1))


def test_spectra_of_the_last_hidden_layer_by_epoch():
    cube = cube_of()
    result = lines(theory_spectrum(cube).axes[0])
    assert list(result) == ["0", "1", "4", "16"]
    for epoch, drawn in result.items():
        wanted = in_frames(cube, layer="penultimate", epoch=int(epoch)).mean("seed")
        np.testing.assert_allclose(drawn, wanted, rtol=1e-12)


def test_spectra_of_the_last_epoch_by_layer():
    cube = cube_of()
    axes = theory_spectrum(cube).axes[1]
    assert list(lines(axes)) == ["h1", "h2", "h3", "penult."]
    assert axes.get_legend().get_title().get_text() == "epoch 16, layer"
    for drawn, layer in zip(lines(axes).values(), ["hidden_1", "hidden_2", "hidden_3", "penultimate"], strict=True):
        np.testing.assert_allclose(drawn, in_frames(cube, layer=layer, epoch=16).mean("seed"), rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_simplex_has_equal_values_and_a_zero(classes):
    cube = cube_of(classes=classes)
    drawn = theory_spectrum(cube, layer="logits")
    for axes in drawn.axes:
        np.testing.assert_array_equal(theory(axes), [*[1.0] * (classes - 1), 0.0])
    np.testing.assert_allclose(lines(drawn.axes[0])["16"], theory(drawn.axes[0]), atol=1e-12)


def test_the_band_is_the_interval_over_the_seeds():
    cube = with_variable(cube_of(), CENTRED, lambda values: values ** (1 + 0.2 * values["seed"]))
    wanted = interval(in_frames(cube, layer="penultimate", epoch=0))
    band = next(result for result in theory_spectrum(cube).axes[0].collections if isinstance(result, PolyCollection))
    corners = {tuple(np.round(corner, 9)) for corner in band.get_paths()[0].vertices}
    assert {(r + 1, round(float(wanted[side][r]), 9)) for r in range(4) for side in ("lower", "upper")} <= corners


def test_a_theory_is_held_against_the_class_means_as_they_are():
    cube = cube_of()
    drawn = theory_spectrum(cube, theory=[2.0, 9.0, 4.0, 4.0], layer="hidden_2", epochs=[1, -1])
    (axes,) = drawn.axes
    np.testing.assert_array_equal(theory(axes), [9.0, 4.0, 4.0, 2.0])
    for epoch in (1, 16):
        wanted = read(cube, "class_mean_spectrum", where={"layer": "hidden_2", "epoch": epoch}).mean("seed")
        np.testing.assert_allclose(lines(axes)[str(epoch)], wanted, rtol=1e-12)
    assert [text.get_text() for text in axes.texts] == ["theory"]
    assert "ETF" not in caption_of(drawn)
    assert unreadable(drawn) == []


@pytest.mark.parametrize("result", [[1.0], [1.0, 1.0, 1.0, -1.0], [1.0, 1.0, 1.0, float("nan")]])
def test_a_theory_is_one_value_a_class(result):
    with pytest.raises(OptionError, match="`theory` should be 4 singular values, 0 or more"):
        theory_spectrum(cube_of(), theory=result)


def test_split_and_setting_are_taken_as_asked():
    cube = cube_of(axes={"lr": [0.1, 0.2]})
    cube = with_variable(cube, CENTRED, lambda values: values + values["lr"] * values["component"])
    drawn = theory_spectrum(cube, split="test", where={"lr": 0.2})
    values = read(cube, CENTRED, split="test", where={"lr": 0.2, "layer": "penultimate", "epoch": 1})
    wanted = (values / np.sqrt((values**2).sum("component") / 3)).mean("seed")
    np.testing.assert_allclose(lines(drawn.axes[0])["1"], wanted, rtol=1e-12)
    assert "at lr = 0.2" in caption_of(drawn)
    assert "class means on test samples" in caption_of(drawn)


def test_one_seed_has_no_band():
    drawn = theory_spectrum(cube_of(seeds=1, classes=2, hidden=1))
    assert not any(isinstance(result, PolyCollection) for axes in drawn.axes for result in axes.collections)
    assert "one seed" in caption_of(drawn)
    assert unreadable(drawn) == []


def test_a_run_whose_class_means_coincide_is_left_out():
    cube = with_variable(cube_of(), CENTRED, lambda values: values.where(values["seed"] != 1, 0.0))
    wanted = in_frames(cube, layer="penultimate", epoch=16).isel(seed=[0, 2]).mean("seed")
    result = theory_spectrum(cube)
    np.testing.assert_allclose(lines(result.axes[0])["16"], wanted, rtol=1e-12)
    assert caption_of(result).count("2 seeds") == 1


def test_a_hundred_classes_in_eighteen_layers_can_be_read():
    drawn = theory_spectrum(cube_of(seeds=2, classes=100, hidden=18))
    assert len(lines(drawn.axes[1])) == 8
    assert unreadable(drawn) == []


def test_what_is_not_measured_is_told():
    cube = cube_of()
    with pytest.raises(NotMeasured, match=f"`{CENTRED}` should be a variable of the cube"):
        theory_spectrum(with_variable(cube, CENTRED, None))
    with pytest.raises(NotMeasured, match="`class_mean_spectrum` should be a variable of the cube"):
        theory_spectrum(with_variable(cube, "class_mean_spectrum", None), theory=[1.0] * 4)
    with pytest.raises(NotMeasured, match="`layer`"):
        theory_spectrum(cube, layer="hidden_7")


@pytest.mark.mpl_image_compare(
    baseline_dir="baseline", filename="theory_spectrum.png", tolerance=6, savefig_kwargs={"dpi": 60}
)
def test_theory_spectrum_looks_as_it_did():
    return theory_spectrum(cube_of())
