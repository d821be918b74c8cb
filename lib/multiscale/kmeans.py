"""Spherical K-means (§2.2): K-means whose means stay on the unit sphere.

The algorithm of Coates & Ng, "Learning feature representations with K-means" (2012), which is
what the paper refers to. Every sample is assigned to the mean it projects on most strongly; the
means then move to the normalised sum of their samples, each weighted by its projection.
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from multiscale import config
from multiscale.config import ParameterError, select_device

GPU_BATCH_SIZE = 65536
"""Samples that keep a GPU busy: with 1024 it waits for launches most of the time."""


class SphericalKMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Learn a dictionary of unit-norm means from whitened samples (§2.2).

    Parameters
    ----------
    n_means : int, default=500
        Size of the dictionary; the paper compares 200, 500 and 1000 (§4.2).
    n_iter : int, default=20
        Passes over the samples (open in the paper).
    damping : float, default=1.0
        Weight of a mean's old position in its update, in units of one sample of projection 1.
        Coates & Ng use 1, which keeps small clusters from jumping.
    assign : {"abs", "signed"}, default="abs"
        By what a sample is assigned: the magnitude of its projection, as Coates & Ng do, so that
        a mean also stands for its mirror image, or the projection itself.
    batch_size : int, default=1024
        Samples worked on at once, on a GPU at least :data:`GPU_BATCH_SIZE`. Changes memory, and
        rounding, but not the algorithm.
    random_state : int, RandomState or None, default=None
        Of the initial means and of repairs.
    device : str, default="auto"
        Torch device; "auto" takes a GPU where there is one.

    Attributes
    ----------
    means_ : ndarray of shape (n_means, n_features), float32
        The dictionary; rows have unit L2 norm.
    n_repaired_ : int
        Dead means replaced during the fit.
    inertia_path_ : ndarray of shape (n_iter,)
        Mean squared distance of samples to their projection on their mean, per iteration.
    n_features_in_ : int
        Length of a sample.

    Notes
    -----
    Initial means are drawn from a normal distribution and normalised, which suits whitened
    samples. A mean to which no sample is assigned is dead, and is moved to a random sample.
    """

    def __init__(
        self,
        n_means: config.Count = 500,
        *,
        n_iter: config.Natural = 20,
        damping: config.NotNegative = 1.0,
        assign: config.Assignment = "abs",
        batch_size: config.Count = 1024,
        random_state: config.RandomState = None,
        device: config.Device = "auto",
    ):
        self.n_means = n_means
        self.n_iter = n_iter
        self.damping = damping
        self.assign = assign
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device

    def fit(self, X, y=None) -> SphericalKMeans:
        """Learn the dictionary.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whitened samples.
        y : None
            Ignored; there for scikit-learn's pipelines.

        Returns
        -------
        SphericalKMeans
            Itself.

        Raises
        ------
        ParameterError
            If there are fewer samples than means, a parameter is out of range, or X cannot be used.
        """
        config.check_parameters(SphericalKMeans, self.get_params())
        with config.named("X"):
            X = validate_data(self, X, dtype=np.float32)
        X = np.require(X, requirements="CW")  # as torch takes it
        if len(X) < self.n_means:
            raise ParameterError(
                f"n_means: expected at most n_samples={len(X)} means, got {self.n_means}"
            )
        rng = check_random_state(self.random_state)
        samples = torch.as_tensor(X, device=select_device(self.device))
        drawn = rng.standard_normal((self.n_means, X.shape[1]))
        means = _unit_rows(torch.as_tensor(drawn, dtype=torch.float32, device=samples.device))
        energy = samples.square().sum()
        self.n_repaired_ = 0
        path = []
        for _ in range(self.n_iter):
            total, counts, explained = self._sum_assigned(samples, means)
            path.append(float((energy - explained) / len(samples)))
            means = _unit_rows(total + self.damping * means)
            means = self._repair(means, counts, samples, rng)
        self.means_ = means.cpu().numpy()
        self.inertia_path_ = np.array(path)
        self._n_features_out = self.n_means
        return self

    def transform(self, X) -> np.ndarray:
        """Linear encoding (§2.2): projections of samples on the means, (n_samples, n_means)."""
        check_is_fitted(self)
        with config.named("X"):
            X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        return X @ self.means_.T.astype(X.dtype)

    def predict(self, X) -> np.ndarray:
        """Index of the mean that each sample is assigned to, shape (n_samples,)."""
        projections = self.transform(X)
        return np.argmax(np.abs(projections) if self.assign == "abs" else projections, axis=1)

    def _sum_assigned(
        self, samples: torch.Tensor, means: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, float]:
        """Projection-weighted sums (n_means, n_features), counts, and energy explained."""
        total, counts = torch.zeros_like(means), means.new_zeros(len(means))
        explained = means.new_zeros((), dtype=torch.float64)
        batch_size = int(max(self.batch_size, GPU_BATCH_SIZE if samples.is_cuda else 1))
        for batch in samples.split(batch_size):
            projections = batch @ means.T  # (n_samples, n_means)
            nearest = _largest(projections.abs() if self.assign == "abs" else projections)
            kept = projections.gather(1, nearest)  # (n_samples, 1)
            _add_to_means(total, batch, nearest, kept)
            counts.index_add_(0, nearest[:, 0], (kept[:, 0] != 0).float())
            explained += kept.square().sum()
        return total, counts, float(explained)

    def _repair(
        self, means: torch.Tensor, counts: torch.Tensor, samples: torch.Tensor, rng
    ) -> torch.Tensor:
        """Move the means of no samples to samples drawn at random."""
        dead = torch.nonzero((counts == 0) | ~means.isfinite().all(1)).ravel()
        if len(dead) == 0:
            return means
        chosen = torch.as_tensor(rng.permutation(len(samples))[: len(dead)], device=means.device)
        means[dead] = _unit_rows(samples[chosen])
        self.n_repaired_ += len(dead)
        return means


def _largest(rows: torch.Tensor) -> torch.Tensor:
    """Place of the largest value of each row, (n_rows, 1)."""
    if rows.is_cuda:
        return rows.argmax(1, keepdim=True)
    # On a CPU numpy's is ten times as fast as torch's, and gives the same.
    return torch.from_numpy(rows.numpy().argmax(1, keepdims=True))


def _add_to_means(
    total: torch.Tensor, batch: torch.Tensor, nearest: torch.Tensor, kept: torch.Tensor
) -> None:
    """Add what is kept of each sample to its mean's total, the same way every time."""
    if batch.is_cuda:  # where index_add_ adds in any order, but a product does not
        weights = batch.new_zeros(len(batch), len(total)).scatter_(1, nearest, kept)
        total.addmm_(weights.T, batch)
    else:
        total.index_add_(0, nearest[:, 0], kept * batch)


def _unit_rows(rows: torch.Tensor) -> torch.Tensor:
    """Rows of unit L2 norm; a row of zeros becomes the first axis."""
    norms = rows.norm(dim=1, keepdim=True)
    first_axis = torch.zeros_like(rows)
    first_axis[:, 0] = 1
    return torch.where(norms > 0, rows / norms.clamp_min(torch.finfo(rows.dtype).tiny), first_axis)
