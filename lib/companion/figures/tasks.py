"""Tag prediction and similarity (§4.2, §4.3)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from companion.figures.canvas import PALETTE, legend, new_figure, plain_ticks

N_NAMED = len(PALETTE)
"""Artists shown in colour in a map of clips."""


def search(
    rates: np.ndarray,
    decays: np.ndarray,
    scores: np.ndarray,
    label: str,
    ranges: tuple[tuple[float, float], tuple[float, float]],
) -> Figure:
    """Trials of the runs' random searches, coloured by validation score; the best are circled.

    Parameters
    ----------
    rates, decays, scores : ndarray of shape (n_runs, n_trials)
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
    figure, ax = new_figure(height=3.0)
    points = ax.scatter(
        rates, decays, c=scores, cmap="viridis", s=60, edgecolors="muted", clip_on=False
    )
    best = np.arange(len(scores)), np.nanargmax(scores, axis=1)
    ax.scatter(rates[best], decays[best], s=200, facecolors="none", edgecolors="C1", clip_on=False)
    ax.set(xscale="log", yscale="log", xlim=ranges[0], ylim=ranges[1])
    plain_ticks(ax.xaxis, ax.yaxis)
    ax.set(xlabel="learning rate", ylabel="weight decay")
    figure.colorbar(points, ax=ax, label=label)
    sns.despine(ax=ax)
    return figure


def clip_map(
    points: np.ndarray,
    artists: np.ndarray,
    seed: int = 0,
    axes: tuple[str, str] = ("first principal axis", "second principal axis"),
) -> Figure:
    """Clips in two dimensions, some artists in colour.

    Parameters
    ----------
    points : ndarray of shape (n_clips, 2)
        Places.
    artists : ndarray of shape (n_clips,)
        Artist of each clip; None or NaN where unknown.
    seed : int
        Of the choice of artists in colour; the others are grey.
    axes : pair of str
        What the two dimensions are.

    Returns
    -------
    Figure
        One panel, with a legend where an artist has several clips.
    """
    figure, ax = new_figure(height=4.4)
    counts = pd.Series(artists).value_counts()
    several = np.sort(counts.index[counts > 1].to_numpy(str))
    rng = np.random.default_rng(seed)
    named = np.sort(rng.choice(several, min(N_NAMED, len(several)), replace=False))
    ax.scatter(*points.T, s=14, color="muted" if len(named) else "C0", linewidths=0)
    for name, colour in zip(named, PALETTE, strict=False):
        ax.scatter(*points[artists == name].T, s=34, color=colour, label=name)
    if len(named):
        legend(ax, title="artist")
    ax.set(xticks=[], yticks=[], xlabel=axes[0], ylabel=axes[1])
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
    figure, axes = new_figure(1, 2, 3.0, width_ratios=(1.7, 1))
    groups = {f"with '{tag}'": scores[carried], f"without '{tag}'": scores[~carried]}
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(scores))
    for row, values in enumerate(groups.values()):
        axes[0].scatter(values, row + spread[: len(values)], s=16, color=f"C{row}", alpha=0.6)
    axes[0].set_yticks([0, 1], list(groups))
    axes[0].set(xlabel="predicted probability", ylim=(1.5, -0.5), title="one dot per clip")
    thresholds = np.concatenate([[np.inf], np.sort(scores)[::-1]])
    without, with_it = (
        [100 * (group >= t).mean() for t in thresholds]
        for group in (scores[~carried], scores[carried])
    )
    axes[1].plot(without, with_it, color="C0")
    axes[1].fill_between(without, with_it, color="C0", alpha=0.15)
    axes[1].plot([0, 100], [0, 100], color="muted", linestyle="--", linewidth=1)
    axes[1].set(
        xlabel="clips without the tag\nabove the threshold (%)",
        ylabel="clips with it above (%)",
        title=f"area under the curve: {auc:.2f}",
        aspect="equal",
    )
    sns.despine(figure)
    return figure


def neighbours(
    points: np.ndarray, labels: np.ndarray, chooser: int, probability: np.ndarray
) -> Figure:
    """Whom one point picks as its neighbour: lines as wide as the choice is likely.

    Parameters
    ----------
    points : ndarray of shape (n_points, 2)
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
    figure, ax = new_figure(height=3.6)
    palette = sns.color_palette(n_colors=int(labels.max()) + 1)
    for point, label, share in zip(points, labels, probability, strict=True):
        ends = np.stack([points[chooser], point])
        ax.plot(*ends.T, color=palette[label], linewidth=24 * share, alpha=0.45, zorder=1)
        if share >= 0.02:
            box = {"facecolor": "ground", "alpha": 0.7, "edgecolor": "none", "pad": 1}
            options = {"textcoords": "offset points", "fontsize": 8, "bbox": box}
            ax.annotate(f"{share:.0%}", point, xytext=(7, 5), **options)
    for label, colour in enumerate(palette):
        own = points[labels == label]
        ax.scatter(*own.T, s=70, color=colour, zorder=2, label=f"artist {label + 1}")
    ax.scatter(*points[chooser], s=260, facecolors="none", edgecolors="ink", linewidth=2, zorder=3)
    legend(ax)
    ax.set(aspect="equal", xlabel="first dimension", ylabel="second dimension")
    sns.despine(ax=ax)
    return figure
