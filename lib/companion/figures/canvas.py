"""The page's width, colours and axes, shared by all figures."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import NullFormatter

from multiscale.spectrogram import mel_frequencies

WIDTH = 8.0
"""Page width, inches."""

SEQUENTIAL = "magma"
DIVERGING = "vlag"
FREQUENCIES = (250, 500, 1000, 2000, 4000)
"""Labelled frequencies, Hz."""

FINE = (300, 350, 400, 440, 500, 600)
"""Labelled frequencies of a narrow band, Hz."""


def new_figure(rows: int = 1, columns: int = 1, height: float = 3.0, **options):
    """A figure as wide as the page, and its axes; ``height`` in inches."""
    plain = {"text.parse_math": False}  # a song may be called $x_$; see plain_ticks
    sns.set_theme(style="ticks", context="notebook", font_scale=0.8, rc=plain)
    # On a page of either theme a figure stands on its own white ground.
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, height), dpi=120, layout="constrained", **options
    )
    plt.close(figure)
    return figure, axes


def plain_ticks(*axes: Axis) -> None:
    """Numbers at the ticks of logarithmic axes that are not formulas, as matplotlib's own are."""
    for axis in axes:
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def mel_axis(ax: Axes, label: bool = True, frequencies: Sequence[float] = FREQUENCIES) -> None:
    """Label a vertical axis of mel components in Hz."""
    centres = mel_frequencies()
    wanted = [f for f in frequencies if centres[0] < f < centres[-1]]
    ax.set_yticks(np.interp(wanted, centres, np.arange(len(centres))) + 0.5)
    ax.set_yticklabels([f"{f / 1000:g}k" if f >= 1000 else str(f) for f in wanted])
    if label:
        ax.set_ylabel("frequency (Hz)")


def show(ax: Axes, level: np.ndarray, seconds: float, signed: bool = False, limits=None):
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


def legend(ax: Axes, **options) -> None:
    """A legend beside the axes."""
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, **options)


def sign(ax: Axes, data: str) -> None:
    """Say on a figure of results which data it is from."""
    ax.set_title(data, loc="right", fontsize=7, color="0.35")
