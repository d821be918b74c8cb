"""Both tasks, end to end, on a few seconds of made-up music."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile
from pydantic import ValidationError

from multiscale import architectures, experiments, store
from multiscale.architectures import Architecture, learned_features, pooled_features
from multiscale.config import DatasetSettings, LearningSettings, ParameterError, Profile
from multiscale.config import TrainingSettings as Training
from multiscale.datasets import SPLITS, ClipDataset
from multiscale.experiments import Experiment

SIZES = Training(n_trials=2, n_runs=2, max_epochs=4, patience=2)
PROFILE = Profile(
    name="tiny",
    description="made-up music",
    dataset=DatasetSettings(name="made_up"),
    learning=LearningSettings(n_windows=300, n_iter=2),
    tagging=SIZES,
    similarity=SIZES,
)
SMALL = Architecture(dictionary=6, n_levels=3, pooling_length=32)


def tag_prediction(profile, architecture, dataset, seed=0):
    experiment = Experiment(task="tagging", architecture=architecture)
    return experiments.run(profile, experiment, dataset, seed)


def artist_similarity(profile, architecture, dataset, seed=0):
    experiment = Experiment(task="similarity", architecture=architecture)
    return experiments.run(profile, experiment, dataset, seed)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ClipDataset:
    """Thirty clips of 3 s: an artist has a register, a tag tells bright clips, one noisy ones."""
    folder = tmp_path_factory.mktemp("made_up")
    rng = np.random.default_rng(0)
    time = np.arange(3 * 16_000) / 16_000
    rows, tags = [], []
    for number in range(30):
        artist = number % 3
        pitch = rng.uniform(1, 1.5) * (200, 700, 2500)[artist]
        noisy = bool(rng.random() < 0.5)
        signal = 0.2 * np.sin(2 * np.pi * pitch * time)
        signal += (0.1 if noisy else 0.001) * rng.standard_normal(len(time))
        soundfile.write(folder / f"{number}.wav", signal, 16_000)
        rows.append((f"{number}.wav", SPLITS[number // 10], f"artist {artist}"))
        tags.append((artist == 2, noisy))
    clips = pd.DataFrame(rows, columns=["path", "split", "artist"])
    names = ("bright", "noisy")
    return ClipDataset("made_up", folder, clips, np.array(tags), names, 16_000, "made up")


@pytest.fixture(autouse=True)
def _own_home(home):
    """Every test starts with an empty store."""


def changed(dataset: ClipDataset, **changes) -> ClipDataset:
    """The data set with something changed."""
    return replace(dataset, **changes)


@pytest.fixture
def refuse(monkeypatch):
    """Make every step of the work raise, once called."""

    def switch():
        def raises(*_, **__):
            raise AssertionError("computed again")

        for module in (experiments.tagging, experiments.similarity):
            monkeypatch.setattr(module, "search", raises)
            monkeypatch.setattr(module, "fit_runs", raises)
        monkeypatch.setattr(architectures.MultiscaleFeatures, "fit", raises)
        monkeypatch.setattr(architectures.MultiscaleFeatures, "transform", raises)

    return switch


@pytest.mark.parametrize(
    ("task", "n_outputs"), [(tag_prediction, 2), (artist_similarity, 50)], ids=["tags", "artists"]
)
def test_end_to_end_stored_and_repeatable(task, n_outputs, dataset, refuse, monkeypatch, tmp_path):
    result = task(PROFILE, SMALL, dataset)
    assert (
        result.trial_scores.shape == result.trial_rates.shape == result.trial_decays.shape == (2,)
    )
    assert result.predictions.shape == (2, 10, n_outputs)
    assert result.scores.shape == (2,)
    assert ((result.scores > 0) & (result.scores <= 1)).all()
    assert 1 <= len(result.history) <= 4
    assert result.history.shape[1] == 2
    chosen = int(np.argmax(result.trial_scores))
    assert result.best.learning_rate == result.trial_rates[chosen]
    assert result.best.weight_decay == result.trial_decays[chosen]
    assert not np.array_equal(result.predictions[0], result.predictions[1])

    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "elsewhere"))
    again = task(PROFILE, SMALL, dataset)
    np.testing.assert_array_equal(again.predictions, result.predictions)
    np.testing.assert_array_equal(again.scores, result.scores)
    refuse()
    stored = task(PROFILE, SMALL, dataset)
    np.testing.assert_array_equal(stored.predictions, result.predictions)
    assert stored.best == result.best
    with pytest.raises(AssertionError, match="computed again"):
        task(PROFILE, SMALL, dataset, seed=1)


def test_scores_are_those_of_the_predictions(dataset):
    test = dataset.split("test")
    tags = tag_prediction(PROFILE, SMALL, dataset)
    expected = experiments.tagging.run_scores(tags.predictions, test.tags)
    np.testing.assert_allclose(tags.scores, expected)
    places = artist_similarity(PROFILE, SMALL, dataset)
    expected = experiments.similarity.artist_probability(places.predictions, test.artists)
    np.testing.assert_allclose(places.scores, expected)


def test_features_are_learned_from_the_training_clips_alone(dataset):
    features = pooled_features(PROFILE, SMALL, dataset, progress=False)
    assert {name: part.shape for name, part in features.items()} == dict.fromkeys(
        SPLITS, (10, 2, 18)
    )
    learner = learned_features(PROFILE, SMALL, dataset, progress=False)
    alone = architectures.feature_learner(PROFILE, SMALL).fit(dataset.split("train"))
    for level, same in zip(learner.encoders_, alone.encoders_, strict=True):
        np.testing.assert_array_equal(level.means, same.means)
    # Clips are extracted in shards, so batches begin elsewhere: equal up to rounding.
    again = alone.transform(dataset.split("test"))
    np.testing.assert_allclose(features["test"], again, rtol=1e-4, atol=1e-4)


def test_features_serve_both_tasks_and_sizes_of_one_touch_not_the_other(dataset, refuse):
    tag_prediction(PROFILE, SMALL, dataset)
    artist_similarity(PROFILE, SMALL, dataset)
    refuse()
    longer = PROFILE.model_copy(update={"tagging": Training(n_trials=3), "name": "longer"})
    artist_similarity(longer, SMALL, dataset)
    pooled_features(longer, SMALL, dataset)
    with pytest.raises(AssertionError, match="computed again"):
        tag_prediction(longer, SMALL, dataset)


def test_an_interrupted_experiment_keeps_its_features(dataset, refuse, monkeypatch):
    given = []

    def interrupted(*data, **__):
        given.extend(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments.tagging, "search", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tag_prediction(PROFILE, SMALL, dataset)
    refuse()
    features = pooled_features(PROFILE, SMALL, dataset)
    train_features, train_tags, valid_features, valid_tags, sizes = given
    np.testing.assert_array_equal(train_features, features["train"])
    np.testing.assert_array_equal(valid_features, features["valid"])
    np.testing.assert_array_equal(train_tags, dataset.split("train").tags)
    np.testing.assert_array_equal(valid_tags, dataset.split("valid").tags)
    assert sizes == PROFILE.tagging


def test_data_sets_without_what_a_task_needs(dataset, refuse):
    refuse()
    untagged = changed(dataset, tags=dataset.tags[:, :0], tag_names=())
    with pytest.raises(ParameterError, match="made_up: expected tags to predict"):
        tag_prediction(PROFILE, SMALL, untagged)
    unknown = changed(dataset, clips=dataset.clips.assign(artist=None))
    with pytest.raises(ParameterError, match="made_up, train: expected an artist with two clips"):
        artist_similarity(PROFILE, SMALL, unknown)
    clips = dataset.clips.copy()
    clips.loc[clips["split"] == "test", "artist"] = clips["path"]
    singles = changed(dataset, clips=clips)
    with pytest.raises(ParameterError, match="made_up, test: expected an artist with two clips"):
        artist_similarity(PROFILE, SMALL, singles)
    for task in (tag_prediction, artist_similarity):
        with pytest.raises(ParameterError, match="made_up, valid: expected "):
            task(PROFILE, SMALL, dataset[np.flatnonzero(dataset.clips["split"] != "valid")])


def test_a_data_set_that_is_not_the_profiles_is_refused(dataset, refuse):
    """Its results would be stored, and found, as the profile's."""
    refuse()
    other = Profile(name="other", description="", dataset=DatasetSettings(name="cover_bands"))
    for use in (tag_prediction, artist_similarity, pooled_features, learned_features):
        with pytest.raises(
            ParameterError, match=r"dataset: expected 'cover_bands', as .*'made_up'"
        ):
            use(other, SMALL, dataset)


def test_architectures_that_cannot_be_built(dataset, refuse):
    refuse()
    with pytest.raises(ParameterError, match="n_levels: expected an integer of at least 1, got 0"):
        tag_prediction(PROFILE, Architecture(n_levels=0), dataset)
    with pytest.raises(ParameterError, match="window_length: expected at most 4"):
        pooled_features(PROFILE, Architecture(window_length=8), dataset)
    with pytest.raises(ValidationError, match="scale"):
        Architecture(scale="wavelet")
    assert list((store.data_home()).glob("store/*/*.safetensors")) == []


def test_architectures_have_names():
    assert str(Architecture()) == "laplacian, 1 frame, 500 means"
    pca = Architecture(scale="gaussian", window_length=4, dictionary="pca")
    assert str(pca) == "gaussian, 4 frames, PCA"
