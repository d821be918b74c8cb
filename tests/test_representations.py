"""Pyramids against loops; what must be equal, constant, or rebuilt; what is sampled of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multiscale import representations
from multiscale.config import REPRESENTATIONS, ParameterError
from multiscale.encoding import frame_windows
from multiscale.representations import (
    Representation,
    difference,
    gaussian_pyramid,
    laplacian_pyramid,
    multiresolution,
    reconstruct,
    resolution,
    upsample,
)
from multiscale.spectrogram import log_mel

KERNEL = np.array([1, 4, 6, 4, 1]) / 16


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """A made-up spectrogram."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def smoothed(level: np.ndarray) -> np.ndarray:
    """Every mel component over time, its ends repeated."""
    columns = [np.convolve(np.pad(column, 2, mode="edge"), KERNEL, "valid") for column in level.T]
    return np.stack(columns, axis=1)


def reference_gaussian(spectrogram: np.ndarray, n_levels: int) -> list[np.ndarray]:
    levels = [spectrogram]
    for _ in range(n_levels - 1):
        levels.append(smoothed(levels[-1])[::2])
    return levels


def reference_upsample(level: np.ndarray, n_frames: int) -> np.ndarray:
    """Repeat the ends, put zeros between frames, smooth with twice the kernel."""
    repeated = np.pad(level, ((1, 1), (0, 0)), mode="edge")
    spread = np.zeros((2 * len(repeated), level.shape[1]))
    spread[::2] = repeated
    return 2 * smoothed(spread)[2 : 2 + n_frames]


@pytest.mark.parametrize("n_frames", [64, 61, 33])
def test_gaussian_pyramid_against_a_loop(n_frames):
    spectrogram = noise(n_frames, 3)
    ours = gaussian_pyramid(spectrogram, 5)
    for level, expected in zip(ours, reference_gaussian(spectrogram, 5), strict=True):
        assert level.dtype == torch.float32
        np.testing.assert_allclose(level, expected, atol=1e-6)


@given(n_half=st.integers(1, 20), odd=st.booleans())
def test_upsample_against_zero_insertion(n_half, odd):
    level = noise(n_half, 3)
    n_frames = 2 * n_half - odd
    ours = upsample(torch.as_tensor(level), n_frames)
    assert ours.shape == (n_frames, 3)
    np.testing.assert_allclose(ours, reference_upsample(level, n_frames), atol=1e-6)


@given(n_frames=st.integers(2, 200), data=st.data())
def test_lengths_halve_and_gaussian_is_rebuilt(n_frames, data):
    most = 2 + int(np.ceil(np.log2(n_frames))) - 1
    n_levels = data.draw(st.integers(1, most))
    gaussian = gaussian_pyramid(noise(n_frames, 3), n_levels)
    assert [len(level) for level in gaussian] == [
        int(np.ceil(n_frames / 2**level)) for level in range(n_levels)
    ]
    rebuilt = reconstruct(difference(gaussian))
    for level, expected in zip(rebuilt, gaussian, strict=True):
        torch.testing.assert_close(level, expected, atol=1e-5, rtol=0)


def test_laplacian_is_level_minus_the_upsampled_level_above():
    gaussian = reference_gaussian(noise(50, 3), 4)
    *finer, top = laplacian_pyramid(noise(50, 3), 4)
    for fine, coarse, ours in zip(gaussian[:-1], gaussian[1:], finer, strict=True):
        np.testing.assert_allclose(ours, fine - reference_upsample(coarse, len(fine)), atol=1e-6)
    np.testing.assert_allclose(top, gaussian[-1], atol=1e-6)


@pytest.mark.parametrize("n_frames", [128, 77])
def test_a_constant_spectrogram_lives_on_the_top_level_alone(n_frames):
    *finer, top = laplacian_pyramid(np.full((n_frames, 2), 3.0), 6)
    assert all(not level.any() for level in finer)
    assert (top == 3).all()


def test_a_ramp_stays_a_ramp_away_from_the_ends():
    ramp = np.arange(256, dtype=np.float32)[:, None]
    for level, frames in enumerate(gaussian_pyramid(ramp, 4)):
        inside = frames[4:-4, 0]
        np.testing.assert_allclose(inside, 2**level * np.arange(len(frames))[4:-4], rtol=1e-6)
    for level in laplacian_pyramid(ramp, 4)[:-1]:
        np.testing.assert_allclose(level[8:-8], 0, atol=1e-4)


def test_levels_are_linear_in_the_spectrogram():
    one, other = noise(40, 3, seed=1), noise(40, 3, seed=2)
    levels = [laplacian_pyramid(mix, 4) for mix in (one + 2 * other, one, other)]
    for both, a, b in zip(*levels, strict=True):
        torch.testing.assert_close(both, a + 2 * b, atol=1e-5, rtol=0)


def test_a_batch_is_its_clips():
    batch = noise(2, 2, 30, 3)
    levels = laplacian_pyramid(batch, 4)
    for level, alone in zip(levels, laplacian_pyramid(batch[1, 0], 4), strict=True):
        torch.testing.assert_close(level[1, 0], alone)


def test_level_0_is_the_same_for_gaussian_and_multiresolution(clips):
    """§3.2: the lowest level of the Gaussian pyramid is that of the multiresolution one."""
    gaussian = Representation("gaussian", 3).levels(clips[0])
    multi = Representation("multiresolution", 3).levels(clips[0])
    torch.testing.assert_close(gaussian[0], multi[0], rtol=0, atol=0)
    assert not torch.allclose(gaussian[1], multi[1][: len(gaussian[1])], atol=0.1)


def test_multiresolution_doubles_the_window_and_keeps_the_hop(clips):
    levels = multiresolution(clips[0], 4)
    for level, ours in enumerate(levels):
        torch.testing.assert_close(ours, log_mel(clips[0], n_fft=1024 * 2**level))
        assert ours.shape == levels[0].shape


def test_levels_are_cut_to_whole_pooling_windows(clips):
    whole = log_mel(clips[0])
    assert len(whole) == 282
    pyramid = Representation("laplacian", 6).levels(clips[0])
    for level, same in zip(pyramid, laplacian_pyramid(whole[:256], 6), strict=True):
        torch.testing.assert_close(level, same, rtol=0, atol=0)
    multi = Representation("multiresolution", 2).levels(clips[0])
    assert [len(level) for level in multi] == [256, 256]
    hundred = Representation("gaussian", 2, pooling_length=100)
    assert hundred.levels(clips[:2])[1].shape == (2, 100, 200)
    assert hundred.n_pooling_windows(clips.shape[1]) == 2


@pytest.mark.parametrize("kernel", representations.KERNELS.values(), ids=representations.KERNELS)
def test_kernels_keep_the_mean_and_treat_both_phases_alike(kernel):
    assert sum(kernel) == 1
    assert sum(kernel[::2]) == sum(kernel[1::2]) == 0.5


@pytest.mark.parametrize("function", [gaussian_pyramid, laplacian_pyramid])
def test_levels_that_cannot_be_made(function):
    with pytest.raises(ParameterError, match="n_levels: expected an integer of at least 1, got 0"):
        function(noise(16, 3), 0)
    assert len(function(noise(17, 3), 6)[-1]) == 1
    with pytest.raises(ParameterError, match="expected more than 16 frames for 6 levels, got 16"):
        function(noise(16, 3), 6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "wavelet"}, "name: expected 'multiresolution', .*got 'wavelet'"),
        ({"kernel": "boxcar"}, "kernel: expected 'binomial', .*, got 'boxcar'"),
        ({"pooling_length": 100}, "pooling_length=100 to be divisible"),
    ],
)
def test_representations_that_are_refused(values, message):
    with pytest.raises(ParameterError, match=message):
        Representation(**values)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_clips_without_a_whole_pooling_window(clips, name):
    with pytest.raises(ParameterError, match=r"pooling_length: expected at most 282, .*got 284"):
        Representation(name, 2, pooling_length=284).levels(clips[0])


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_sampled_windows_are_windows_of_the_levels(clips, name):
    representation = Representation(name, 3)
    drawn = representation.sample(clips[:2], [1, 2], n_windows=40, random_state=3)
    assert list(drawn) == [1, 2]
    for level, frames in enumerate(representation.levels(clips[:2])):
        for window_length, by_level in drawn.items():
            length = representation.pooling_lengths[level]
            there = frame_windows(frames, window_length, length).flatten(0, -2).numpy()
            nearest = [np.abs(there - row).max(axis=1).argmin() for row in by_level[level]]
            np.testing.assert_allclose(by_level[level], there[nearest], atol=1e-4)
            assert len(set(nearest)) == 40, "a window was drawn twice"
            assert nearest == sorted(nearest)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_a_draw_depends_on_neither_batch_nor_company(clips, name):
    representation = Representation(name, 2)
    alone = representation.sample(clips, [2], 50, random_state=1, batch_size=1)
    together = representation.sample(clips, [1, 4, 2], 50, random_state=1)
    for one, other in zip(alone[2], together[2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    elsewhere = representation.sample(clips, [2], 50, random_state=2)
    assert not np.allclose(alone[2][0], elsewhere[2][0], atol=0.1)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_fewer_windows_than_clips(clips, name):
    drawn = Representation(name, 2).sample(clips, [1, 2], 3)
    assert [level.shape for level in drawn[1]] == [(3, 200)] * 2
    assert [level.shape for level in drawn[2]] == [(3, 400)] * 2


def test_every_clip_gives_an_equal_share_of_windows():
    """Noise of very different levels: the mean of a window tells its clip."""
    clips = noise(5, 9 * 16_000) * 30.0 ** -np.arange(5, dtype=np.float32)[:, None]
    windows = Representation("gaussian", 1).sample(clips, [1], 102, batch_size=2)[1][0]
    assert len(windows) == 102
    loudness = np.sort(windows.mean(axis=1))
    bounds = np.sort(np.argsort(np.diff(loudness))[-4:]) + 1
    assert {len(of_clip) for of_clip in np.split(loudness, bounds)} == {20, 21}


@pytest.mark.parametrize("double_hop", [False, True])
def test_chosen_frames_are_those_of_the_whole(clips, double_hop):
    whole = multiresolution(clips[0], 4, double_hop=double_hop)
    for level, frames in enumerate(whole):
        chosen = np.array([0, 3, len(frames) - 1])
        some = resolution(clips[0], level, double_hop=double_hop, chosen=chosen)
        torch.testing.assert_close(some, frames[chosen])


def test_all_windows_there_are_can_be_asked_for(clips):
    representation = Representation("laplacian")
    drawn = representation.sample(clips[:2], [1, 4], 10**12)
    n_pools = 2 * representation.n_pooling_windows(clips.shape[1])
    for w, levels in drawn.items():
        places = [128 // 2**level - w + 1 for level in range(6)]
        assert [len(windows) for windows in levels] == [n_pools * n for n in places]
