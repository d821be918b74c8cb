"""Results: architectures, timescales, effects (§5, Fig. 4 to 6)."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.figures.canvas import DIVERGING, legend, new_figure, plain_ticks, shades, sign
from companion.figures.charts import text_table
from multiscale.config import APPROACHES, DICTIONARIES, WINDOW_LENGTHS
from multiscale.study.evidence import in_numbers

VERDICT_COLOURS = {"holds": "C2", "does not hold": "C5"}
"""Of a verdict; whatever cannot be told is grey."""


def architectures(table: pd.DataFrame, label: str, data: str) -> Figure:
    """Scores by multiscale approach and dictionary, as Fig. 4 and 5.

    Parameters
    ----------
    table : DataFrame
        One row per run, with columns representation, window_length, dictionary (as words)
        and test.
    label : str
        What the score is.
    data : str
        The data that it is from, to be written on the figure.

    Returns
    -------
    Figure
        A dot is a mean over runs, its bar their standard deviation. A cross at the foot of the
        figure is an architecture without a result.
    """
    figure, ax = new_figure(height=3.6)
    found = table.groupby(["representation", "window_length", "dictionary"])["test"]
    mean, deviation = found.mean(), found.std().fillna(0)
    for step, dictionary in enumerate(DICTIONARIES):
        keys = [(*approach, str(dictionary)) for approach in APPROACHES]
        x = np.arange(len(APPROACHES)) + 0.17 * (step - (len(DICTIONARIES) - 1) / 2)
        ax.errorbar(
            x,
            mean.reindex(keys),
            deviation.reindex(keys),
            fmt="o",
            color=f"C{step}",
            capsize=3,
            markersize=5,
            label="PCA" if dictionary == "pca" else f"{dictionary} means",
        )
        _cross_out(ax, x[[key not in mean.index for key in keys]], f"C{step}")
    for edge in np.arange(1, len(APPROACHES)) - 0.5:
        ax.axvline(edge, color="muted", alpha=0.4, linewidth=0.8, zorder=0)
    ax.set_xticks(range(len(APPROACHES)), [_approach(*approach) for approach in APPROACHES])
    ax.set(ylabel=label, xlim=(-0.5, len(APPROACHES) - 0.5))
    ax.grid(axis="y", linewidth=0.4)
    legend(ax)
    sign(ax, data)
    sns.despine(ax=ax)
    return figure


def timescales_of_tags(table: pd.DataFrame, data: str) -> Figure:
    """AUC of some tags from all levels and from each alone, as Fig. 6.

    Parameters
    ----------
    table : DataFrame of shape (n_tags, 1 + n_levels)
        Mean AUC; columns "all", "0", "1", ...
    data : str
        The data that it is from, to be written on the figure.

    Returns
    -------
    Figure
        One group of bars per tag. Bars start at 0.5, the AUC of a guess; a cross at the foot
        stands for one that is missing.
    """
    figure, ax = new_figure(height=3.2)
    levels = [name for name in table.columns if name != "all"]
    colours = dict(zip(levels, shades(len(levels)), strict=True))
    colours = {"all": "ink", **colours}
    width = 0.8 / len(colours)
    for step, (name, colour) in enumerate(colours.items()):
        x = np.arange(len(table)) + width * (step - (len(colours) - 1) / 2)
        words = "all levels" if name == "all" else f"level {name}"
        ax.bar(x, table[name] - 0.5, width, bottom=0.5, color=colour, label=words)
        _cross_out(ax, x[table[name].isna()], colour)
    ax.set_xticks(range(len(table)), table.index, rotation=30, ha="right")
    ax.set(ylabel="AUC", ylim=(min(0.5, float(table.min(axis=None))), 1))
    legend(ax)
    sign(ax, data)
    sns.despine(ax=ax)
    return figure


def leanings(table: pd.DataFrame, data: str) -> Figure:
    """AUC of every tag from each level alone, less the tag's mean over the levels.

    Parameters
    ----------
    table : DataFrame of shape (n_tags, n_levels)
        AUCs, in the order in which the tags are to stand.
    data : str
        The data that it is from, to be written on the figure.

    Returns
    -------
    Figure
        Tags by levels; red is better than the tag's mean, blue worse; a dot marks its best level,
        a cross what is missing.
    """
    figure, ax = new_figure(height=1.2 + 0.16 * len(table))
    sns.heatmap(
        table.sub(table.mean(axis=1), axis=0),
        ax=ax,
        cmap=DIVERGING,
        center=0,
        yticklabels=True,
        cbar_kws={"label": "AUC less the tag's mean over the levels"},
    )
    best = np.nanargmax(table.to_numpy(), axis=1)
    ax.plot(best + 0.5, np.arange(len(table)) + 0.5, "o", color="black", markersize=3)
    tags, levels = np.nonzero(table.isna().to_numpy())
    ax.plot(levels + 0.5, tags + 0.5, "x", color="muted", markersize=4)
    ax.tick_params(axis="y", labelsize=7, rotation=0)
    ax.set(xlabel="level", ylabel="")
    sign(ax, data)
    return figure


def ledger(claims: pd.DataFrame, name: str = "ledger") -> HTML:
    """The ledger of the paper's claims, with effects and intervals as words.

    Parameters
    ----------
    claims : DataFrame
        As :func:`multiscale.study.claims.ledger` makes it, or some of its rows.
    name : str, default="ledger"
        Of the table in the page; unique there.

    Returns
    -------
    IPython.display.HTML
        A row per claim.
    """
    shown = claims.reset_index().rename(columns={"claim": "no."})
    shown["effect"] = [
        in_numbers(*numbers) if np.isfinite(numbers[0]) else "missing"
        for numbers in shown[["effect", "low", "high"]].to_numpy()
    ]
    columns = ["no.", "verdict", "sentence", "effect", "rule", "section", "runs"]
    return text_table(shown[columns], name)


def effects(table: pd.DataFrame, label: str, data: str, linear_to: float | None = None) -> Figure:
    """Effects with their intervals, one under the other.

    Parameters
    ----------
    table : DataFrame
        Columns name, effect, low and high; a column verdict, where there is one, gives the
        colours.
    label : str
        What the effect is.
    data : str
        The data that it is from, to be written on the figure.
    linear_to : float, optional
        Where the axis turns from linear to logarithmic, for effects of very different sizes.

    Returns
    -------
    Figure
        A dot and a line per row; a row without a result has neither.
    """
    names = [fill(name, 54) for name in table["name"]]
    figure, ax = new_figure(height=0.8 + 0.24 * len("\n".join(names).splitlines()))
    if linear_to is not None:  # before anything is drawn, so that margins are those of this scale
        ax.set_xscale("symlog", linthresh=linear_to)
        plain_ticks(ax.xaxis)
    rows = np.arange(len(table))[::-1]
    verdicts = table["verdict"] if "verdict" in table else pd.Series("", index=table.index)
    for row, effect, low, high, verdict in zip(
        rows, table["effect"], table["low"], table["high"], verdicts, strict=True
    ):
        colour = VERDICT_COLOURS.get(verdict, "muted")
        ax.plot([low, high], [row, row], color=colour, linewidth=2)
        ax.plot([effect], [row], "o", color=colour, markersize=5)
    ax.axvline(0, color="muted", linewidth=1, linestyle="--")
    if verdicts.any():
        dots = dict(zip(verdicts, ax.get_lines()[1::2], strict=False))  # one of each kind
        figure.legend(dots.values(), dots, loc="outside lower right", ncols=4, frameon=False)
    ax.set_yticks(rows, names)
    ax.set(xlabel=label, ylim=(-0.7, len(table) - 0.3))
    ax.grid(axis="y", linewidth=0.4)
    sign(ax, data)
    sns.despine(ax=ax)
    return figure


def _approach(representation: str, length: int) -> str:
    """Name of a multiscale approach, in two lines."""
    if len(WINDOW_LENGTHS[representation]) == 1:
        return "multi-\nresolution"
    return f"{representation}\n{length} frame{'s' if length > 1 else ''}"


def _cross_out(ax: Axes, x: np.ndarray, colour) -> None:
    """Crosses at the foot of the axes."""
    foot = np.full(len(x), 0.03)
    ax.plot(x, foot, "x", color=colour, transform=ax.get_xaxis_transform())
