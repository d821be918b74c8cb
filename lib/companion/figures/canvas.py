"""The page's width, colours and axes, shared by all figures."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, QuadMesh
from matplotlib.colors import get_named_colors_mapping
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from PIL import Image

from multiscale.spectrogram import mel_frequencies

WIDTH = 8.0
"""Page width, inches."""

SEQUENTIAL = "magma"
DIVERGING = "vlag"

PALETTE = ["#0070ad", "#d6700a", "#1fa370", "#a370ff", "#994770", "#ff335c", "#666633", "#7a8fad"]
"""Colours of what is told apart, on a page of either theme; matplotlib's C0, C1, ..."""

INK, GROUND, MUTED = "#222832", "#fffffe", "#808080"
"""Text and axes; what they stand on; what is not the point, on a page of either theme.

No black and no white that may stand on an image. Figures call them "ink", "ground" and "muted".
"""
get_named_colors_mapping().update(ink=INK, ground=GROUND, muted=MUTED)

THEME = f"""
@media (prefers-color-scheme: dark) {{
  [style*="fill: {INK}"] {{ fill: #ced6dd !important }}
  [style*="stroke: {INK}"] {{ stroke: #ced6dd !important }}
  [style*="fill: {GROUND}"] {{ fill: #121212 !important }}
}}
"""
"""Ink and ground of a page in the dark theme; an image sees the theme of the page it stands on."""

MANY = 500
"""More points than that of a line or a cloud are drawn as an image."""

LOOK = {
    "axes.facecolor": "none",
    "figure.facecolor": GROUND,
    "grid.alpha": 0.4,
    "grid.color": MUTED,
    "image.interpolation": "none",
    "patch.force_edgecolor": False,
    "svg.hashsalt": "multiscale",
    "text.parse_math": False,  # a song may be called $x_$; see plain_ticks
    **dict.fromkeys(
        ["axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"], INK
    ),
}

FREQUENCIES = (250, 500, 1000, 2000, 4000)
"""Labelled frequencies, Hz."""

FINE = (300, 350, 400, 440, 500, 600)
"""Labelled frequencies of a narrow band, Hz."""


class ThemedFigure(Figure):
    """A figure that is vector graphics where those can be shown: its ink and ground are the page's.

    Elsewhere, as in a notebook that is not trusted, it is shown as a PNG.
    """

    def _repr_svg_(self) -> str:
        for drawn in self.findobj(lambda artist: isinstance(artist, Collection | Line2D)):
            points = drawn.get_xydata() if isinstance(drawn, Line2D) else drawn.get_offsets()
            drawn.set_rasterized(isinstance(drawn, QuadMesh) or len(points) > MANY)
        text = io.StringIO()
        self.savefig(text, format="svg", dpi=192, bbox_inches="tight", metadata={"Date": None})
        themed = text.getvalue().replace("</style>", f"{THEME}</style>", 1)
        return re.sub(r"(?<=data:image/png;base64,)\s*([^\"]+)", _with_colour_table, themed)


def _with_colour_table(image: re.Match) -> str:
    """A PNG in base64, smaller by a table of its colours: what a colour scale gives has few."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image[1]))).convert("RGBA"))
    colours, which = np.unique(pixels.view(np.uint32), return_inverse=True)  # one number each
    if len(colours) > 256:
        return image[1]
    small, png = Image.fromarray(which.reshape(pixels.shape[:2]).astype(np.uint8)), io.BytesIO()
    small.putpalette(colours.tobytes(), "RGBA")
    small.save(png, "PNG", optimize=True)
    return base64.b64encode(png.getvalue()).decode()


def shades(n: int) -> list:
    """Colours of what has an order, on a page of either theme."""
    return sns.blend_palette(["#0067ab", "#d97415"], n)


def new_figure(rows: int = 1, columns: int = 1, height: float = 3.0, **options):
    """A figure as wide as the page, and its axes; ``height`` in inches."""
    # The typeface that comes with matplotlib, so that figures are the same on every machine.
    look = {"style": "ticks", "palette": PALETTE, "font": "DejaVu Sans", "rc": LOOK}
    sns.set_theme(context="notebook", font_scale=0.8, **look)
    size = {"figsize": (WIDTH, height), "dpi": 120, "layout": "constrained"}
    figure, axes = plt.subplots(rows, columns, FigureClass=ThemedFigure, **size, **options)
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
    ax.set_title(data, loc="right", fontsize=7)
