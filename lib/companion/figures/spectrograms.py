"""Spectrograms and pyramids (§2-3, Fig. 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch, Rectangle

from companion.figures.canvas import DIVERGING, FINE, FREQUENCIES, mel_axis, new_figure, show
from multiscale.config import SpectrogramSettings
from multiscale.spectrogram import mel_frequencies

N_FEATURES = 40
"""Features shown in Figure 1."""

N_COLUMNS = 3
"""Spectra in a row."""


def spectrogram(
    level: np.ndarray, seconds: float, title: str = "", boundaries: Sequence[float] = ()
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
    boundaries : sequence of float
        Times of lines to draw, s: the edges of pooling windows.

    Returns
    -------
    Figure
        One panel with a colour bar.
    """
    figure, ax = new_figure(height=2.8)
    image = show(ax, level, seconds)
    for time in boundaries:
        ax.axvline(time, color="white", linewidth=1.2)
    mel_axis(ax)
    ax.set(xlabel="time (s)", title=title)
    figure.colorbar(image, ax=ax, label="log amplitude")
    return figure


def pipeline(
    level: np.ndarray, code: np.ndarray, pooled: np.ndarray, seconds: float, window_length: int
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

    Returns
    -------
    Figure
        Three rows joined by arrows.
    """
    level, code, pooled = (np.asarray(array) for array in (level, code, pooled))
    n_pools, n_features = len(code), min(N_FEATURES, code.shape[1])
    figure, axes = new_figure(3, 1, 6.2, height_ratios=(1.3, 1.0, 0.9), sharex=True)
    figure.get_layout_engine().set(h_pad=0.1)
    show(axes[0], level, seconds)
    mel_axis(axes[0])
    flat = np.concatenate(list(code[:, :n_features]), axis=1)
    limit = np.percentile(np.abs(flat), 99.5)
    for ax, values in ((axes[1], flat), (axes[2], pooled[:, :n_features].T)):
        ax.imshow(
            values,
            aspect="auto",
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
    for ax, height, colour in ((axes[0], level.shape[1], "cyan"), (axes[1], n_features, "C2")):
        ax.add_patch(
            Rectangle((left, 0), width, height, fill=False, color=colour, linewidth=1.8, zorder=3)
        )
    _arrow(axes[0], axes[1], left + width / 2, "whiten, times dictionary")
    _arrow(axes[1], axes[2], (n_pools // 2 + 0.5) * pool, "maximum over the pooling window")
    return figure


def _arrow(above: Axes, below: Axes, time: float, words: str) -> None:
    """An arrow from one row of Figure 1 to the next, with words beside it."""
    top, bottom = above.get_ylim()[0], below.get_ylim()[1]
    look = {"arrowstyle": "-|>", "color": "C2", "linewidth": 2, "mutation_scale": 16}
    ends = ((time, top), (time, bottom), "data", "data")
    above.figure.add_artist(ConnectionPatch(*ends, axesA=above, axesB=below, **look))
    below.annotate(words, (time, bottom), xytext=(12, 6), textcoords="offset points", fontsize=9)


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
    figure, axes = new_figure(
        n_levels, len(columns), 1.35 * n_levels + 0.9, sharex=True, sharey=True, squeeze=False
    )
    for column, (title, levels) in enumerate(columns.items()):
        differences = [np.asarray(level).ravel() for level in levels[:-1]]
        limits = np.percentile(np.concatenate(differences), (0.5, 99.5)) if differences else None
        for index, level in enumerate(levels):
            ax = axes[n_levels - 1 - index, column]
            signed = title.startswith("Laplacian") and index < len(levels) - 1
            image = show(ax, level, seconds, signed, limits if signed else None)
            ax.set_title(f"level {index}", loc="right", fontsize=8, pad=2)
            mel_axis(ax, label=False, frequencies=FREQUENCIES[::2])
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
    figure, axes = new_figure(len(rows), 1, 1.7 * len(rows) + 0.5, sharex=True, squeeze=False)
    for ax, (title, level) in zip(axes[:, 0], rows.items(), strict=True):
        image = show(ax, level, seconds)
        ax.set_title(title, loc="left")
        mel_axis(ax, label=False, frequencies=FREQUENCIES[1::2] if band is None else FINE)
        if band is not None:
            ax.set_ylim(np.interp(band, mel_frequencies(), np.arange(level.shape[1])) + 0.5)
        figure.colorbar(image, ax=ax, label="log amplitude")
    axes[-1, 0].set_xlabel("time (s)")
    figure.supylabel("frequency (Hz)", fontsize=9)
    return figure


def spectra(lines: dict[str, np.ndarray], titles: Sequence[str]) -> Figure:
    """Functions of frequency, a panel each; the lines of a panel are compared.

    Parameters
    ----------
    lines : dict of str to ndarray of shape (n_panels, n_mels)
        Name -> a line per panel.
    titles : sequence of str
        Of the panels.

    Returns
    -------
    Figure
        A legend under the panels where there are several lines.
    """
    rows = -(-len(titles) // N_COLUMNS)
    size = (rows, N_COLUMNS, 1.6 * rows + 0.6)
    figure, axes = new_figure(*size, sharex=True, sharey=True, squeeze=False)
    for panel, (ax, title) in enumerate(zip(axes.flat, titles, strict=False)):
        for (name, values), colour, style in zip(
            lines.items(), ["C0", "C1", "C2"], ["-", ":", "--"], strict=False
        ):
            ax.plot(values[panel], color=colour, linestyle=style, label=name, linewidth=1.4)
        ax.axhline(0, color="muted", linewidth=0.6, zorder=0)
        ax.set_title(title, fontsize=9)
    for ax in axes.flat[len(titles) :]:
        ax.set_axis_off()
    centres = mel_frequencies()
    for ax in axes[-1]:
        ax.set_xticks(np.interp((250, 1000, 4000), centres, np.arange(len(centres))))
        ax.set_xticklabels(["250", "1k", "4k"])
        ax.set_xlabel("frequency (Hz)")
    if len(lines) > 1:
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    sns.despine(figure)
    return figure


def zooms(signal: np.ndarray, seconds: Sequence[float], centre: float) -> Figure:
    """A signal at ever shorter spans, each marked in the one above it.

    Parameters
    ----------
    signal : ndarray of shape (n_samples,)
        Mono audio at 16 kHz.
    seconds : sequence of float
        Spans, the longest first.
    centre : float
        Where the shorter ones lie, s.

    Returns
    -------
    Figure
        A panel per span.
    """
    figure, axes = new_figure(len(seconds), 1, 1.5 * len(seconds) + 0.3)
    sample_rate = SpectrogramSettings().sample_rate
    for row, (ax, span) in enumerate(zip(axes, seconds, strict=True)):
        n_shown = round(span * sample_rate)
        start = max(round((centre - span / 2) * sample_rate), 0) if row else 0
        left = start / sample_rate
        part = signal[start : start + n_shown]
        ax.plot(left + np.arange(len(part)) / sample_rate, part, color="C0", linewidth=0.5)
        ax.set_title(f"{span:g} s" if span >= 1 else f"{1000 * span:g} ms", loc="left")
        ax.set(xlim=(left, left + span), yticks=[], ylabel="amplitude")
        if row:
            ax.lines[0].set_linewidth(1.0)
            axes[row - 1].axvspan(left, left + span, color="C1", alpha=0.8, linewidth=2)
    axes[-1].set_xlabel("time (s)")
    sns.despine(figure, left=True)
    return figure
