"""What is learned: whitening, dictionaries, pooled features (§2, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.figures.canvas import DIVERGING, legend, mel_axis, new_figure, plain_ticks, show
from multiscale.encoding import Encoder

N_SHOWN = 8
"""Features of a level in Figure 3."""

N_COLUMNS = 60
"""Features of a dictionary that are shown beside each other."""


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
    figure, axes = new_figure(1, len(matrices), 3.4, squeeze=False)
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
    figure, axes = new_figure(1, len(groups), 3.0, sharey=True, squeeze=False)
    for ax, (title, group) in zip(axes[0], groups.items(), strict=True):
        _show_patches(ax, np.asarray(group))
        ax.set_title(title, fontsize=9)
    mel_axis(axes[0, 0])
    return figure


def learned_features(columns: dict[str, Sequence[Encoder]], seed: int = 0) -> Figure:
    """Figure 3: a random selection of features at each level, frequency upwards.

    Parameters
    ----------
    columns : dict of str to list of Encoder
        Title -> encoders of the levels, finest first.
    seed : int
        Of the selection.

    Returns
    -------
    Figure
        Levels by titles, each a strip of features; level 0 at the foot.
    """
    rng = np.random.default_rng(seed)
    n_levels = len(next(iter(columns.values())))
    figure, axes = new_figure(
        n_levels, len(columns), 1.4 * n_levels + 0.4, sharey=True, squeeze=False
    )
    for column, (title, encoders) in enumerate(columns.items()):
        axes[0, column].set_title(title)
        for ax, level in zip(axes[::-1, column], range(n_levels), strict=True):
            encoder = encoders[level]
            chosen = np.sort(rng.choice(len(encoder), min(N_SHOWN, len(encoder)), replace=False))
            _show_patches(ax, encoder.patches[chosen])
            if column == 0:
                mel_axis(ax)
                ax.set_ylabel(f"level {level}\nfrequency (Hz)")
            ax.label_outer()
    return figure


def _show_patches(ax: Axes, patches: np.ndarray) -> None:
    """Features beside each other, each scaled to its own largest value, with gaps between."""
    _, length, n_mels = patches.shape
    scaled = patches / np.abs(patches).max(axis=(1, 2), keepdims=True)
    gap = np.full((1, n_mels), np.nan)
    strip = np.concatenate([part for patch in scaled for part in (patch, gap)][:-1])
    show(ax, strip, len(strip), signed=True, limits=(-1, 1))
    ax.set_xticks([])
    sns.despine(ax=ax, bottom=True)
    ax.set_xlabel(f"{length} frame{'s' if length > 1 else ''} each")


def dictionary(patches: np.ndarray) -> Figure:
    """A dictionary of single frames as one image: a column per mean, its peak positive.

    Parameters
    ----------
    patches : ndarray of shape (n_features, n_mels)
        Features as frames.

    Returns
    -------
    Figure
        Features, in order of the frequency of their peaks, by frequency; of many, some.
    """
    peaks = np.abs(patches).argmax(axis=1)
    patches = patches / patches[np.arange(len(patches)), peaks][:, None]
    # More columns would be too narrow to be seen.
    places = np.linspace(0, len(patches) - 1, min(N_COLUMNS, len(patches))).round().astype(int)
    chosen = patches[np.argsort(peaks)[places]]
    figure, ax = new_figure(height=3.2)
    image = show(ax, chosen, len(chosen), signed=True, limits=(-1, 1))
    mel_axis(ax)
    ax.set_xlabel(f"{len(chosen)} features, in order of the frequency of the peak")
    figure.colorbar(image, ax=ax, label="relative amplitude")
    return figure


def whitening(windows: np.ndarray, whitened: np.ndarray, explained_variance: np.ndarray) -> Figure:
    """Covariance before and after whitening, and the variance of the components.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_mels)
        Single frames.
    whitened : ndarray of shape (n_windows, n_components)
        The same, whitened.
    explained_variance : ndarray of shape (n_values,)
        Variance of all components, in falling order.

    Returns
    -------
    Figure
        Three panels.
    """
    figure, axes = new_figure(1, 3, 2.7)
    before = np.corrcoef(windows.T)
    image = axes[0].imshow(before, cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
    axes[0].set(title="correlation of mel bands", xlabel="mel band", ylabel="mel band")
    after = np.atleast_2d(np.cov(whitened.T))
    axes[1].imshow(after, cmap=DIVERGING, vmin=-1, vmax=1, origin="lower")
    axes[1].set(title="covariance when whitened", xlabel="component", ylabel="component")
    figure.colorbar(image, ax=axes[:2], shrink=0.8)
    share = np.cumsum(explained_variance) / np.sum(explained_variance)
    axes[2].plot(np.arange(1, len(share) + 1), 100 * share)
    axes[2].axvline(whitened.shape[1], color="C1", linewidth=1)
    axes[2].set(
        title=f"{whitened.shape[1]} of {len(share)} components kept",
        xlabel="components kept",
        ylabel="variance kept (%)",
        xscale="log",
    )
    plain_ticks(axes[2].xaxis)
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
    figure, axes = new_figure(1, len(steps), 3.2, sharex=True, sharey=True, squeeze=False)
    for ax, (title, means) in zip(axes[0], steps.items(), strict=True):
        labels = np.abs(samples @ means.T).argmax(axis=1)
        palette = sns.color_palette(n_colors=len(means))
        for index, (mean, colour) in enumerate(zip(means, palette, strict=True)):
            own = samples[labels == index]
            ax.scatter(*own.T, s=5, color=colour, alpha=0.4, linewidths=0)
            ax.plot(*np.stack([-3 * mean, 3 * mean]).T, color=colour, linewidth=0.8, linestyle=":")
            arrow = {"arrowstyle": "-|>", "edgecolor": "ink", "facecolor": colour}
            arrow |= {"linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", mean, (0, 0), arrowprops=arrow)
        ax.add_patch(plt.Circle((0, 0), 1, fill=False, color="ink"))
        ax.set(aspect="equal", xlim=(-3, 3), ylim=(-3, 3), title=title)
        ax.set_xlabel("first component")
    axes[0, 0].set_ylabel("second component")
    sns.despine(figure)
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
    figure, ax = new_figure(height=2.6)
    times = (np.arange(len(code)) + 0.5) * seconds / len(code)
    ax.plot(times, code, color="muted", linewidth=0.8, label="feature")
    palette = sns.color_palette(n_colors=len(pooled))
    for (name, values), colour in zip(pooled.items(), palette, strict=True):
        edges = np.linspace(0, seconds, len(values) + 1)
        ax.stairs(values, edges, color=colour, linewidth=2, label=name, baseline=None)
    ax.set(xlabel="time (s)", ylabel="feature value", xlim=(0, seconds))
    legend(ax)
    sns.despine(ax=ax)
    return figure
