"""Figures follow the page's theme; of results, what is missing is shown, and the data is named."""

from __future__ import annotations

import re

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from companion import figures
from companion.figures.canvas import INK, MUTED, PALETTE, THEME, new_figure, shades
from multiscale.config import APPROACHES, DICTIONARIES

ROWS = [
    {"representation": name, "window_length": length, "dictionary": str(dictionary), "test": score}
    for name, length in APPROACHES
    for dictionary in DICTIONARIES
    for score in (0.8, 0.9)
]

LIGHT, DARK = "#ffffff", "#121212"


def luminance(colour) -> float:
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(colour, ground) -> float:
    low, high = sorted((luminance(colour), luminance(ground)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_lines_stand_out_from_the_ground_of_either_theme(ground):
    for colour in (*PALETTE, MUTED, *shades(8)):
        assert contrast(colour, ground) >= 3, colour  # WCAG, graphics


def test_a_figure_has_the_ink_and_the_ground_of_the_theme():
    light, dark = (INK, LIGHT), re.findall(r"#[0-9a-f]{6}(?= !important)", THEME)[1:]
    for ink, ground in (light, dark):
        assert contrast(ink, ground) >= 4.5  # WCAG, text
    assert dark[1] == DARK
    drawing = figures.bars(pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}), "x", "y")._repr_svg_()
    assert THEME in drawing
    assert f'"fill: {INK}"' in drawing


def test_a_figure_is_light_and_has_the_same_bytes_every_time():
    drawings = []
    for _ in range(2):
        figure, ax = new_figure()
        ax.scatter(*np.random.default_rng(0).random((2, 50_000)))
        drawings.append(figure._repr_svg_())
    assert drawings[0] == drawings[1]
    assert len(drawings[0]) < 300_000


def crosses(figure) -> int:
    lines = figure.axes[0].get_lines()
    return sum(len(line.get_xdata()) for line in lines if line.get_marker() == "x")


def test_missing_architectures_are_crossed_out():
    full = pd.DataFrame(ROWS)
    assert crosses(figures.architectures(full, "AUC", "data: d")) == 0
    partial = full[full["dictionary"] != "1000"].iloc[2:]
    assert crosses(figures.architectures(partial, "AUC", "data: d")) == 7 + 1
    assert crosses(figures.architectures(full[:0], "AUC", "data: d")) == 28


def test_missing_levels_are_crossed_out():
    full = pd.DataFrame(np.full((2, 4), 0.7), ["slow", "fast"], ["all", "0", "1", "2"])
    partial = full.assign(**{"all": np.nan, "1": np.nan})
    assert crosses(figures.timescales_of_tags(full, "d")) == 0
    assert crosses(figures.timescales_of_tags(partial, "d")) == 4  # two tags, two of their bars
    assert crosses(figures.leanings(full[["0", "1", "2"]], "d")) == 0
    assert crosses(figures.leanings(partial[["0", "1", "2"]], "d")) == 2


def test_results_say_which_data_they_are_from():
    tags = pd.DataFrame(np.full((2, 3), 0.7), ["slow", "fast"], ["all", "0", "1"])
    rows = [("a", 0.1, 0, 0.2, "holds"), ("b", np.nan, np.nan, np.nan, "missing")]
    effects = pd.DataFrame(rows, columns=["name", "effect", "low", "high", "verdict"])
    for figure in (
        figures.architectures(pd.DataFrame(ROWS), "AUC", "data: d, 5 clips"),
        figures.timescales_of_tags(tags, "data: d, 5 clips"),
        figures.leanings(tags[["0", "1"]], "data: d, 5 clips"),
        figures.effects(effects, "effect", "data: d, 5 clips"),
    ):
        assert figure.axes[0].get_title(loc="right") == "data: d, 5 clips"


def test_a_leaning_marks_the_best_level():
    table = pd.DataFrame([[0.6, 0.9, 0.7], [0.8, 0.5, 0.6]], ["slow", "fast"], ["0", "1", "2"])
    dots = figures.leanings(table, "d").axes[0].get_lines()[0]
    assert list(dots.get_xdata()) == [1.5, 0.5]


def test_the_ledger_tells_what_is_missing_and_escapes_words():
    columns = ["claim", "section", "sentence", "rule", "effect", "low", "high", "runs", "verdict"]
    rows = [
        (1, "5.1", "a < b", "r", 0.5, 0.25, 0.75, 10, "holds"),
        (2, "5.2", "s", "r", np.nan, np.nan, np.nan, 0, "cannot be told at this size"),
    ]
    told = figures.ledger(pd.DataFrame(rows, columns=columns).set_index("claim")).data
    assert "+0.5000 (+0.2500 to +0.7500)" in told
    assert "missing" in told
    assert "a &lt; b" in told


def test_a_dot_far_out_on_a_logarithmic_axis_is_drawn_whole():
    row = {"name": "far", "effect": -0.32, "low": -0.16, "high": 0.1, "verdict": "holds"}
    ax = figures.effects(pd.DataFrame([row]), "effect", "data", linear_to=0.01).axes[0]
    place = ax.transAxes.inverted().transform(ax.transData.transform((-0.32, 0)))[0]
    assert 0.03 < place < 0.2
