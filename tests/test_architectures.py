"""Dictionaries learned here, or elsewhere and used here."""

from __future__ import annotations

import made_up
import numpy as np
import pytest

from multiscale import architectures, datasets
from multiscale.architectures import Architecture
from multiscale.config import DatasetSettings, ParameterError
from multiscale.parameters import borrowing

SMALL = Architecture(dictionary=6, n_levels=2, pooling_length=16)
OTHER = DatasetSettings(name="made_up", n_clips=24, clip_seconds=5, seed=1)


@pytest.fixture(autouse=True)
def _home(home):
    """Every test starts with an empty store."""


def means(profile) -> np.ndarray:
    music = datasets.load(profile.dataset)
    learner = architectures.learned_features(profile, SMALL, music, progress=False)
    return learner.encoders_[0].means


def test_a_dictionary_from_elsewhere_is_the_one_learned_there():
    elsewhere = made_up.PROFILE.model_copy(update={"dataset": OTHER})
    borrowed = made_up.PROFILE.model_copy(update={"dictionary_from": OTHER})
    here, there = means(made_up.PROFILE), means(elsewhere)
    assert here.shape != there.shape or not np.allclose(here, there)
    np.testing.assert_array_equal(means(borrowed), there)
    # Learned once: the borrower finds what was learned there.
    paths = [architectures.dictionary_path(p, SMALL) for p in (elsewhere, borrowed)]
    assert paths[0] == paths[1]
    paths = [architectures.feature_path(p, SMALL, 0) for p in (made_up.PROFILE, borrowed)]
    assert paths[0] != paths[1]


def test_another_draw_is_another_dictionary():
    drawn = [
        architectures.feature_learner(made_up.PROFILE, SMALL.model_copy(update={"draw": d}))
        for d in (0, 1)
    ]
    assert drawn[0].random_state != drawn[1].random_state


def test_a_source_that_does_not_exist_is_named():
    with pytest.raises(ParameterError, match="dictionary-from: expected one of cover_bands"):
        borrowing(made_up.PROFILE, "radio")
    with pytest.raises(ParameterError, match="profile: expected"):
        borrowing(made_up.PROFILE, "nowhere.yaml")
    assert borrowing(made_up.PROFILE, "soundtracks").dictionary_from.n_clips == 30
