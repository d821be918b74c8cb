"""Charts and tables of any numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from companion.figures.canvas import SEQUENTIAL, new_figure, shades

TEXT = {
    "text_align": "left",
    "vertical_align": "top",
    "white_space": "normal",
    "padding": "0.4em 0.6em",
}
"""Layout of cells that hold sentences."""


def table(frame: pd.DataFrame, name: str, **layout: str) -> HTML:
    """A table without its index.

    Parameters
    ----------
    frame : DataFrame
        What to show.
    name : str
        Of the table in the page; unique there.
    **layout : str
        CSS properties of the cells, with underscores for hyphens.

    Returns
    -------
    IPython.display.HTML
        The same bytes every time, unlike pandas' own styled tables.
    """
    properties = {key.replace("_", "-"): value for key, value in layout.items()}
    styled = frame.style.hide(axis="index").set_uuid(name).set_properties(**properties)
    styled.set_table_attributes('class="dataframe"')  # to the theme, a table as pandas' own
    escaped = styled.format(escape="html").format_index(escape="html", axis="columns")
    return HTML(escaped.to_html())  # a file or a tag may be named as it likes


def text_table(frame: pd.DataFrame, name: str) -> HTML:
    """A :func:`table` whose cells hold sentences."""
    return table(frame, name, **TEXT)


def curves(table: pd.DataFrame, x: str, y: str, line: str | None = None) -> Figure:
    """Lines from a tidy table.

    Parameters
    ----------
    table : DataFrame
        One row per point.
    x, y : str
        Columns, whose names are the axis labels.
    line : str, optional
        Column that tells lines apart: by shades if it is of numbers, such as runs, else by colours.

    Returns
    -------
    Figure
        One panel.
    """
    figure, ax = new_figure(height=2.8)
    n_lines, palette = 1, None
    if line:
        n_lines, ordered = table[line].nunique(), pd.api.types.is_numeric_dtype(table[line])
        palette = shades(n_lines) if ordered else sns.color_palette(n_colors=n_lines)
    # Dots say where the points of a line are; many of them only hide it.
    marker = "o" if len(table) <= 40 * n_lines else None
    dots = {"marker": marker, "markersize": 4, "markeredgecolor": "none"}
    sns.lineplot(table, x=x, y=y, hue=line, palette=palette, ax=ax, **dots)
    if pd.api.types.is_integer_dtype(table[x]):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if line:
        sns.move_legend(ax, "upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(ax=ax)
    return figure


def bars(
    table: pd.DataFrame, x: str, y: str, hue: str | None = None, reference: float | None = None
) -> Figure:
    """Horizontal bars, or points where ``hue`` compares several, from a tidy table.

    A bar is the mean of its rows; a thin line goes from the least to the greatest.

    Parameters
    ----------
    table : DataFrame
        One row per bar.
    x : str
        Column of lengths, whose name is the axis label.
    y : str
        Column of names.
    hue : str, optional
        Column that tells apart what is compared.
    reference : float, optional
        Where to draw a line, such as 0.5 for the AUC of a guess.

    Returns
    -------
    Figure
        One panel, as high as it has names.
    """
    figure, ax = new_figure(height=0.7 + 0.2 * table[y].nunique())
    if hue is None:
        spread = {"errorbar": ("pi", 100), "err_kws": {"color": "ink"}}
        sns.barplot(table, x=x, y=y, ax=ax, color="C0", saturation=1, **spread)
    else:
        sns.stripplot(table, x=x, y=y, hue=hue, ax=ax, jitter=False, size=5)
        sns.move_legend(ax, "lower left", bbox_to_anchor=(0, 1), ncols=2, title="", frameon=False)
        ax.grid(axis="y", linewidth=0.4)
    if reference is not None:
        ax.axvline(reference, color="muted", linewidth=1, linestyle="--")
    ax.set_ylabel("")
    sns.despine(ax=ax)
    return figure


def heatmap(table: pd.DataFrame, label: str) -> Figure:
    """A table as colours: rows by columns.

    Parameters
    ----------
    table : DataFrame
        Numbers from 0; index and columns name them.
    label : str
        What the numbers are, with their unit.

    Returns
    -------
    Figure
        One panel with a colour bar.
    """
    figure, ax = new_figure(height=0.9 + 0.17 * len(table))
    sns.heatmap(
        table,
        ax=ax,
        cmap=SEQUENTIAL,
        vmin=0,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": label},
    )
    ax.tick_params(labelsize=7)
    ax.set(xlabel="", ylabel="")
    return figure


def histogram(values: np.ndarray, label: str, counted: str) -> Figure:
    """How often values occur.

    Parameters
    ----------
    values : ndarray of shape (n_values,)
        One number per thing counted.
    label : str
        What the numbers are, with their unit.
    counted : str
        What is counted.

    Returns
    -------
    Figure
        One panel.
    """
    figure, ax = new_figure(height=2.4)
    ax.hist(values, bins=min(30, max(5, len(values) // 5)), rwidth=0.94)
    ax.set(xlabel=label, ylabel=counted)
    sns.despine(ax=ax)
    return figure
