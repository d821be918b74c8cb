"""The embedded data set: what the renderer gives, as a data set like the others."""

from __future__ import annotations

import made_up
import numpy as np
import pandas as pd
import pytest

import coverbands
from multiscale import datasets
from multiscale.config import ParameterError
from multiscale.datasets import DatasetSettings

SETTINGS = DatasetSettings(n_clips=4, clip_seconds=5, n_tags=2, seed=3)
ROWS = [
    ("c0", "clips/0.wav", "train", "band 0", "flute;slow"),
    ("c1", "clips/1.wav", "train", "band 1", "flute;loud"),
    ("c2", "clips/2.wav", "valid", "band 0", "slow"),
    ("c3", "clips/3.wav", "test", "band 1", ""),
]


@pytest.fixture
def calls(home, monkeypatch) -> list[dict]:
    """A renderer that need not play, and what it was asked for."""
    asked = []

    def render(n_clips, seed, folder, **how):
        asked.append({"n_clips": n_clips, "seed": seed, **how})
        table = pd.DataFrame(ROWS[:n_clips], columns=["clip", "path", "split", "artist", "tags"])
        for number, path in enumerate(table["path"]):
            made_up.song(folder / path, how["clip_seconds"], number)
        table.to_csv(folder / "clips.csv", index=False)
        return pd.read_csv(folder / "clips.csv", index_col="clip", keep_default_na=False)

    monkeypatch.setattr(coverbands, "render", render)
    return asked


def test_what_is_rendered_is_a_data_set(calls):
    dataset = datasets.load(SETTINGS, n_workers=3)
    assert (dataset.name, dataset.sample_rate, len(dataset)) == ("cover_bands", 16_000, 4)
    assert list(dataset.clips.index) == ["c0", "c1", "c2", "c3"]
    assert list(dataset.clips.columns) == ["path", "split", "artist"]
    assert dataset.tag_names == ("flute", "loud"), "most frequent in train, ties by name"
    np.testing.assert_array_equal(dataset.tags[:, 0], [True, True, False, False])
    np.testing.assert_allclose(dataset[1], made_up.clip(1, 5), atol=1e-4)
    assert list(dataset.skipped.columns) == ["path", "reason"]
    (asked,) = calls
    asked.pop("progress")
    assert asked == {"n_clips": 4, "seed": 3, "clip_seconds": 5.0, "n_workers": 3}


def test_what_is_there_is_not_rendered_again(calls):
    first = datasets.load(SETTINGS)
    assert datasets.load(SETTINGS).clips.equals(first.clips)
    datasets.load(SETTINGS.model_copy(update={"n_tags": 1}))
    assert len(calls) == 1
    (first.folder / first.clips["path"].iloc[2]).unlink()
    datasets.load(SETTINGS)
    datasets.load(SETTINGS.model_copy(update={"n_clips": 3}))
    assert [call["n_clips"] for call in calls] == [4, 4, 3]
    datasets.prepare_part(SETTINGS, 1, 3)
    assert (calls[-1]["part"], calls[-1]["n_parts"]) == (1, 3)


def test_a_missing_package_is_named_with_how_to_get_it(monkeypatch):
    monkeypatch.setattr(coverbands, "PACKAGES", ("numpy", "no-such-synthesiser"))
    wanted = "dataset: expected the package no-such-synthesiser, .* --no-deps tinysoundfont"
    with pytest.raises(ParameterError, match=wanted):
        datasets.load(SETTINGS)


def test_numbers_of_clips(home):
    assert datasets.n_clips(SETTINGS) == 4
    assert datasets.n_clips(DatasetSettings()) == coverbands.N_CLIPS
    with pytest.raises(ParameterError, match=r"n_clips: expected at least \d+ .* got 30"):
        datasets.load(DatasetSettings(n_clips=30))
    assert not home.exists(), "before any work"


def test_what_determines_the_clips_determines_their_folder(calls, monkeypatch):
    def rendering(**others):
        return datasets.identity(SETTINGS.model_copy(update=others))["rendering"]

    first = rendering()
    assert first == rendering(n_clips=3) == rendering(n_tags=1)
    assert len({first, rendering(seed=4), rendering(clip_seconds=6.0)}) == 3
    monkeypatch.setattr("multiscale.datasets.cover_bands.version", lambda name: "0")
    assert rendering() != first
