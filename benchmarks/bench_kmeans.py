"""Spherical K-means against scikit-learn's KMeans and MiniBatchKMeans.

The algorithms differ (ours keeps means on the unit sphere and assigns by projection), so this
compares what a pass over the samples costs.

One thread keeps the other work of a machine out of it:
``OMP_NUM_THREADS=1 python benchmarks/bench_kmeans.py``.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from timing import compare

from multiscale.kmeans import SphericalKMeans

N_ITER = 5


def main() -> None:
    warnings.simplefilter("ignore", ConvergenceWarning)
    samples = np.random.default_rng(0).standard_normal((20_000, 120)).astype(np.float32)
    for n_means in (200, 1000):
        start = samples[:n_means]
        common = {"n_clusters": n_means, "init": start, "n_init": 1, "max_iter": N_ITER}
        ways = {
            "SphericalKMeans (ours)": lambda k=n_means: SphericalKMeans(
                k, n_iter=N_ITER, random_state=0
            ).fit(samples),
            "KMeans, lloyd": lambda c=common: KMeans(**c, tol=0, random_state=0).fit(samples),
            "MiniBatchKMeans, 4096 a batch": lambda c=common: MiniBatchKMeans(
                **c, batch_size=4096, max_no_improvement=None, tol=0, random_state=0
            ).fit(samples),
        }
        title = f"{n_means} means, {len(samples)} x {samples.shape[1]} samples, {N_ITER} passes"
        compare(title, ways, repeats=5)


if __name__ == "__main__":
    main()
