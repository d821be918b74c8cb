r"""Windows of frames, whitened and encoded as one convolution, then pooled (§2.1-2.3, §3.4).

A window of ``w`` consecutive frames is a vector of ``w * n_mels`` values, frame after frame. It
never crosses into the next pooling window, so at the coarsest pyramid level, with 4 frames in a
pooling window, a window of 4 frames has exactly one place.

With windows :math:`x`, their mean :math:`\mu`, the whitening matrix :math:`W` and the dictionary
:math:`D` of unit-norm means as rows, whitening and linear encoding are

.. math:: D W (x - \mu) = (D W) x - D W \mu,

one matrix product per window position, which is a convolution over time whose kernels are the
rows of :math:`D W`. Its maximum over a pooling window is the feature (§2.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dct
from sklearn.decomposition import PCA

from multiscale import config
from multiscale.config import EXPLAINED_VARIANCE_RATIO, ParameterError

POOLINGS = {
    "max": lambda code: code.amax(-1),
    "mean": lambda code: code.mean(-1),
    "min": lambda code: code.amin(-1),
    "var": lambda code: code.var(-1, correction=0),
    "mean_std": lambda code: torch.cat([code.mean(-1), code.std(-1, correction=0)], -1),
}
"""Pooling functions over the last axis; the paper uses the maximum alone (§2.3)."""

N_CEPSTRA = 20
"""Cepstral coefficients of the baseline "mfcc"."""


def pooling_windows(level: torch.Tensor, pooling_length: int) -> torch.Tensor:
    """Whole pooling windows (§2.3), (..., n_pooling_windows, pooling_length, n_mels)."""
    if not 1 <= pooling_length <= level.shape[-2]:
        raise ParameterError(
            f"pooling_length: expected 1 to {level.shape[-2]}, the frames there are, "
            f"got {pooling_length}"
        )
    n_whole = level.shape[-2] // pooling_length
    return level[..., : n_whole * pooling_length, :].unflatten(-2, (n_whole, pooling_length))


def frame_windows(level: torch.Tensor, window_length: int, pooling_length: int) -> torch.Tensor:
    """All windows (§3.4), (..., n_pooling_windows, n_positions, window_length * n_mels)."""
    _check_window(window_length, pooling_length)
    pools = pooling_windows(level, pooling_length)
    windows = pools.unfold(-2, window_length, 1)  # (..., n_positions, n_mels, window_length)
    return windows.transpose(-1, -2).flatten(-2)


def sample_windows(
    level: torch.Tensor,
    window_length: int,
    pooling_length: int,
    n_windows: int,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Windows drawn without replacement (§2.1), (n_windows or fewer, window_length * n_mels)."""
    frames = pooling_windows(level, pooling_length).flatten(0, -2)  # of all clips
    chosen = sample_frames(len(frames), window_length, pooling_length, n_windows, rng)
    return frames[torch.as_tensor(chosen, device=level.device)].flatten(-2)


def sample_frames(
    n_frames: int,
    window_length: int,
    pooling_length: int,
    n_windows: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The frames that windows drawn at random are made of, (n_windows, window_length) int."""
    _check_window(window_length, pooling_length)
    n_positions = pooling_length - window_length + 1
    n_there = n_frames // pooling_length * n_positions
    drawn = np.arange(n_there)
    if n_there > n_windows:
        drawn = np.sort(rng.choice(n_there, n_windows, replace=False))
    pool, position = np.divmod(drawn, n_positions)
    return (pool * pooling_length + position)[:, None] + np.arange(window_length)


def _check_window(window_length: int, pooling_length: int) -> None:
    if not 1 <= window_length <= pooling_length:
        raise ParameterError(
            f"window_length: expected 1 to {pooling_length}, the frames of a pooling window, "
            f"got {window_length}"
        )


def fit_whitening(
    windows: np.ndarray,
    explained_variance_ratio: config.Share = EXPLAINED_VARIANCE_RATIO,
    floor: config.NotNegative = 1e-6,
    whiten: config.Flag = True,
    damping: config.NotNegative = 0.0,
) -> PCA:
    """PCA whitening that keeps a share of the variance (§2.1).

    Parameters
    ----------
    windows : array-like of shape (n_windows, n_values)
        Windows of frames; covariance and eigenvectors are computed in float64.
    explained_variance_ratio : float, default=0.99
        Share of the variance kept, between 0 and 1.
    floor : float, default=1e-6
        Least variance of a component, relative to the largest (open in the paper): a component
        of next to no variance, as digital silence gives, is not blown up.
    whiten : bool, default=True
        False leaves the components their variance, to show what whitening is for.
    damping : float, default=0.0
        Added to every variance, in units of the mean variance of the components kept: an option
        of ours, after Coates & Ng (2012), who add a constant to the eigenvalues so that weak
        components are not brought to the size of strong ones. The paper's whitening has none.

    Returns
    -------
    sklearn.decomposition.PCA
        Fitted; ``explained_variance_`` is what it divides by: after floor and damping, and ones
        without ``whiten``.

    Raises
    ------
    ParameterError
        If a parameter is out of range, or the windows are all alike.
    """
    options = {"explained_variance_ratio": explained_variance_ratio, "floor": floor}
    config.check_parameters(fit_whitening, {**options, "whiten": whiten, "damping": damping})
    windows = config.check_numbers("windows", windows, "n_windows", "n_values", dtype=np.float64)
    if len(windows) < 2 or not np.ptp(windows, axis=0).any():
        raise ParameterError(
            f"windows: expected at least 2 that differ, got {len(windows)} without variance"
        )
    kept = float(explained_variance_ratio)
    pca = PCA(n_components=kept, whiten=True, svd_solver="covariance_eigh")
    variance = pca.fit(windows).explained_variance_
    variance = np.maximum(variance, floor * variance[0])
    variance = variance + damping * variance.mean()
    pca.explained_variance_ = variance if whiten else np.ones_like(variance)
    return pca


@dataclass(frozen=True)
class Encoder:
    """What one level has learned: whitening and dictionary, and their product."""

    components: np.ndarray  # (n_components, window_length * n_mels), rows of unit norm
    explained_variance: np.ndarray  # (n_components,) after floor and damping; 1 if not whitened
    mean: np.ndarray  # (window_length * n_mels,) the mean window
    means: np.ndarray | None  # (n_means, n_components); None: the components themselves (PMSC)
    window_length: int  # frames

    @classmethod
    def from_parts(
        cls, whitening: PCA, means: np.ndarray | None = None, window_length: int = 1
    ) -> Encoder:
        """Take a fitted whitening, and the dictionary learned from what it whitened."""
        parts = (whitening.components_, whitening.explained_variance_, whitening.mean_)
        return cls(*parts, means, window_length)

    @classmethod
    def fixed(cls, dictionary: str, n_mels: int) -> Encoder:
        """Nothing learned: "mel" passes frames on as they are, "mfcc" their cepstrum (a DCT)."""
        components = np.eye(n_mels)
        if dictionary == "mfcc":
            components = dct(components, norm="ortho", axis=0)[:N_CEPSTRA]
        return cls(components, np.ones(len(components)), np.zeros(n_mels), None, window_length=1)

    @cached_property
    def weight(self) -> np.ndarray:
        """Kernels of the convolution, shape (n_features, n_mels, window_length), float32."""
        kernels = self._kernels().reshape(len(self), self.window_length, -1)
        return np.ascontiguousarray(kernels.transpose(0, 2, 1), np.float32)

    @cached_property
    def bias(self) -> np.ndarray:
        """What takes the mean window away, shape (n_features,), float32."""
        return (-self._kernels() @ self.mean).astype(np.float32)

    @property
    def patches(self) -> np.ndarray:
        """Features as windows of log-mel values, shape (n_features, window_length, n_mels).

        The inverse of whitening applied to each feature: what a window looks like, beside the
        mean window, that excites this feature alone (Fig. 3).
        """
        spread = self.components * np.sqrt(self.explained_variance)[:, None]
        patches = spread if self.means is None else self.means @ spread
        return patches.reshape(len(self), self.window_length, -1)

    def __len__(self) -> int:
        """Number of features."""
        return len(self.components if self.means is None else self.means)

    def _kernels(self) -> np.ndarray:
        whitening = self.components / np.sqrt(self.explained_variance)[:, None]  # W
        return whitening if self.means is None else self.means.astype(np.float64) @ whitening


def encode(frames: torch.Tensor, encoder: Encoder) -> torch.Tensor:
    """Features at every window position (§2.2), (..., n_features, n_positions): time last."""
    weight = torch.as_tensor(encoder.weight, device=frames.device)
    bias = torch.as_tensor(encoder.bias, device=frames.device)
    # The convolution as one matrix product, which is faster for so few and so wide kernels.
    windows = frames.unfold(-2, weight.shape[2], 1).flatten(-2)
    return F.linear(windows, weight.flatten(1), bias).mT


def encode_and_pool(
    level: torch.Tensor, encoder: Encoder, pooling_length: int, pooling: config.Pooling = "max"
) -> torch.Tensor:
    """Windows, encode, pool (Fig. 1): features, (..., n_pooling_windows, n_features)."""
    config.check_parameters(encode_and_pool, {"pooling": pooling})
    windows = pooling_windows(level, pooling_length)  # (..., pooling_length, n_mels)
    code = encode(windows, encoder)  # (..., n_features, n_positions)
    return POOLINGS[pooling](code)  # (..., n_features)
