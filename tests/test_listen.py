"""What a chapter plays: sound that is there, with whose it is and on which terms."""

from __future__ import annotations

import base64
import io
import re

import made_up
import numpy as np
import pandas as pd
import pytest
import soundfile

from companion import listen
from multiscale.datasets import ClipDataset


@pytest.fixture
def music(tmp_path):
    """Two clips, one of which little is known of."""
    rows = [("0.wav", "Anna <Blume>", "One & two", "CC0"), ("1.wav", None, "", "")]
    clips = pd.DataFrame(rows, columns=["path", "artist", "title", "licence"])
    for seed, path in enumerate(clips["path"]):
        soundfile.write(tmp_path / path, 0.1 * made_up.clip(seed), made_up.RATE)
    tags = np.array([[True], [False]])
    return ClipDataset("made up", tmp_path, clips, tags, ("calm",), made_up.RATE, "")


def sound(player) -> np.ndarray:
    inside = re.search(r"base64,([^\"]+)", player.data).group(1)
    return soundfile.read(io.BytesIO(base64.b64decode(inside)))[0]


def captions(html) -> list[str]:
    return re.findall("<figcaption>(.*?) <small>", html.data)


def test_a_clip_is_credited_as_far_as_it_is_known(music):
    pair = listen.players(listen.clip(music, 0, "nearest"), listen.clip(music, 1))
    assert captions(pair) == [
        "nearest: Anna &lt;Blume&gt;, One &amp; two (CC0)",
        "artist unknown, untitled (terms not stated)",
    ]


def test_a_player_sounds_and_is_as_long_as_asked(music):
    player = listen.clip(music, 1, seconds=2.0)
    assert "<small>(2 s)</small>" in player.data
    heard = sound(player)
    assert len(heard) == pytest.approx(2 * made_up.RATE, abs=3000)  # MP3 has frames
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(listen.LOUDNESS, rel=0.3)


def test_a_quiet_clip_may_stay_quiet(music):
    quiet, brought_up = (listen.clip(music, 0, keep_level=keep) for keep in (True, False))
    assert np.std(sound(quiet)) < 0.5 * np.std(sound(brought_up))


def test_ranked_clips_tell_rank_artist_probability_and_truth(music):
    scores = np.array([[0.25], [0.5]])
    assert captions(listen.ranked(music, [1, 0], "calm", scores, [0, 1])) == [
        "1. artist unknown: p = 0.50, does not carry it",
        "2. Anna &lt;Blume&gt;: p = 0.25, carries the tag",
    ]
