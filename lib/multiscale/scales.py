"""Multiscale time-frequency representations (§3.1-3.3), each a list of levels, finest first.

========================  =======================  =======================
representation            level ``l`` made from    frames at level ``l``
========================  =======================  =======================
multiresolution (§3.1)    audio, window 2^l times  as many as at level 0
Gaussian pyramid (§3.2)   level ``l - 1``          half as many as below
Laplacian pyramid (§3.3)  Gaussian l and l + 1     half as many as below
========================  =======================  =======================

All work on time-first arrays, ``(..., n_frames, n_mels)``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from multiscale.config import ParameterError, SpectrogramSettings
from multiscale.spectrogram import log_mel

KERNELS = {
    "binomial": (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16),
    "triangle": (1 / 4, 2 / 4, 1 / 4),
    "wide": (1 / 64, 6 / 64, 15 / 64, 20 / 64, 15 / 64, 6 / 64, 1 / 64),
}
"""Smoothing kernels; the paper does not name its own. Ours is the binomial one, that of Burt &
Adelson (1983) with a = 0.375."""

KERNEL = KERNELS["binomial"]


def multiresolution(
    signal: np.ndarray | torch.Tensor,
    n_levels: int = 6,
    settings: SpectrogramSettings | None = None,
    double_hop: bool = False,
) -> list[torch.Tensor]:
    """Mel-spectrograms whose window doubles from level to level; the hop stays (§3.1).

    Parameters
    ----------
    signal : array-like of shape (n_samples,) or (n_clips, n_samples)
        Mono audio.
    n_levels : int, default=6
        Number of timescales (§4.1).
    settings : SpectrogramSettings, optional
        Of level 0; by default the paper's.
    double_hop : bool, default=False
        Whether the hop doubles with the window, which the paper found to hurt (§3.1).

    Returns
    -------
    list of Tensor, each of shape (..., n_frames, n_mels)
        Level 0, the finest, first.

    Raises
    ------
    ParameterError
        If ``n_levels`` is less than 1.
    """
    _check_levels(n_levels)
    return [resolution(signal, level, settings, double_hop) for level in range(n_levels)]


def resolution(
    signal: np.ndarray | torch.Tensor,
    level: int,
    settings: SpectrogramSettings | None = None,
    double_hop: bool = False,
    chosen: np.ndarray | None = None,
) -> torch.Tensor:
    """One level of :func:`multiresolution`.

    Parameters
    ----------
    signal, settings, double_hop
        As :func:`multiresolution`.
    level : int
        From 0, the finest.
    chosen : ndarray of int, optional
        Frames to compute; by default all.

    Returns
    -------
    Tensor of shape (..., n_frames, n_mels)
        The spectrogram with a window of ``2**level`` times that of level 0.
    """
    settings = settings or SpectrogramSettings()
    hop = settings.hop_length * (2**level if double_hop else 1)
    settings = settings.model_copy(update={"hop_length": hop})
    return log_mel(signal, settings, settings.n_fft * 2**level, chosen)


def gaussian_pyramid(
    spectrogram: np.ndarray | torch.Tensor,
    n_levels: int = 6,
    kernel: tuple[float, ...] = KERNEL,
) -> list[torch.Tensor]:
    """Each level is the one below, smoothed and subsampled by 2 in time (§3.2).

    Parameters
    ----------
    spectrogram : array-like of shape (..., n_frames, n_mels)
        Level 0.
    n_levels : int, default=6
        Number of timescales (§4.1).
    kernel : tuple of float
        Of odd length and sum 1; see :data:`KERNELS`.

    Returns
    -------
    list of Tensor
        Level ``l`` has ``ceil(n_frames / 2**l)`` frames.

    Raises
    ------
    ParameterError
        If ``n_levels`` is less than 1, or a level would be made from a single frame.
    """
    levels = [torch.as_tensor(spectrogram, dtype=torch.float32)]
    _check_levels(n_levels)
    if levels[0].shape[-2] <= 2 ** (n_levels - 2):
        raise ParameterError(
            f"n_levels: expected more than {2 ** (n_levels - 2)} frames for {n_levels} levels, "
            f"got {levels[0].shape[-2]}"
        )
    for _ in range(n_levels - 1):
        levels.append(downsample(levels[-1], kernel))
    return levels


def laplacian_pyramid(
    spectrogram: np.ndarray | torch.Tensor,
    n_levels: int = 6,
    kernel: tuple[float, ...] = KERNEL,
) -> list[torch.Tensor]:
    """Each Gaussian level minus the upsampled level above it; the top stays (§3.3).

    Parameters
    ----------
    spectrogram : array-like of shape (..., n_frames, n_mels)
        Level 0 of the Gaussian pyramid.
    n_levels : int, default=6
        Number of timescales (§4.1).
    kernel : tuple of float
        As :func:`gaussian_pyramid`.

    Returns
    -------
    list of Tensor
        Of the same shapes as the Gaussian pyramid.

    Raises
    ------
    ParameterError
        As :func:`gaussian_pyramid`.
    """
    return difference(gaussian_pyramid(spectrogram, n_levels, kernel), kernel)


def difference(
    gaussian: list[torch.Tensor], kernel: tuple[float, ...] = KERNEL
) -> list[torch.Tensor]:
    """Laplacian levels of a Gaussian pyramid."""
    finer = [
        level - upsample(above, level.shape[-2], kernel) for level, above in pairwise(gaussian)
    ]
    return [*finer, gaussian[-1]]


def reconstruct(
    laplacian: list[torch.Tensor], kernel: tuple[float, ...] = KERNEL
) -> list[torch.Tensor]:
    """Gaussian levels of a Laplacian pyramid: the inverse of :func:`difference`."""
    gaussian = [laplacian[-1]]
    for level in reversed(laplacian[:-1]):
        gaussian.insert(0, level + upsample(gaussian[0], level.shape[-2], kernel))
    return gaussian


def downsample(level: torch.Tensor, kernel: tuple[float, ...] = KERNEL) -> torch.Tensor:
    """Smooth with a kernel of odd length and keep every second frame; the ends are repeated."""
    n_frames = level.shape[-2]
    n_half = (n_frames + 1) // 2
    padded = _repeat_ends(level, len(kernel) // 2)
    taps = (
        weight * padded[..., tap : tap + 2 * n_half - 1 : 2, :] for tap, weight in enumerate(kernel)
    )
    return sum(taps)


def upsample(
    level: torch.Tensor, n_frames: int, kernel: tuple[float, ...] = KERNEL
) -> torch.Tensor:
    """Twice the frames: zeros put between them, then smoothed with twice the kernel.

    Parameters
    ----------
    level : Tensor of shape (..., n_half, n_mels)
        A coarser level.
    n_frames : int
        Frames wanted, ``2 * n_half`` or one less.
    kernel : tuple of float
        As :func:`gaussian_pyramid`.

    Returns
    -------
    Tensor of shape (..., n_frames, n_mels)
        A constant level stays constant, its ends included.
    """
    reach = len(kernel) // 2
    padded = _repeat_ends(level, reach)
    spread = torch.stack([padded, torch.zeros_like(padded)], dim=-2).flatten(-3, -2)
    # Frame 0 of the level stands at place 2 * reach of the spread one.
    taps = (
        2 * weight * spread[..., reach + tap : reach + tap + n_frames, :]
        for tap, weight in enumerate(kernel)
    )
    return sum(taps)


def _repeat_ends(level: torch.Tensor, n: int) -> torch.Tensor:
    first, last = level[..., :1, :], level[..., -1:, :]
    return torch.cat([first] * n + [level] + [last] * n, dim=-2)


def _check_levels(n_levels: int) -> None:
    if n_levels < 1:
        raise ParameterError(f"n_levels: expected at least 1, got {n_levels}")


def make_levels(
    signal: np.ndarray | torch.Tensor,
    scale: str,
    n_levels: int = 6,
    settings: SpectrogramSettings | None = None,
    pooling_length: int = 128,
    kernel: str = "binomial",
    double_hop: bool = False,
) -> list[torch.Tensor]:
    """Any of the three representations, cut to whole pooling windows (§2.3).

    Parameters
    ----------
    signal : array-like of shape (n_samples,) or (n_clips, n_samples)
        Mono audio.
    scale : {"multiresolution", "gaussian", "laplacian"}
        Which representation.
    n_levels : int, default=6
        Number of timescales.
    settings : SpectrogramSettings, optional
        By default the paper's.
    pooling_length : int, default=128
        Level-0 frames per pooling window; an incomplete last one is dropped (our choice).
    kernel : {"binomial", "triangle", "wide"}, default="binomial"
        Smoothing kernel of the pyramids.
    double_hop : bool, default=False
        Whether the hop of the multiresolution spectrogram doubles with its window.

    Returns
    -------
    list of Tensor
        Level 0 has a multiple of ``pooling_length`` frames.

    Raises
    ------
    ParameterError
        If ``scale`` is unknown, or the signal has not one whole pooling window.
    """
    if scale == "multiresolution":
        levels = multiresolution(signal, n_levels, settings, double_hop)
        n_pools = _whole_windows(levels[0], pooling_length).shape[-2] // pooling_length
        lengths = pooling_lengths(scale, n_levels, pooling_length, double_hop)
        return [
            level[..., : n_pools * length, :] for level, length in zip(levels, lengths, strict=True)
        ]
    if scale not in ("gaussian", "laplacian"):
        raise ParameterError(
            f"scale: expected multiresolution, gaussian or laplacian, got {scale!r}"
        )
    spectrogram = _whole_windows(log_mel(signal, settings), pooling_length)
    taps = KERNELS[kernel]
    gaussian = gaussian_pyramid(spectrogram, n_levels, taps)
    return gaussian if scale == "gaussian" else difference(gaussian, taps)


def _whole_windows(level: torch.Tensor, pooling_length: int) -> torch.Tensor:
    n_frames = level.shape[-2]
    if not 1 <= pooling_length <= n_frames:
        raise ParameterError(
            f"pooling_length: expected 1 to {n_frames}, the frames there are, got {pooling_length}"
        )
    return level[..., : n_frames // pooling_length * pooling_length, :]


def pooling_lengths(
    scale: str, n_levels: int, pooling_length: int, double_hop: bool = False
) -> list[int]:
    """Frames of a pooling window at each level: halved as often as frames are (§3.2)."""
    halving = scale != "multiresolution" or double_hop
    return [pooling_length // 2 ** (level if halving else 0) for level in range(n_levels)]
