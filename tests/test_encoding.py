"""Windows lie in their pooling window; one convolution is whiten, then encode, then pool."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.fft import dct
from sklearn.decomposition import PCA

from multiscale.config import ParameterError
from multiscale.encoding import (
    N_CEPSTRA,
    POOLINGS,
    Encoder,
    encode,
    encode_and_pool,
    fit_whitening,
    frame_windows,
    pooling_windows,
    sample_frames,
    sample_windows,
)

N_MELS = 10


def numbered(n_frames: int, n_mels: int = 3) -> torch.Tensor:
    """Every value tells its frame and mel component: 10 * frame + mel."""
    return 10.0 * torch.arange(n_frames)[:, None] + torch.arange(n_mels)


def correlated(n_frames: int, seed: int = 0) -> np.ndarray:
    """Frames of correlated values of very different variance, (n_frames, N_MELS)."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).standard_normal((N_MELS, N_MELS)) / np.arange(1, N_MELS + 1)
    return (3 + rng.standard_normal((n_frames, N_MELS)) @ mixing.T).astype(np.float32)


def learned(window_length: int, n_means: int | None, damping: float = 0.0):
    """A fitted whitening and its encoder, with a random dictionary."""
    windows = frame_windows(torch.as_tensor(correlated(2000)), window_length, 20).flatten(0, 1)
    whitening = fit_whitening(windows.numpy(), damping=damping)
    means = None
    if n_means:
        means = np.random.default_rng(1).standard_normal((n_means, whitening.n_components_))
        means = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)
    return whitening, Encoder.from_parts(whitening, means, window_length)


@given(st.integers(1, 60), st.integers(1, 16), st.integers(1, 4))
def test_windows_against_a_loop(n_frames, pooling_length, window_length):
    assume(window_length <= pooling_length <= n_frames)
    level = numbered(n_frames)
    ours = frame_windows(level, window_length, pooling_length)
    n_pools, n_positions = n_frames // pooling_length, pooling_length - window_length + 1
    assert ours.shape == (n_pools, n_positions, 3 * window_length)
    for pool, position in product(range(n_pools), range(n_positions)):
        start = pool * pooling_length + position
        expected = level[start : start + window_length].flatten()
        assert torch.equal(ours[pool, position], expected)


def test_one_position_at_the_coarsest_level():
    assert frame_windows(numbered(8, 200), 4, 4).shape == (2, 1, 800)


def test_the_windows_of_a_batch_are_those_of_its_clips():
    batch = torch.stack([numbered(21), -numbered(21)])
    assert torch.equal(frame_windows(batch, 2, 5)[1], frame_windows(-numbered(21), 2, 5))
    pools = pooling_windows(batch, 5)
    assert torch.equal(pools[0], numbered(21)[:20].reshape(4, 5, 3)), "the last one is incomplete"


def test_windows_are_sampled_without_replacement_within_pooling_windows():
    level = numbered(100)
    frames = sample_frames(100, 3, 20, 50, np.random.default_rng(0))
    assert frames.shape == (50, 3)
    assert (np.diff(frames, axis=1) == 1).all()
    assert (np.diff(frames[:, 0]) > 0).all()
    assert (frames[:, 0] // 20 == frames[:, -1] // 20).all(), "a window crosses pooling windows"
    windows = sample_windows(level, 3, 20, 50, np.random.default_rng(0))
    assert torch.equal(windows, level[torch.as_tensor(frames)].flatten(-2))


def test_all_windows_are_drawn_equally_often():
    counts = np.zeros(20)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        drawn = sample_windows(numbered(20), 1, 20, 5, rng)[:, 0] / 10
        counts[drawn.int().numpy()] += 1
    assert np.abs(counts / 2000 - 0.25).max() < 0.05


def test_a_seed_decides_what_is_sampled():
    one, same, other = (
        sample_windows(numbered(100), 1, 10, 20, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_too_few_windows_are_all_taken():
    clips = torch.stack([numbered(40), numbered(40) + 1000])
    drawn = sample_windows(clips, 2, 20, 1000, np.random.default_rng(0))
    assert torch.equal(drawn, frame_windows(clips, 2, 20).flatten(0, -2))


def test_whitened_covariance_is_the_identity():
    windows = correlated(5000)
    whitening = fit_whitening(windows, 0.999)
    whitened = whitening.transform(windows.astype(float))
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(
        np.cov(whitened, rowvar=False), np.eye(whitening.n_components_), atol=1e-6
    )


@pytest.mark.parametrize("variance", [0.5, 0.9, 0.99])
def test_no_more_components_than_the_share_of_variance_needs(variance):
    windows = correlated(3000).astype(float)
    kept = fit_whitening(windows, variance).n_components_
    eigenvalues = np.linalg.eigvalsh(np.cov(windows, rowvar=False))[::-1]
    share = np.cumsum(eigenvalues) / eigenvalues.sum()
    assert share[kept - 1] >= variance
    assert kept == 1 or share[kept - 2] < variance


@pytest.mark.parametrize("window_length", [1, 2, 4])
@pytest.mark.parametrize("n_means", [None, 7])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_one_convolution_is_whiten_encode_pool(window_length, n_means, pooling):
    whitening, encoder = learned(window_length, n_means)
    level = correlated(43, seed=5)
    ours = encode_and_pool(torch.as_tensor(level), encoder, 20, pooling).numpy()
    n_features = len(encoder) * len(pooling.split("_"))
    assert (ours.shape, ours.dtype) == ((2, n_features), np.float32)
    windows = frame_windows(torch.as_tensor(level), window_length, 20).double().numpy()
    for features, inside in zip(ours, windows, strict=True):
        whitened = whitening.transform(inside)  # (n_positions, n_components)
        code = whitened if n_means is None else whitened @ encoder.means.T
        expected = np.ravel([getattr(code, name)(axis=0) for name in pooling.split("_")])
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)


def test_baselines_are_mel_components_and_their_cepstrum():
    level = torch.as_tensor(correlated(20))
    mel = encode(level, Encoder.fixed("mel", N_MELS))
    torch.testing.assert_close(mel, level.mT)
    cepstrum = encode(level, Encoder.fixed("mfcc", N_MELS)).numpy()
    expected = dct(level.numpy(), norm="ortho", axis=-1)[..., :N_CEPSTRA]
    np.testing.assert_allclose(cepstrum, np.swapaxes(expected, -1, -2), atol=1e-4)


def test_encode_puts_time_last_and_keeps_leading_axes():
    _, encoder = learned(2, 7)
    batch = torch.as_tensor(correlated(60)).reshape(2, 3, 10, N_MELS)
    code = encode(batch, encoder)
    assert code.shape == (2, 3, 7, 9)
    torch.testing.assert_close(code[1, 2], encode(batch[1, 2], encoder))


@pytest.mark.parametrize("damping", [0, 0.1])
@pytest.mark.parametrize("n_means", [None, 7])
@pytest.mark.parametrize("window_length", [1, 4])
def test_patches_undo_whitening(window_length, n_means, damping):
    """The mean window plus a patch is, whitened, one component of 1, or one mean."""
    whitening, encoder = learned(window_length, n_means, damping)
    assert encoder.patches.shape == (len(encoder), window_length, N_MELS)
    whitened = whitening.transform(whitening.mean_ + encoder.patches.reshape(len(encoder), -1))
    expected = np.eye(len(encoder)) if n_means is None else encoder.means
    np.testing.assert_allclose(whitened, expected, atol=1e-6)


def test_components_of_no_variance_are_not_blown_up():
    """One direction of next to no variance: whitened to its full size, or to the floor's."""
    rng = np.random.default_rng(0)
    spread = np.array([1.0, 1.0, 1e-3])
    windows = rng.standard_normal((20_000, 3)) * spread
    almost_all = 1 - 1e-9
    free = fit_whitening(windows, almost_all, floor=0)
    floored = fit_whitening(windows, almost_all, floor=1e-2)
    assert free.n_components_ == floored.n_components_ == 3
    np.testing.assert_allclose(free.transform(windows).std(axis=0), 1, rtol=1e-3)
    deviation = floored.transform(windows).std(axis=0)
    np.testing.assert_allclose(deviation[:2], 1, rtol=1e-3)
    assert deviation[2] == pytest.approx(1e-3 / 1e-1, rel=0.05)


def test_damping_adds_a_share_of_the_mean_variance():
    """Eigenvalues 9, 4 and 1 with half their mean on top: whitened to var / (var + damping)."""
    normal = np.random.default_rng(0).standard_normal((5000, 3))
    normal = PCA(whiten=True).fit_transform(normal)
    windows = normal * [3, 2, 1]
    whitening = fit_whitening(windows, 1 - 1e-9, damping=0.5)
    variance = np.array([9, 4, 1])
    np.testing.assert_allclose(whitening.explained_variance_, variance + 0.5 * variance.mean())
    whitened = np.cov(whitening.transform(windows), rowvar=False)
    expected = np.diag(variance / (variance + 7 / 3))
    np.testing.assert_allclose(whitened, expected, atol=1e-9)
    plain, unwhitened = fit_whitening(windows), fit_whitening(windows, whiten=False, damping=0.5)
    np.testing.assert_allclose(plain.explained_variance_, variance)
    np.testing.assert_array_equal(unwhitened.explained_variance_, 1)


def test_rank_deficient_windows_stay_finite():
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((500, 3)) @ rng.standard_normal((3, 40))
    whitening = fit_whitening(windows, 1 - 1e-15)
    whitened = whitening.transform(rng.standard_normal((100, 40)))
    assert np.isfinite(whitened).all()
    assert np.abs(whitened).max() < 1e4


def test_the_floor_does_not_touch_what_scikit_learn_whitens_well():
    windows = correlated(500).astype(float)
    ours = fit_whitening(windows, 0.9)
    theirs = PCA(n_components=0.9, whiten=True, svd_solver="covariance_eigh").fit(windows)
    np.testing.assert_allclose(ours.transform(windows), theirs.transform(windows))


RATIO = "explained_variance_ratio: expected a share between 0 and 1, got"
DAMPING = "damping: expected a number of at least 0, got"
ALIKE = "windows: expected at least 2 that differ, got"


@pytest.mark.parametrize(
    ("windows", "options", "message"),
    [
        *((correlated(9), {"explained_variance_ratio": r}, RATIO) for r in (0, 1, -0.5, np.nan)),
        *((correlated(9), {"damping": damping}, DAMPING) for damping in (-0.1, np.nan, np.inf)),
        *((alike, {}, ALIKE) for alike in (np.ones((5, 3)), correlated(1))),
    ],
)
def test_whitening_that_is_refused(windows, options, message):
    with pytest.raises(ParameterError, match=message):
        fit_whitening(windows, **options)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: frame_windows(x, 0, 4), "window_length: expected 1 to 4, .*got 0"),
        (lambda x: frame_windows(x, 5, 4), "window_length: expected 1 to 4, .*got 5"),
        (lambda x: pooling_windows(x, 0), "pooling_length: expected 1 to 8, .*got 0"),
        (lambda x: pooling_windows(x, 9), "pooling_length: expected 1 to 8, .*got 9"),
        (lambda x: encode_and_pool(x, None, 4, "sum"), "pooling: expected 'max', .*got 'sum'"),
    ],
)
def test_what_cannot_be_pooled(use, message):
    with pytest.raises(ParameterError, match=message):
        use(numbered(8))
