r"""Whitening and linear encoding as one convolution, then pooling (§2.1-2.3): the hot kernel.

With windows :math:`x`, their mean :math:`\mu`, the whitening matrix :math:`W` and the dictionary
:math:`D` of unit-norm means as rows, whitening and linear encoding are

.. math:: D W (x - \mu) = (D W) x - D W \mu,

one matrix product per window position, which is a convolution over time whose kernels are the
rows of :math:`D W`. Its maximum over a pooling window is the feature (§2.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA

from multiscale.config import ParameterError
from multiscale.windows import pooling_windows

POOLINGS = {
    "max": lambda code: code.amax(-1),
    "mean": lambda code: code.mean(-1),
    "min": lambda code: code.amin(-1),
    "var": lambda code: code.var(-1, correction=0),
}
"""Pooling functions over the last axis; the paper uses the maximum alone (§2.3)."""


def fit_whitening(
    windows: np.ndarray, variance: float = 0.99, floor: float = 1e-6, whiten: bool = True
) -> PCA:
    """PCA whitening that keeps a share of the variance (§2.1).

    Parameters
    ----------
    windows : array-like of shape (n_windows, n_values)
        Windows of frames; covariance and eigenvectors are computed in float64.
    variance : float, default=0.99
        Share of the variance kept, between 0 and 1.
    floor : float, default=1e-6
        Least variance of a component, relative to the largest (open in the paper): a component
        of next to no variance, as digital silence gives, is not blown up.

    Returns
    -------
    sklearn.decomposition.PCA
        Fitted, with ``whiten=True``.

    Raises
    ------
    ParameterError
        If ``variance`` is out of range, or the windows are all alike.
    """
    if not 0 < variance < 1:
        raise ParameterError(f"variance: expected a share between 0 and 1, got {variance!r}")
    windows = np.asarray(windows, np.float64)
    if len(windows) < 2 or not np.ptp(windows, axis=0).any():
        raise ParameterError(
            f"windows: expected at least 2 that differ, got {len(windows)} without variance"
        )
    pca = PCA(n_components=variance, whiten=True, svd_solver="covariance_eigh").fit(windows)
    pca.explained_variance_ = np.maximum(
        pca.explained_variance_, floor * pca.explained_variance_[0]
    )
    if not whiten:
        pca.explained_variance_ = np.ones_like(pca.explained_variance_)
    return pca


@dataclass(frozen=True)
class Encoder:
    """What one level has learned: whitening and dictionary, and their product.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_values)
        Principal components, rows of unit norm; ``n_values = window_length * n_mels``.
    variance : ndarray of shape (n_components,)
        Variance along each, after the floor.
    mean : ndarray of shape (n_values,)
        Mean window.
    means : ndarray of shape (n_means, n_components) or None
        The dictionary; None keeps the whitened components themselves (PMSC, §2.2).
    window_length : int
        Frames per window.
    """

    components: np.ndarray
    variance: np.ndarray
    mean: np.ndarray
    means: np.ndarray | None
    window_length: int

    @classmethod
    def from_parts(
        cls, whitening: PCA, means: np.ndarray | None = None, window_length: int = 1
    ) -> Encoder:
        """Take a fitted whitening, and the dictionary learned from what it whitened."""
        return cls(
            whitening.components_,
            whitening.explained_variance_,
            whitening.mean_,
            means,
            window_length,
        )

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
        spread = self.components * np.sqrt(self.variance)[:, None]
        patches = spread if self.means is None else self.means @ spread
        return patches.reshape(len(self), self.window_length, -1)

    def __len__(self) -> int:
        """Number of features."""
        return len(self.components if self.means is None else self.means)

    def _kernels(self) -> np.ndarray:
        whitening = self.components / np.sqrt(self.variance)[:, None]
        return whitening if self.means is None else self.means.astype(np.float64) @ whitening


@dataclass(frozen=True)
class Stack:
    """Kernels of several encoders of one window length, to be applied in one convolution.

    Attributes
    ----------
    weight : ndarray of shape (n_features, n_mels, window_length), float32
        Kernels of all, in order.
    bias : ndarray of shape (n_features,), float32
        Their biases.
    """

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, encoders: Sequence[Encoder]) -> Stack:
        """Put the kernels of encoders beneath each other."""
        return cls(
            np.concatenate([encoder.weight for encoder in encoders]),
            np.concatenate([encoder.bias for encoder in encoders]),
        )


def encode(frames: torch.Tensor, encoder: Encoder | Stack) -> torch.Tensor:
    """Features at every window position.

    Parameters
    ----------
    frames : Tensor of shape (..., n_frames, n_mels)
        Frames, on any device.
    encoder : Encoder or Stack
        Of this level.

    Returns
    -------
    Tensor of shape (..., n_features, n_frames - window_length + 1)
        Time last, as convolutions have it.
    """
    weight = torch.as_tensor(encoder.weight, device=frames.device)
    bias = torch.as_tensor(encoder.bias, device=frames.device)
    # The convolution as one matrix product, which is faster for so few and so wide kernels.
    windows = frames.unfold(-2, weight.shape[2], 1).flatten(-2)
    return F.linear(windows, weight.flatten(1), bias).mT


def encode_and_pool(
    level: torch.Tensor, encoder: Encoder, pooling_length: int, pooling: str = "max"
) -> torch.Tensor:
    """Features of every pooling window (Fig. 1).

    Parameters
    ----------
    level : Tensor of shape (..., n_frames, n_mels)
        One level of a representation.
    encoder : Encoder
        Of this level.
    pooling_length : int
        Frames per pooling window at this level.
    pooling : {"max", "mean", "min", "var"}, default="max"
        How a feature is summarised over a pooling window.

    Returns
    -------
    Tensor of shape (..., n_pooling_windows, n_features)
        Pooled features.

    Raises
    ------
    ParameterError
        If ``pooling`` is unknown, or there is not one whole pooling window.
    """
    if pooling not in POOLINGS:
        raise ParameterError(f"pooling: expected one of {', '.join(POOLINGS)}, got {pooling!r}")
    return POOLINGS[pooling](encode(pooling_windows(level, pooling_length), encoder))
