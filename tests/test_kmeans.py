"""Spherical K-means against a plain loop, on planted directions, and as an estimator."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from multiscale.config import ParameterError
from multiscale.kmeans import SphericalKMeans


def unit_rows(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def planted(n_means=5, n_features=8, per_mean=200, noise=0.05, seed=0, mirrored=False):
    """Samples around known unit directions: (samples, directions)."""
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.standard_normal((n_features, n_features)))[0][:n_means]
    samples = np.repeat(directions, per_mean, axis=0) * rng.uniform(1, 3, (n_means * per_mean, 1))
    samples += noise * rng.standard_normal(samples.shape)
    if mirrored:
        samples *= rng.choice([-1, 1], (len(samples), 1))
    return samples, directions


def coates_and_ng(samples, means, n_iter, damping, assign):
    """One sample at a time; the means must not die."""
    path = []
    for _ in range(n_iter):
        new = damping * means
        distance = 0.0
        for sample in samples:
            projections = means @ sample
            nearest = np.argmax(np.abs(projections) if assign == "abs" else projections)
            new[nearest] += projections[nearest] * sample
            distance += np.sum((sample - projections[nearest] * means[nearest]) ** 2)
        means = unit_rows(new)
        path.append(distance / len(samples))
    return means, path


@parametrize_with_checks([SphericalKMeans(n_means=2), SphericalKMeans(n_means=1, assign="signed")])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("assign", ["abs", "signed"])
@pytest.mark.parametrize("damping", [0.0, 1.0, 10.0])
def test_against_a_loop(assign, damping):
    samples = np.random.default_rng(0).standard_normal((300, 6))
    kmeans = SphericalKMeans(7, n_iter=4, damping=damping, assign=assign, random_state=3)
    kmeans.fit(samples)
    assert kmeans.n_repaired_ == 0
    start = unit_rows(np.random.RandomState(3).standard_normal((7, 6)))
    means, path = coates_and_ng(samples, start, 4, damping, assign)
    np.testing.assert_allclose(kmeans.means_, means, atol=1e-5)
    np.testing.assert_allclose(kmeans.inertia_path_, path, rtol=1e-5)


def test_means_are_unit_float32_and_inertia_falls():
    samples = np.random.default_rng(0).standard_normal((2000, 12))
    kmeans = SphericalKMeans(20, n_iter=15, random_state=0).fit(samples)
    assert kmeans.means_.dtype == np.float32
    assert kmeans.means_.shape == (20, 12)
    np.testing.assert_allclose(np.linalg.norm(kmeans.means_, axis=1), 1, atol=1e-6)
    path = kmeans.inertia_path_
    assert len(path) == 15
    assert (np.diff(path) < 1e-4).all()
    assert path[-1] < 0.95 * path[0]


def test_recovers_planted_directions():
    samples, directions = planted()
    kmeans = SphericalKMeans(20, n_iter=20, random_state=0).fit(samples)
    closeness = np.abs(kmeans.means_ @ directions.T)
    assert closeness.max(axis=0).min() > 0.999  # each direction is found
    assert closeness.max(axis=1).min() > 0.99  # and each mean is one of them


def test_a_mean_stands_for_its_mirror_image_unless_signed():
    """Coates & Ng assign by |projection|, so mirrored samples share a mean."""
    samples, directions = planted(n_means=3, mirrored=True)
    unsigned = SphericalKMeans(12, n_iter=20, random_state=0).fit(samples)
    assert np.abs(unsigned.means_ @ directions.T).max(axis=0).min() > 0.999
    np.testing.assert_array_equal(unsigned.predict(samples), unsigned.predict(-samples))

    signed = SphericalKMeans(24, n_iter=30, assign="signed", random_state=0).fit(samples)
    found = signed.means_ @ directions.T
    assert found.max(axis=0).min() > 0.999
    assert found.min(axis=0).max() < -0.999
    assert not (signed.predict(samples) == signed.predict(-samples)).any()


def test_dead_means_are_moved_to_samples():
    """Samples on one line leave all but one mean dead."""
    line = np.outer(np.random.default_rng(0).uniform(1, 2, 50), [0.6, 0.8, 0])
    kmeans = SphericalKMeans(4, n_iter=1, random_state=0).fit(line)
    assert kmeans.n_repaired_ == 3
    assert (np.abs(kmeans.means_ @ [0.6, 0.8, 0]) > 0.99).all()


def test_no_mean_stays_unused_for_good():
    """More means than groups of samples."""
    samples, _ = planted(n_means=8, per_mean=300, noise=0.3)
    kmeans = SphericalKMeans(30, n_iter=30, random_state=0).fit(samples)
    assert len(np.unique(kmeans.predict(samples))) >= 28


@pytest.mark.parametrize("some", [0, 20])
def test_zero_samples_do_no_harm(some):
    samples = np.vstack([np.zeros((50, 4)), np.eye(4).repeat(some, axis=0)])
    kmeans = SphericalKMeans(6, n_iter=10, damping=0, random_state=0).fit(samples)
    np.testing.assert_allclose(np.linalg.norm(kmeans.means_, axis=1), 1, atol=1e-6)


def test_batch_size_changes_rounding_alone():
    samples, _ = planted(noise=0.5)
    few, many = (
        SphericalKMeans(6, n_iter=5, batch_size=size, random_state=0).fit(samples)
        for size in (17, 100_000)
    )
    np.testing.assert_allclose(few.means_, many.means_, atol=1e-4)
    np.testing.assert_allclose(few.inertia_path_, many.inertia_path_, rtol=1e-4)


def test_a_seed_decides():
    samples = np.random.default_rng(0).standard_normal((500, 6))
    one, same, other = (
        SphericalKMeans(9, n_iter=3, random_state=seed).fit(samples).means_
        for seed in (0, np.random.RandomState(0), 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_linear_encoding_and_assignment():
    samples = np.random.default_rng(0).standard_normal((100, 6))
    kmeans = SphericalKMeans(9, n_iter=3, random_state=0).fit(samples)
    code = kmeans.transform(samples)
    np.testing.assert_allclose(code, samples @ kmeans.means_.T.astype(float))
    np.testing.assert_array_equal(kmeans.predict(samples), np.abs(code).argmax(1))


def test_more_means_than_samples_are_refused():
    with pytest.raises(ParameterError, match="n_means: expected at most n_samples=10 means"):
        SphericalKMeans(11).fit(np.ones((10, 3)))
