"""Windows lie inside their pooling window, in order of time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from multiscale.config import ParameterError
from multiscale.windows import (
    frame_windows,
    pooling_windows,
    sample_places,
    sample_windows,
    windows_at,
)


def numbered(n_frames: int, n_mels: int = 3) -> torch.Tensor:
    """Every value tells its frame and mel component: 10 * frame + mel."""
    return 10.0 * torch.arange(n_frames)[:, None] + torch.arange(n_mels)


@given(
    n_frames=st.integers(1, 60), pooling_length=st.integers(1, 16), window_length=st.integers(1, 4)
)
def test_against_a_loop(n_frames, pooling_length, window_length):
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


def test_a_batch_is_its_clips():
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


def test_a_seed_decides_and_too_few_are_all_taken():
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


def test_places_are_the_frames_of_the_windows():
    level = numbered(60)
    places = sample_places(60, 3, 20, 12, np.random.default_rng(0))
    assert places.shape == (12, 3)
    assert (np.diff(places, axis=1) == 1).all()
    assert (places[:, 0] // 20 == places[:, -1] // 20).all(), "a window crosses pooling windows"
    rows = windows_at(level, places)
    assert torch.equal(rows[:, : level.shape[1]], level[places[:, 0]])
    assert torch.equal(rows[:, -level.shape[1] :], level[places[:, -1]])


def test_windows_of_several_clips():
    clips = torch.stack([numbered(40), numbered(40) + 1000])
    drawn = sample_windows(clips, 2, 20, 1000, np.random.default_rng(0))
    assert torch.equal(drawn, frame_windows(clips, 2, 20).flatten(0, -2))
