"""Spherical K-means against scikit-learn's KMeans and, where it is installed, faiss's.

All begin with the same means and make as many passes. Ours may take a sample for a mean's mirror
image, as the book does, or not, as the others. What came of it is told in one measure for all: the
mean squared distance from a sample to its projection on its best mean, either way up. Ours ends
nearer, so it is timed once more with as few passes as are enough to end as near as scikit-learn.
"""

from __future__ import annotations

import warnings
from importlib import import_module, util

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from timing import compare, report

from multiscale.kmeans import SphericalKMeans

N_ITER = 10


def of_faiss(samples: np.ndarray, start: np.ndarray) -> np.ndarray:
    options = {"niter": N_ITER, "spherical": True, "max_points_per_centroid": len(samples)}
    found = import_module("faiss").Kmeans(samples.shape[1], len(start), **options)
    found.train(samples, init_centroids=start)
    return found.centroids


def of_sklearn(samples: np.ndarray, start: np.ndarray) -> np.ndarray:
    common = {"n_init": 1, "max_iter": N_ITER, "tol": 0, "algorithm": "lloyd"}
    return KMeans(len(start), init=start, **common).fit(samples).cluster_centers_


def distance(samples: np.ndarray, means: np.ndarray) -> float:
    means = means / np.linalg.norm(means, axis=1, keepdims=True)
    kept = [np.abs(some @ means.T).max(axis=1) for some in np.array_split(samples, 20)]
    return float((samples**2).sum(1).mean() - (np.concatenate(kept) ** 2).mean())


def main(tiny: bool) -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    n_samples, n_values = (2000, 20) if tiny else (100_000, 118)
    # As whitened windows of music: more often near zero, and far from it, than normal ones.
    samples = np.random.default_rng(0).laplace(size=(n_samples, n_values)).astype(np.float32)
    for n_means in (20, 50) if tiny else (200, 1000):
        start = np.random.RandomState(0).standard_normal((n_means, n_values)).astype(np.float32)
        start /= np.linalg.norm(start, axis=1, keepdims=True)  # as ours draws them

        def ours(n_iter: int, assign: str = "abs", n_means: int = n_means) -> SphericalKMeans:
            model = SphericalKMeans(n_means, n_iter=n_iter, assign=assign, random_state=0)
            return model.fit(samples)

        peers = {
            "scikit-learn, Lloyd": lambda s=start: of_sklearn(samples, s),
            "faiss, spherical": (lambda s=start: of_faiss(samples, s))
            if util.find_spec("faiss")
            else "not installed",
        }
        # Distance before the first pass, before the second, and so on.
        path = ours(N_ITER + 1).inertia_path_
        near = distance(samples, peers["scikit-learn, Lloyd"]())
        enough = int(np.flatnonzero(np.append(path <= near, True))[0])
        title = f"K-means: {n_samples} x {n_values}, {n_means} means"
        how = {
            "repeats": 1 if tiny else 3,
            "told": lambda means: f"distance {distance(samples, means):.1f}",
        }
        for threads in (1, 2):
            compare(
                f"{title}, {N_ITER} passes",
                {
                    "ours": lambda: ours(N_ITER).means_,
                    "ours, no mirror images": lambda: ours(N_ITER, "signed").means_,
                    **peers,
                },
                threads=threads,
                flop=2.0 * N_ITER * samples.size * n_means,
                **how,
            )
            compare(
                f"{title}, as near",
                {f"ours, {enough} passes": lambda n=enough: ours(n).means_, **peers},
                threads=threads,
                **how,
            )


if __name__ == "__main__":
    report(main)
