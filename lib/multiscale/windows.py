"""Windows of consecutive frames, taken inside each pooling window (Fig. 1, §2, §3.4).

A window of ``w`` frames is a vector of ``w * n_mels`` values, frame after frame. A window never
crosses into the next pooling window, so at the coarsest pyramid level, with 4 frames in a
pooling window, a window of 4 frames has exactly one place.
"""

from __future__ import annotations

import numpy as np
import torch

from multiscale.config import ParameterError


def pooling_windows(level: torch.Tensor, pooling_length: int) -> torch.Tensor:
    """Split a level into its non-overlapping pooling windows (§2.3).

    Parameters
    ----------
    level : Tensor of shape (..., n_frames, n_mels)
        One level of a representation.
    pooling_length : int
        Frames per pooling window at this level.

    Returns
    -------
    Tensor of shape (..., n_pooling_windows, pooling_length, n_mels)
        Without the frames of an incomplete last window.

    Raises
    ------
    ParameterError
        If ``pooling_length`` is less than 1 or more than the frames there are.
    """
    if not 1 <= pooling_length <= level.shape[-2]:
        raise ParameterError(
            f"pooling_length: expected 1 to {level.shape[-2]}, the frames there are, "
            f"got {pooling_length}"
        )
    n_windows = level.shape[-2] // pooling_length
    whole = level[..., : n_windows * pooling_length, :]
    return whole.reshape(*level.shape[:-2], n_windows, pooling_length, level.shape[-1])


def frame_windows(level: torch.Tensor, window_length: int, pooling_length: int) -> torch.Tensor:
    """All windows of consecutive frames, pooling window by pooling window.

    Parameters
    ----------
    level : Tensor of shape (..., n_frames, n_mels)
        One level of a representation.
    window_length : int
        Frames per window: 1, 2 or 4 in the paper.
    pooling_length : int
        Frames per pooling window at this level.

    Returns
    -------
    Tensor of shape (..., n_pooling_windows, n_positions, window_length * n_mels)
        ``n_positions = pooling_length - window_length + 1``.

    Raises
    ------
    ParameterError
        If a window does not fit into a pooling window.
    """
    _check_window(window_length, pooling_length)
    pools = pooling_windows(level, pooling_length)
    # unfold puts the frames of a window last: (..., n_positions, n_mels, window_length)
    return pools.unfold(-2, window_length, 1).transpose(-1, -2).flatten(-2)


def sample_places(
    n_frames: int,
    window_length: int,
    pooling_length: int,
    n_windows: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw windows of a level at random, without replacement (§2.1): the frames they are made of.

    Parameters
    ----------
    n_frames : int
        Frames of the level of one clip.
    window_length, pooling_length : int
        As :func:`frame_windows`.
    n_windows : int
        Windows wanted; all there are if there are fewer.
    rng : numpy Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_windows or fewer, window_length), int
        Frames of each window, in order of time.

    Raises
    ------
    ParameterError
        As :func:`frame_windows`.
    """
    _check_window(window_length, pooling_length)
    n_positions = pooling_length - window_length + 1
    n_there = n_frames // pooling_length * n_positions
    chosen = np.arange(n_there)
    if n_there > n_windows:
        chosen = np.sort(rng.choice(n_there, n_windows, replace=False))
    pool, position = np.divmod(chosen, n_positions)
    return (pool * pooling_length + position)[:, None] + np.arange(window_length)


def sample_windows(
    level: torch.Tensor,
    window_length: int,
    pooling_length: int,
    n_windows: int,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Windows of a level at :func:`sample_places`.

    Parameters
    ----------
    level : Tensor of shape (..., n_frames, n_mels)
        One level of one clip or several.
    window_length, pooling_length, n_windows, rng
        As :func:`sample_places`.

    Returns
    -------
    Tensor of shape (n_windows or fewer, window_length * n_mels)
        In order of time.
    """
    frames = pooling_windows(level, pooling_length).flatten(0, -2)  # of all clips
    places = sample_places(len(frames), window_length, pooling_length, n_windows, rng)
    return windows_at(frames, places)


def windows_at(level: torch.Tensor, places: np.ndarray) -> torch.Tensor:
    """Windows of a level, (n_frames, n_mels), at places that were sampled: one row for each."""
    return level[torch.as_tensor(places, device=level.device)].flatten(-2)


def _check_window(window_length: int, pooling_length: int) -> None:
    if not 1 <= window_length <= pooling_length:
        raise ParameterError(
            f"window_length: expected 1 to {pooling_length}, the frames of a pooling window, "
            f"got {window_length}"
        )
