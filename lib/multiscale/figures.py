"""What a chapter shows: every figure of the book, from arrays that the other modules made.

Each function draws on a new figure and returns it; a chapter shows it by ending a cell with it.
Frequency is in Hz on a mel axis, time in seconds. Quantities that start at zero have a sequential
colour scale, differences a diverging one that is centred on zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle
from matplotlib.ticker import MaxNLocator

from multiscale.encoding import Encoder
from multiscale.spectrogram import mel_frequencies

WIDTH = 8.0
"""Page width, inches."""

SEQUENTIAL = "magma"
DIVERGING = "vlag"
FREQUENCIES = (250, 500, 1000, 2000, 4000)
"""Labelled frequencies, Hz."""

FINE = (300, 350, 400, 440, 500, 600)
"""Labelled frequencies of a narrow band, Hz."""


def _figure(rows: int = 1, columns: int = 1, height: float = 3.0, **options):
    sns.set_theme(style="ticks", context="notebook", font_scale=0.8)
    # On a page of either theme a figure stands on its own white ground.
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, height), dpi=120, layout="constrained", **options
    )
    plt.close(figure)
    return figure, axes


def _mel_axis(ax: Axes, label: bool = True, frequencies: Sequence[float] = FREQUENCIES) -> None:
    centres = mel_frequencies()
    wanted = [f for f in frequencies if centres[0] < f < centres[-1]]
    ax.set_yticks(np.interp(wanted, centres, np.arange(len(centres))) + 0.5)
    ax.set_yticklabels([f"{f / 1000:g}k" if f >= 1000 else str(f) for f in wanted])
    if label:
        ax.set_ylabel("frequency (Hz)")


def _show(ax: Axes, level: np.ndarray, seconds: float, signed: bool = False, limits=None):
    """Draw (n_frames, n_mels) with time to the right and frequency up."""
    level = np.asarray(level)
    if limits is None:
        limits = np.percentile(level, (1, 99.8))
    low, high = limits
    if signed:
        high = max(abs(low), abs(high), 1e-6)
        low = -high
    return ax.imshow(
        level.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=DIVERGING if signed else SEQUENTIAL,
        vmin=low,
        vmax=high,
        extent=(0, seconds, 0, level.shape[1]),
    )


def table(frame: pd.DataFrame, name: str, **layout: str) -> HTML:
    """A table without its index, for words that need room.

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
    return HTML(styled.to_html())


def spectrogram(
    level: np.ndarray,
    seconds: float,
    title: str = "",
    signed: bool = False,
    boundaries: Sequence[float] = (),
) -> Figure:
    """One log-mel spectrogram or level.

    Parameters
    ----------
    level : array-like of shape (n_frames, n_mels)
        Log-mel values.
    seconds : float
        Time that it spans.
    title : str
        Above the axes.
    signed : bool
        Whether values are differences, centred on zero.
    boundaries : sequence of float
        Times of lines to draw, s: the edges of pooling windows.

    Returns
    -------
    Figure
        One panel with a colour bar.
    """
    figure, ax = _figure(height=2.8)
    image = _show(ax, level, seconds, signed)
    for time in boundaries:
        ax.axvline(time, color="white", linewidth=1.2)
    _mel_axis(ax)
    ax.set(xlabel="time (s)", title=title)
    figure.colorbar(image, ax=ax, label="log amplitude")
    return figure


def pipeline(
    level: np.ndarray,
    code: np.ndarray,
    pooled: np.ndarray,
    seconds: float,
    window_length: int,
    n_features: int = 40,
) -> Figure:
    """Figure 1: feature extraction at a single timescale, drawn with real values.

    Parameters
    ----------
    level : array-like of shape (n_frames, n_mels)
        Some whole pooling windows of a mel-spectrogram.
    code : array-like of shape (n_pooling_windows, n_features, n_positions)
        Features at every window position.
    pooled : array-like of shape (n_pooling_windows, n_features)
        Their maxima.
    seconds : float
        Time that ``level`` spans.
    window_length : int
        Frames of the small window drawn.
    n_features : int
        Features shown.

    Returns
    -------
    Figure
        Three rows joined by arrows.
    """
    level, code, pooled = (np.asarray(array) for array in (level, code, pooled))
    n_pools, n_features = len(code), min(n_features, code.shape[1])
    figure, axes = _figure(3, 1, 6.2, height_ratios=(1.3, 1.0, 0.9), sharex=True)
    figure.get_layout_engine().set(h_pad=0.1)
    _show(axes[0], level, seconds)
    _mel_axis(axes[0])
    flat = np.concatenate(list(code[:, :n_features]), axis=1)
    limit = np.percentile(np.abs(flat), 99.5)
    for ax, values in ((axes[1], flat), (axes[2], pooled[:, :n_features].T)):
        ax.imshow(
            values,
            aspect="auto",
            interpolation="nearest",
            cmap=DIVERGING,
            origin="lower",
            vmin=-limit,
            vmax=limit,
            extent=(0, seconds, 0, n_features),
        )
        ax.set_ylabel("feature")
    pool = seconds / n_pools
    for ax, colour in zip(axes, ("white", "black", "black"), strict=True):
        for edge in range(1, n_pools):
            ax.axvline(edge * pool, color=colour, linewidth=2)
    axes[0].set_title(f"mel-spectrogram, {n_pools} pooling window{'s' * (n_pools > 1)}", loc="left")
    axes[1].set_title("features at every position", loc="left")
    axes[2].set_title("pooled features", loc="left")
    axes[2].set_xlabel("time (s)")
    # The small window lies early in the middle pooling window; drawn wide enough to be seen.
    left = (n_pools // 2 + 0.25) * pool
    width = max(window_length * seconds / len(level), seconds / 120)
    for ax, height, colour in ((axes[0], level.shape[1], "cyan"), (axes[1], n_features, "green")):
        ax.add_patch(
            Rectangle((left, 0), width, height, fill=False, color=colour, linewidth=1.8, zorder=3)
        )
    _arrow(axes[0], axes[1], left + width / 2, "whiten, times dictionary")
    _arrow(axes[1], axes[2], (n_pools // 2 + 0.5) * pool, "maximum over the pooling window")
    return figure


def _arrow(above: Axes, below: Axes, time: float, words: str) -> None:
    """An arrow from one row of Figure 1 to the next, with words beside it."""
    top, bottom = above.get_ylim()[0], below.get_ylim()[1]
    arrow = ConnectionPatch(
        (time, top),
        (time, bottom),
        "data",
        "data",
        axesA=above,
        axesB=below,
        arrowstyle="-|>",
        color="green",
        linewidth=2,
        mutation_scale=16,
    )
    above.figure.add_artist(arrow)
    below.annotate(
        words, (time, bottom), xytext=(12, 6), textcoords="offset points", color="green", fontsize=9
    )


def representations(columns: dict[str, Sequence[np.ndarray]], seconds: float) -> Figure:
    """Figure 2: multiscale representations side by side, level 0 at the bottom.

    Parameters
    ----------
    columns : dict of str to list of array-like of shape (n_frames, n_mels)
        Title -> levels, finest first. Under "Laplacian ..." all levels but the last are drawn as
        differences, on one colour scale; other levels have a scale each, for a longer spectrogram
        window makes all values larger.
    seconds : float
        Time that they span.

    Returns
    -------
    Figure
        Levels by representations.
    """
    n_levels = max(len(levels) for levels in columns.values())
    figure, axes = _figure(
        n_levels, len(columns), 1.35 * n_levels + 0.9, sharex=True, sharey=True, squeeze=False
    )
    for column, (title, levels) in enumerate(columns.items()):
        differences = [np.asarray(level).ravel() for level in levels[:-1]]
        limits = np.percentile(np.concatenate(differences), (0.5, 99.5)) if differences else None
        for index, level in enumerate(levels):
            ax = axes[n_levels - 1 - index, column]
            signed = title.startswith("Laplacian") and index < len(levels) - 1
            image = _show(ax, level, seconds, signed, limits if signed else None)
            ax.set_title(f"level {index}", loc="right", fontsize=8, pad=2)
            _mel_axis(ax, label=False, frequencies=FREQUENCIES[::2])
            if signed and index == 0:
                figure.colorbar(image, ax=axes[:, column], label="difference", shrink=0.4)
        axes[0, column].set_title(title, loc="left", fontsize=9)
        axes[-1, column].set_xlabel("time (s)")
    figure.supylabel("frequency (Hz)", fontsize=9)
    return figure


def timescales(
    rows: dict[str, np.ndarray], seconds: float, band: tuple[float, float] | None = None
) -> Figure:
    """Levels of one clip above each other.

    Parameters
    ----------
    rows : dict of str to array-like of shape (n_frames, n_mels)
        Title -> level, from top to bottom.
    seconds : float
        Time that they span.
    band : tuple of float, optional
        Show only these frequencies, Hz.

    Returns
    -------
    Figure
        A panel per level, each with a colour scale of its own.
    """
    figure, axes = _figure(len(rows), 1, 1.7 * len(rows) + 0.5, sharex=True, squeeze=False)
    for ax, (title, level) in zip(axes[:, 0], rows.items(), strict=True):
        image = _show(ax, level, seconds)
        ax.set_title(title, loc="left")
        _mel_axis(ax, label=False, frequencies=FREQUENCIES[1::2] if band is None else FINE)
        if band is not None:
            ax.set_ylim(np.interp(band, mel_frequencies(), np.arange(level.shape[1])) + 0.5)
        figure.colorbar(image, ax=ax, label="log amplitude")
    axes[-1, 0].set_xlabel("time (s)")
    figure.supylabel("frequency (Hz)", fontsize=9)
    return figure


def spectra(lines: dict[str, np.ndarray], titles: Sequence[str], columns: int = 3) -> Figure:
    """Functions of frequency, a panel each; the lines of a panel are compared.

    Parameters
    ----------
    lines : dict of str to ndarray of shape (n_panels, n_mels)
        Name -> a line per panel.
    titles : sequence of str
        Of the panels.
    columns : int
        Panels in a row.

    Returns
    -------
    Figure
        A legend under the panels where there are several lines.
    """
    rows = -(-len(titles) // columns)
    figure, axes = _figure(rows, columns, 1.6 * rows + 0.6, sharex=True, sharey=True, squeeze=False)
    palette = sns.color_palette("colorblind")
    for panel, (ax, title) in enumerate(zip(axes.flat, titles, strict=False)):
        for (name, values), colour, style in zip(
            lines.items(), palette, ["-", ":", "--"], strict=False
        ):
            ax.plot(values[panel], color=colour, linestyle=style, label=name, linewidth=1.4)
        ax.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        ax.set_title(title, fontsize=9)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    centres = mel_frequencies()
    for ax in axes[-1]:
        ax.set_xticks(np.interp((250, 1000, 4000), centres, np.arange(len(centres))))
        ax.set_xticklabels(["250", "1k", "4k"])
        ax.set_xlabel("frequency (Hz)")
    if len(lines) > 1:
        figure.legend(
            *axes[0, 0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=3,
            frameon=False,
        )
    sns.despine(figure)
    return figure


def correlations(matrices: dict[str, np.ndarray]) -> Figure:
    """Correlation of every level with every other, representations side by side.

    Parameters
    ----------
    matrices : dict of str to ndarray of shape (n_levels, n_levels)
        Title -> correlations, finest level first.

    Returns
    -------
    Figure
        A panel per representation, values written in.
    """
    figure, axes = _figure(1, len(matrices), 3.4, squeeze=False)
    for ax, (title, matrix) in zip(axes[0], matrices.items(), strict=True):
        sns.heatmap(
            matrix,
            ax=ax,
            cmap=DIVERGING,
            vmin=-1,
            vmax=1,
            annot=True,
            fmt=".2f",
            annot_kws={"size": 8},
            square=True,
            cbar=False,
        )
        ax.invert_yaxis()
        ax.set(title=title, xlabel="level", ylabel="level")
    figure.colorbar(axes[0, -1].collections[0], ax=axes, label="correlation", shrink=0.8)
    return figure


def patches(groups: dict[str, np.ndarray]) -> Figure:
    """Groups of learned features side by side, each scaled to its own largest value.

    Parameters
    ----------
    groups : dict of str to ndarray of shape (n_features, window_length, n_mels)
        Title -> features as windows of log-mel values.

    Returns
    -------
    Figure
        A panel per group, frequency upwards.
    """
    figure, axes = _figure(1, len(groups), 3.0, sharey=True, squeeze=False)
    for ax, (title, group) in zip(axes[0], groups.items(), strict=True):
        _show_patches(ax, np.asarray(group))
        ax.set_title(title, fontsize=9)
    _mel_axis(axes[0, 0])
    return figure


def learned_features(rows: dict[str, Sequence[Encoder]], n_shown: int = 8, seed: int = 0) -> Figure:
    """Figure 3: a random selection of features at each level, frequency upwards.

    Parameters
    ----------
    rows : dict of str to list of Encoder
        Title -> encoders of the levels, finest first.
    n_shown : int
        Features per level.
    seed : int
        Of the selection.

    Returns
    -------
    Figure
        Titles by levels, each a strip of features.
    """
    rng = np.random.default_rng(seed)
    n_levels = len(next(iter(rows.values())))
    figure, axes = _figure(len(rows), n_levels, 2.3 * len(rows) + 0.4, sharey=True, squeeze=False)
    for row, (title, encoders) in enumerate(rows.items()):
        for level, encoder in enumerate(encoders):
            chosen = np.sort(rng.choice(len(encoder), min(n_shown, len(encoder)), replace=False))
            ax = axes[row, level]
            _show_patches(ax, encoder.patches[chosen])
            if row == 0:
                ax.set_title(f"level {level}")
            if level == 0:
                _mel_axis(ax)
                ax.set_ylabel(f"{title}\nfrequency (Hz)")
    return figure


def _show_patches(ax: Axes, patches: np.ndarray) -> None:
    """Features beside each other, each scaled to its own largest value, with gaps between."""
    _, length, n_mels = patches.shape
    scaled = patches / np.abs(patches).max(axis=(1, 2), keepdims=True)
    gap = np.full((1, n_mels), np.nan)
    strip = np.concatenate([part for patch in scaled for part in (patch, gap)][:-1])
    ax.set_facecolor("white")
    _show(ax, strip, len(strip), signed=True, limits=(-1, 1))
    ax.set_xticks([])
    sns.despine(ax=ax, bottom=True)
    ax.set_xlabel(f"{length} frame{'s' if length > 1 else ''} each")


def dictionary(patches: np.ndarray, order: np.ndarray | None = None, title: str = "") -> Figure:
    """A whole dictionary of single frames as one image: a column per mean, its peak positive.

    Parameters
    ----------
    patches : ndarray of shape (n_features, n_mels)
        Features as frames.
    order : ndarray of shape (n_features,), optional
        Order of the columns; by default by the frequency of the largest value.
    title : str
        Above the axes.

    Returns
    -------
    Figure
        Features by frequency.
    """
    peaks = np.abs(patches).argmax(axis=1)
    patches = patches / patches[np.arange(len(patches)), peaks][:, None]
    order = np.argsort(peaks) if order is None else order
    figure, ax = _figure(height=3.2)
    image = _show(ax, patches[order], len(patches), signed=True, limits=(-1, 1))
    _mel_axis(ax)
    ax.set(xlabel="feature, in order of the frequency of its peak", title=title)
    figure.colorbar(image, ax=ax, label="relative amplitude")
    return figure


def whitening(windows: np.ndarray, whitened: np.ndarray, variance: np.ndarray) -> Figure:
    """Covariance before and after whitening, and the variance of the components.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_mels)
        Single frames.
    whitened : ndarray of shape (n_windows, n_components)
        The same, whitened.
    variance : ndarray of shape (n_values,)
        Variance of all components, in falling order.

    Returns
    -------
    Figure
        Three panels.
    """
    figure, axes = _figure(1, 3, 2.7)
    before = np.corrcoef(windows.T)
    image = axes[0].imshow(before, cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
    axes[0].set(title="correlation of mel bands", xlabel="mel band", ylabel="mel band")
    after = np.atleast_2d(np.cov(whitened.T))
    axes[1].imshow(after, cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
    axes[1].set(title="covariance when whitened", xlabel="component", ylabel="component")
    figure.colorbar(image, ax=axes[:2], shrink=0.8)
    share = np.cumsum(variance) / np.sum(variance)
    axes[2].plot(np.arange(1, len(share) + 1), 100 * share)
    axes[2].axvline(whitened.shape[1], color="tab:red", linewidth=1)
    axes[2].set(
        title=f"{whitened.shape[1]} of {len(share)} components kept",
        xlabel="components kept",
        ylabel="variance kept (%)",
        xscale="log",
    )
    sns.despine(ax=axes[2])
    return figure


def unit_circle(samples: np.ndarray, steps: dict[str, np.ndarray]) -> Figure:
    """Spherical K-means in two dimensions: samples, their means, and the circle they stay on.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, 2)
        Whitened samples.
    steps : dict of str to ndarray of shape (n_means, 2)
        Title -> means of unit norm; each sample has the colour of the mean on whose line it
        projects most strongly.

    Returns
    -------
    Figure
        A square panel per step.
    """
    figure, axes = _figure(1, len(steps), 3.2, sharex=True, sharey=True, squeeze=False)
    for ax, (title, means) in zip(axes[0], steps.items(), strict=True):
        labels = np.abs(samples @ means.T).argmax(axis=1)
        palette = sns.color_palette("colorblind", len(means))
        for index, (mean, colour) in enumerate(zip(means, palette, strict=True)):
            own = samples[labels == index]
            ax.scatter(*own.T, s=5, color=colour, alpha=0.4, linewidths=0)
            ax.plot(*np.stack([-3 * mean, 3 * mean]).T, color=colour, linewidth=0.8, linestyle=":")
            arrow = {
                "arrowstyle": "-|>",
                "edgecolor": "black",
                "facecolor": colour,
                "linewidth": 1.5,
            }
            ax.annotate("", mean, (0, 0), arrowprops={**arrow, "shrinkA": 0, "shrinkB": 0})
        ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="black"))
        ax.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3), title=title)
        ax.set_xlabel("first component")
    axes[0, 0].set_ylabel("second component")
    sns.despine(figure)
    return figure


def zooms(
    signal: np.ndarray, seconds: Sequence[float], centre: float, sample_rate: int = 16_000
) -> Figure:
    """A signal at ever shorter spans, each marked in the one above it.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,)
        Mono audio.
    seconds : sequence of float
        Spans, the longest first.
    centre : float
        Where the shorter ones lie, s.
    sample_rate : int, default=16000
        In Hz.

    Returns
    -------
    Figure
        A panel per span.
    """
    figure, axes = _figure(len(seconds), 1, 1.5 * len(seconds) + 0.3)
    left = 0.0
    for row, (ax, span) in enumerate(zip(axes, seconds, strict=True)):
        n_shown = round(span * sample_rate)
        start = max(round((centre - span / 2) * sample_rate), 0) if row else 0
        left = start / sample_rate
        part = signal[start : start + n_shown]
        ax.plot(left + np.arange(len(part)) / sample_rate, part, color="tab:blue", linewidth=0.5)
        ax.set_title(f"{span:g} s" if span >= 1 else f"{1000 * span:g} ms", loc="left")
        ax.set(xlim=(left, left + span), yticks=[], ylabel="amplitude")
        if row:
            ax.lines[0].set_linewidth(1.0)
            axes[row - 1].axvspan(left, left + span, color="tab:orange", alpha=0.8, linewidth=2)
    axes[-1].set_xlabel("time (s)")
    sns.despine(figure, left=True)
    return figure


def pooling(code: np.ndarray, pooled: dict[str, np.ndarray], seconds: float) -> Figure:
    """One feature over time, and what each pooling function keeps of it.

    Parameters
    ----------
    code : ndarray of shape (n_positions,)
        The feature at every position.
    pooled : dict of str to ndarray of shape (n_pooling_windows,)
        Name -> one value per pooling window.
    seconds : float
        Time that they span.

    Returns
    -------
    Figure
        One panel.
    """
    figure, ax = _figure(height=2.6)
    times = (np.arange(len(code)) + 0.5) * seconds / len(code)
    ax.plot(times, code, color="0.6", linewidth=0.8, label="feature")
    for (name, values), colour in zip(
        pooled.items(), sns.color_palette("colorblind"), strict=False
    ):
        edges = np.linspace(0, seconds, len(values) + 1)
        ax.stairs(values, edges, color=colour, linewidth=2, label=name, baseline=None)
    ax.set(xlabel="time (s)", ylabel="feature value", xlim=(0, seconds))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    sns.despine(ax=ax)
    return figure


def _line_colours(names: pd.Series) -> list:
    """Shades for what is ordered, such as runs; colours far apart for what has names."""
    ordered = pd.api.types.is_numeric_dtype(names)
    return sns.color_palette("crest" if ordered else "colorblind", names.nunique())


def curves(
    table: pd.DataFrame, x: str, y: str, line: str | None = None, log_y: bool = False
) -> Figure:
    """Lines from a tidy table.

    Parameters
    ----------
    table : DataFrame
        One row per point.
    x, y : str
        Columns, whose names are the axis labels.
    line : str, optional
        Column that tells lines apart.
    log_y : bool
        Whether the vertical axis is logarithmic.

    Returns
    -------
    Figure
        One panel.
    """
    figure, ax = _figure(height=2.8)
    palette = _line_colours(table[line]) if line else None
    # Dots say where the points of a line are; many of them only hide it.
    marker = "o" if len(table) <= 40 * (table[line].nunique() if line else 1) else None
    sns.lineplot(table, x=x, y=y, hue=line, palette=palette, marker=marker, markersize=4, ax=ax)
    if pd.api.types.is_integer_dtype(table[x]):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if log_y:
        ax.set_yscale("log")
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
    figure, ax = _figure(height=0.7 + 0.2 * table[y].nunique())
    if hue is None:
        sns.barplot(table, x=x, y=y, ax=ax, color="tab:blue", errorbar=("pi", 100))
    else:
        sns.stripplot(table, x=x, y=y, hue=hue, ax=ax, jitter=False, size=5, palette="colorblind")
        sns.move_legend(ax, "lower left", bbox_to_anchor=(0, 1), ncols=2, title="", frameon=False)
        ax.grid(axis="y", linewidth=0.4)
    if reference is not None:
        ax.axvline(reference, color="0.4", linewidth=1, linestyle="--")
    ax.set_ylabel("")
    sns.despine(ax=ax)
    return figure


def heatmap(table: pd.DataFrame, label: str, signed: bool = False) -> Figure:
    """A table as colours: rows by columns.

    Parameters
    ----------
    table : DataFrame
        Numbers; index and columns name them.
    label : str
        What the numbers are, with their unit.
    signed : bool
        Whether they are centred on zero.

    Returns
    -------
    Figure
        One panel with a colour bar.
    """
    figure, ax = _figure(height=0.9 + 0.17 * len(table))
    sns.heatmap(
        table,
        ax=ax,
        cmap=DIVERGING if signed else SEQUENTIAL,
        center=0 if signed else None,
        vmin=None if signed else 0,
        xticklabels=True,
        yticklabels=True,
        cbar_kws={"label": label},
    )
    ax.tick_params(labelsize=7)
    ax.set(xlabel="", ylabel="")
    return figure


def search(
    rates: np.ndarray,
    decays: np.ndarray,
    scores: np.ndarray,
    label: str,
    ranges: tuple[tuple[float, float], tuple[float, float]],
) -> Figure:
    """Trials of a random search, coloured by validation score; the best is circled.

    Parameters
    ----------
    rates, decays, scores : ndarray of shape (n_trials,)
        Learning rate, weight decay and validation score.
    label : str
        What the score is.
    ranges : pair of (float, float)
        Where rates and decays were drawn from.

    Returns
    -------
    Figure
        One panel.
    """
    figure, ax = _figure(height=3.0)
    points = ax.scatter(rates, decays, c=scores, cmap="viridis", s=60, clip_on=False)
    best = int(np.nanargmax(scores))
    ax.scatter(
        rates[best], decays[best], s=200, facecolors="none", edgecolors="tab:red", clip_on=False
    )
    ax.set(xscale="log", yscale="log", xlim=ranges[0], ylim=ranges[1])
    ax.set(xlabel="learning rate", ylabel="weight decay")
    figure.colorbar(points, ax=ax, label=label)
    sns.despine(ax=ax)
    return figure


def clip_map(points: np.ndarray, artists: np.ndarray, n_named: int = 10, seed: int = 0) -> Figure:
    """Clips in two dimensions, some artists in colour.

    Parameters
    ----------
    points : ndarray of shape (n_clips, 2)
        Places.
    artists : ndarray of shape (n_clips,)
        Artist of each clip.
    n_named : int
        Artists shown in colour; the others are grey.
    seed : int
        Of their choice.

    Returns
    -------
    Figure
        One panel with a legend.
    """
    figure, ax = _figure(height=4.4)
    names, counts = np.unique(artists.astype(str), return_counts=True)
    several = names[counts > 1]
    rng = np.random.default_rng(seed)
    named = np.sort(rng.choice(several, min(n_named, len(several)), replace=False))
    ax.scatter(*points.T, s=14, color="0.85", linewidths=0)
    for name, colour in zip(named, sns.color_palette("tab10", len(named)), strict=True):
        ax.scatter(*points[artists == name].T, s=34, color=colour, label=name)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, title="artist")
    ax.set(xticks=[], yticks=[], xlabel="first principal axis", ylabel="second principal axis")
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
    figure, ax = _figure(height=2.4)
    ax.hist(values, bins=min(30, max(5, len(values) // 5)), color="tab:blue", edgecolor="white")
    ax.set(xlabel=label, ylabel=counted)
    sns.despine(ax=ax)
    return figure


def ranking(scores: np.ndarray, carried: np.ndarray, tag: str, auc: float) -> Figure:
    """Predictions of one tag, of clips with and without it, and the ROC curve they make.

    Parameters
    ----------
    scores : ndarray of shape (n_clips,)
        Predicted probabilities.
    carried : ndarray of shape (n_clips,), bool
        Whether a clip carries the tag.
    tag : str
        Its name.
    auc : float
        Area under the curve, for the title.

    Returns
    -------
    Figure
        Two panels.
    """
    figure, axes = _figure(1, 2, 3.0, width_ratios=(1.7, 1))
    groups = {f"with {tag!r}": scores[carried], f"without {tag!r}": scores[~carried]}
    colours = sns.color_palette("colorblind", 2)
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(scores))
    for row, (values, colour) in enumerate(zip(groups.values(), colours, strict=True)):
        axes[0].scatter(values, row + spread[: len(values)], s=16, color=colour, alpha=0.6)
    axes[0].set_yticks([0, 1], list(groups))
    axes[0].set(xlabel="predicted probability", ylim=(1.5, -0.5), title="one dot per clip")
    thresholds = np.concatenate([[np.inf], np.sort(scores)[::-1]])
    shares = [
        [(group >= t).mean() for t in thresholds] for group in (scores[~carried], scores[carried])
    ]
    axes[1].plot(100 * np.array(shares[0]), 100 * np.array(shares[1]), color=colours[0])
    axes[1].fill_between(
        100 * np.array(shares[0]), 100 * np.array(shares[1]), color=colours[0], alpha=0.15
    )
    axes[1].plot([0, 100], [0, 100], color="0.6", linestyle="--", linewidth=1)
    axes[1].set(
        xlabel="clips without the tag\nabove the threshold (%)",
        ylabel="clips with it above (%)",
        title=f"area under the curve: {auc:.2f}",
        aspect="equal",
    )
    sns.despine(figure)
    return figure


def neighbours(
    places: np.ndarray, labels: np.ndarray, chooser: int, probability: np.ndarray
) -> Figure:
    """Whom one point picks as its neighbour: lines as wide as the choice is likely.

    Parameters
    ----------
    places : ndarray of shape (n_points, 2)
        Points in the plane.
    labels : ndarray of shape (n_points,), int
        Class of each.
    chooser : int
        Index of the point that picks.
    probability : ndarray of shape (n_points,)
        Of each being picked.

    Returns
    -------
    Figure
        One panel.
    """
    figure, ax = _figure(height=3.6)
    palette = sns.color_palette("colorblind", int(labels.max()) + 1)
    for place, label, share in zip(places, labels, probability, strict=True):
        ends = np.stack([places[chooser], place])
        ax.plot(*ends.T, color=palette[label], linewidth=24 * share, alpha=0.45, zorder=1)
        if share >= 0.02:
            box = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
            options = {"textcoords": "offset points", "fontsize": 8, "bbox": box}
            ax.annotate(f"{share:.0%}", place, xytext=(7, 5), **options)
    for label, colour in enumerate(palette):
        own = places[labels == label]
        ax.scatter(*own.T, s=70, color=colour, zorder=2, label=f"artist {label + 1}")
    ax.scatter(
        *places[chooser], s=260, facecolors="none", edgecolors="black", linewidth=2, zorder=3
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    ax.set(aspect="equal", xlabel="first dimension", ylabel="second dimension")
    sns.despine(ax=ax)
    return figure
