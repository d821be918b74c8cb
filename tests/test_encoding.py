"""Windows lie in their pooling window; one convolution is whiten, then encode, then pool."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from multiscale.config import ParameterError
from multiscale.encoding import (
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


@given(
    n_frames=st.integers(1, 60), pooling_length=st.integers(1, 16), window_length=st.integers(1, 4)
)
def test_windows_against_a_loop(n_frames, pooling_length, window_length):
    if window_length > pooling_length or pooling_length > n_frames:
        return
    level = numbered(n_frames)
    ours = frame_windows(level, window_length, pooling_length)
    n_pools = n_frames // pooling_length
    assert ours.shape == (n_pools, pooling_length - window_length + 1, 3 * window_length)
    for pool in range(n_pools):
        for position in range(pooling_length - window_length + 1):
            start = pool * pooling_length + position
            expected = np.concatenate([level[start + frame] for frame in range(window_length)])
            np.testing.assert_array_equal(ours[pool, position], expected)


def test_windows_never_cross_pooling_windows():
    frames = frame_windows(numbered(40), 4, 10) // 10
    assert (frames.amax(-1) // 10 == frames.amin(-1) // 10).all()


def test_one_position_at_the_coarsest_level():
    assert frame_windows(numbered(8, 200), 4, 4).shape == (2, 1, 800)


def test_pooling_windows_drop_an_incomplete_last_one():
    pools = pooling_windows(numbered(11), 4)
    assert pools.shape == (2, 4, 3)
    assert torch.equal(pools.flatten(0, 1), numbered(11)[:8])


def test_the_windows_of_a_batch_are_those_of_its_clips():
    batch = torch.stack([numbered(20), -numbered(20)])
    assert torch.equal(frame_windows(batch, 2, 5)[1], frame_windows(-numbered(20), 2, 5))
    assert torch.equal(pooling_windows(batch, 5)[0], pooling_windows(numbered(20), 5))


def test_sampled_without_replacement_in_order_of_time():
    level = numbered(100)
    everything = frame_windows(level, 2, 10).flatten(0, 1)
    chosen = sample_windows(level, 2, 10, 50, np.random.default_rng(0))
    assert chosen.shape == (50, 6)
    assert len(torch.unique(chosen, dim=0)) == 50
    assert (chosen[1:, 0] > chosen[:-1, 0]).all()
    there = {tuple(row) for row in everything.tolist()}
    assert {tuple(row) for row in chosen.tolist()} <= there


def test_all_windows_are_drawn_equally_often():
    counts = np.zeros(20)
    rng = np.random.default_rng(0)
    for _ in range(2000):
        drawn = sample_windows(numbered(20), 1, 20, 5, rng)[:, 0] / 10
        counts[drawn.int().numpy()] += 1
    assert np.abs(counts / 2000 - 0.25).max() < 0.05


def test_a_seed_decides_what_is_sampled_and_too_few_are_all_taken():
    level = numbered(100)
    one, same, other = (
        sample_windows(level, 1, 10, 20, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    everything = sample_windows(level, 1, 10, 1000, np.random.default_rng(0))
    assert torch.equal(everything, level)


@pytest.mark.parametrize("window_length", [0, 5])
def test_windows_that_do_not_fit(window_length):
    with pytest.raises(ParameterError, match=r"window_length: expected 1 to 4, .*got"):
        frame_windows(numbered(8), window_length, 4)


@pytest.mark.parametrize("pooling_length", [0, 9])
def test_pooling_windows_that_do_not_fit(pooling_length):
    with pytest.raises(ParameterError, match=r"pooling_length: expected 1 to 8, .*got"):
        pooling_windows(numbered(8), pooling_length)


def test_sampled_frames_are_those_of_the_windows():
    level = numbered(60)
    frames = sample_frames(60, 3, 20, 12, np.random.default_rng(0))
    assert frames.shape == (12, 3)
    assert (np.diff(frames, axis=1) == 1).all()
    assert (frames[:, 0] // 20 == frames[:, -1] // 20).all(), "a window crosses pooling windows"
    windows = sample_windows(level, 3, 20, 12, np.random.default_rng(0))
    assert torch.equal(windows, level[torch.as_tensor(frames)].flatten(-2))


def test_windows_of_several_clips():
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
@pytest.mark.parametrize("pooling", ["max", "mean", "min", "var"])
def test_one_convolution_is_whiten_encode_pool(window_length, n_means, pooling):
    whitening, encoder = learned(window_length, n_means)
    level = correlated(43, seed=5)
    ours = encode_and_pool(torch.as_tensor(level), encoder, 20, pooling).numpy()
    assert ours.shape == (2, len(encoder))
    assert ours.dtype == np.float32

    pool = {"max": np.max, "mean": np.mean, "min": np.min, "var": np.var}[pooling]
    for window in range(2):
        frames = level[window * 20 : (window + 1) * 20].astype(float)
        code = []
        for start in range(20 - window_length + 1):
            whitened = whitening.transform(frames[start : start + window_length].reshape(1, -1))[0]
            code.append(whitened if n_means is None else encoder.means @ whitened)
        np.testing.assert_allclose(ours[window], pool(code, axis=0), rtol=1e-4, atol=1e-4)


def test_encode_puts_time_last_and_keeps_leading_axes():
    _, encoder = learned(2, 7)
    batch = torch.as_tensor(correlated(60)).reshape(2, 3, 10, N_MELS)
    code = encode(batch, encoder)
    assert code.shape == (2, 3, 7, 9)
    torch.testing.assert_close(code[1, 2], encode(batch[1, 2], encoder))


def test_every_pooling_has_a_test():
    assert set(POOLINGS) == {"max", "mean", "min", "var"}


def test_the_mean_window_is_encoded_as_zero():
    whitening, encoder = learned(2, 7)
    frames = torch.as_tensor(whitening.mean_.reshape(2, N_MELS), dtype=torch.float32)
    assert encode(frames, encoder).abs().max() < 1e-4


@pytest.mark.parametrize("damping", [0, 0.1])
@pytest.mark.parametrize("window_length", [1, 4])
def test_patches_undo_whitening(window_length, damping):
    """The mean window plus a PCA patch is one whitened component of 1, the others 0."""
    whitening, encoder = learned(window_length, None, damping)
    assert encoder.patches.shape == (len(encoder), window_length, N_MELS)
    windows = whitening.mean_ + encoder.patches.reshape(len(encoder), -1)
    np.testing.assert_allclose(whitening.transform(windows), np.eye(len(encoder)), atol=1e-8)


def test_patches_of_means_excite_their_feature_most():
    whitening, encoder = learned(2, 7)
    whitened = whitening.transform(whitening.mean_ + encoder.patches.reshape(7, -1))
    np.testing.assert_allclose(whitened, encoder.means, atol=1e-6)
    code = whitened @ encoder.means.T
    np.testing.assert_allclose(np.diag(code), 1, atol=1e-6)
    assert (code.argmax(axis=1) == np.arange(7)).all()


def test_weight_has_the_shape_of_a_convolution():
    _, encoder = learned(4, 7)
    assert encoder.weight.shape == (7, N_MELS, 4)
    assert encoder.bias.shape == (7,)
    assert encoder.weight.dtype == encoder.bias.dtype == np.float32


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


def test_errors():
    windows = correlated(100)
    for variance in (0, 1, -0.5, 99, float("nan")):
        with pytest.raises(
            ParameterError, match=r"explained_variance_ratio: expected a share .*got"
        ):
            fit_whitening(windows, variance)
    for damping in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ParameterError, match=r"damping: expected a number of at least 0, got"):
            fit_whitening(windows, damping=damping)
    for alike in (np.ones((5, 3)), windows[:1], windows[:0]):
        with pytest.raises(ParameterError, match="windows: expected at least 2 that differ"):
            fit_whitening(alike)
    _, encoder = learned(1, 7)
    level = torch.as_tensor(correlated(20))
    with pytest.raises(ParameterError, match=r"pooling: expected one of max, mean, .*got 'sum'"):
        encode_and_pool(level, encoder, 10, "sum")
    with pytest.raises(ParameterError, match=r"pooling_length: expected 1 to 20, .*got 21"):
        encode_and_pool(level, encoder, 21)
