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

KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
"""Smoothing kernel of Burt & Adelson (1983), a = 0.375: the binomial one; open in the paper."""


def multiresolution(
    signal: np.ndarray | torch.Tensor,
    n_levels: int = 6,
    settings: SpectrogramSettings | None = None,
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
    settings = settings or SpectrogramSettings()
    return [log_mel(signal, settings, settings.n_fft * 2**level) for level in range(n_levels)]


def gaussian_pyramid(
    spectrogram: np.ndarray | torch.Tensor, n_levels: int = 6
) -> list[torch.Tensor]:
    """Each level is the one below, smoothed and subsampled by 2 in time (§3.2).

    Parameters
    ----------
    spectrogram : array-like of shape (..., n_frames, n_mels)
        Level 0.
    n_levels : int, default=6
        Number of timescales (§4.1).

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
        levels.append(downsample(levels[-1]))
    return levels


def laplacian_pyramid(
    spectrogram: np.ndarray | torch.Tensor, n_levels: int = 6
) -> list[torch.Tensor]:
    """Each Gaussian level minus the upsampled level above it; the top stays (§3.3).

    Parameters
    ----------
    spectrogram : array-like of shape (..., n_frames, n_mels)
        Level 0 of the Gaussian pyramid.
    n_levels : int, default=6
        Number of timescales (§4.1).

    Returns
    -------
    list of Tensor
        Of the same shapes as the Gaussian pyramid.

    Raises
    ------
    ParameterError
        As :func:`gaussian_pyramid`.
    """
    return difference(gaussian_pyramid(spectrogram, n_levels))


def difference(gaussian: list[torch.Tensor]) -> list[torch.Tensor]:
    """Laplacian levels of a Gaussian pyramid."""
    finer = [level - upsample(above, level.shape[-2]) for level, above in pairwise(gaussian)]
    return [*finer, gaussian[-1]]


def reconstruct(laplacian: list[torch.Tensor]) -> list[torch.Tensor]:
    """Gaussian levels of a Laplacian pyramid: the inverse of :func:`difference`."""
    gaussian = [laplacian[-1]]
    for level in reversed(laplacian[:-1]):
        gaussian.insert(0, level + upsample(gaussian[0], level.shape[-2]))
    return gaussian


def downsample(level: torch.Tensor) -> torch.Tensor:
    """Smooth with :data:`KERNEL` and keep every second frame; the ends are repeated."""
    n_frames = level.shape[-2]
    n_half = (n_frames + 1) // 2
    padded = _repeat_ends(level, 2)
    taps = (
        weight * padded[..., tap : tap + 2 * n_half - 1 : 2, :] for tap, weight in enumerate(KERNEL)
    )
    return sum(taps)


def upsample(level: torch.Tensor, n_frames: int) -> torch.Tensor:
    """Twice the frames: zeros put between them, then smoothed with twice :data:`KERNEL`.

    Parameters
    ----------
    level : Tensor of shape (..., n_half, n_mels)
        A coarser level.
    n_frames : int
        Frames wanted, ``2 * n_half`` or one less.

    Returns
    -------
    Tensor of shape (..., n_frames, n_mels)
        A constant level stays constant, up to its ends.
    """
    n_half = level.shape[-2]
    padded = _repeat_ends(level, 1)
    k = KERNEL
    # The zeros fall on the odd taps for even frames and on the even taps for odd ones.
    even = 2 * (
        k[0] * padded[..., 2:, :] + k[2] * padded[..., 1:-1, :] + k[4] * padded[..., :-2, :]
    )
    odd = 2 * (k[1] * padded[..., 2:, :] + k[3] * padded[..., 1:-1, :])
    both = torch.stack([even, odd], dim=-2)
    return both.reshape(*level.shape[:-2], 2 * n_half, level.shape[-1])[..., :n_frames, :]


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
        levels = multiresolution(signal, n_levels, settings)
        return [_whole_windows(level, pooling_length) for level in levels]
    if scale not in ("gaussian", "laplacian"):
        raise ParameterError(
            f"scale: expected multiresolution, gaussian or laplacian, got {scale!r}"
        )
    spectrogram = _whole_windows(log_mel(signal, settings), pooling_length)
    gaussian = gaussian_pyramid(spectrogram, n_levels)
    return gaussian if scale == "gaussian" else difference(gaussian)


def _whole_windows(level: torch.Tensor, pooling_length: int) -> torch.Tensor:
    n_frames = level.shape[-2]
    if not 1 <= pooling_length <= n_frames:
        raise ParameterError(
            f"pooling_length: expected 1 to {n_frames}, the frames there are, got {pooling_length}"
        )
    return level[..., : n_frames // pooling_length * pooling_length, :]


def pooling_lengths(scale: str, n_levels: int, pooling_length: int) -> list[int]:
    """Frames of a pooling window at each level: halved with each pyramid level (§3.2)."""
    halvings = 0 if scale == "multiresolution" else 1
    return [pooling_length // 2 ** (halvings * level) for level in range(n_levels)]
