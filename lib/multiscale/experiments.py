"""The experiments of §4.2-4.3 on a profile: features, search, runs, each stored when finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from multiscale import datasets, similarity, store, tagging
from multiscale.config import (
    Dictionary,
    ParameterError,
    Profile,
    Scale,
    Settings,
    TrainingSettings,
    check_architecture,
)
from multiscale.datasets import SPLITS, ClipDataset
from multiscale.features import MultiscaleFeatures
from multiscale.training import Hyperparameters


class Architecture(Settings):
    """One of the feature learning architectures that §4.2 compares."""

    scale: Scale = "laplacian"
    window_length: int = 1
    dictionary: Dictionary = 500
    n_levels: int = 6
    pooling_length: int = 128

    def __str__(self) -> str:
        frames = "1 frame" if self.window_length == 1 else f"{self.window_length} frames"
        learned = "PCA" if self.dictionary == "pca" else f"{self.dictionary} means"
        return f"{self.scale}, {frames}, {learned}"


@dataclass(frozen=True)
class TaskResult:
    """Runs of one architecture on one task.

    Attributes
    ----------
    best : Hyperparameters
        What the random search chose, on the validation set.
    trial_scores, trial_rates, trial_decays : ndarray of shape (n_trials,)
        Validation score, learning rate and weight decay of each trial.
    history : ndarray of shape (n_epochs, n_runs)
        Validation score of the runs after each epoch.
    predictions : ndarray of shape (n_runs, n_test_clips, n_tags or n_components)
        Tag probabilities, or places in the learned space, of the test clips.
    scores : ndarray of shape (n_runs,)
        Mean AUC, or probability of correct classification, on the test set.
    """

    best: Hyperparameters
    trial_scores: np.ndarray
    trial_rates: np.ndarray
    trial_decays: np.ndarray
    history: np.ndarray
    predictions: np.ndarray
    scores: np.ndarray


def feature_learner(
    profile: Profile, architecture: Architecture, seed: int = 0, progress: bool = False
) -> MultiscaleFeatures:
    """An unfitted transformer for an architecture, at a profile's size."""
    return MultiscaleFeatures(
        architecture.scale,
        architecture.window_length,
        architecture.dictionary,
        n_levels=architecture.n_levels,
        pooling_length=architecture.pooling_length,
        n_windows=profile.learning.n_windows,
        n_iter=profile.learning.n_iter,
        random_state=seed,
        progress=progress,
    )


def learned_features(
    profile: Profile,
    architecture: Architecture,
    dataset: ClipDataset | None = None,
    seed: int = 0,
    progress: bool = True,
) -> MultiscaleFeatures:
    """Features learned from the training clips of a profile, from the store if they are there.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    architecture : Architecture
        What to learn.
    dataset : ClipDataset, optional
        The profile's data set, if it is at hand.
    seed : int, default=0
        Of sampling and K-means.
    progress : bool, default=True
        Whether to show progress.

    Returns
    -------
    MultiscaleFeatures
        Fitted.
    """
    settings = _identity(profile, architecture, dataset, seed)
    path = store.artefact_path("dictionaries", settings, made_by="features")

    def learn() -> MultiscaleFeatures:
        clips = dataset if dataset is not None else datasets.load(profile.dataset)
        return feature_learner(profile, architecture, seed, progress).fit(clips.split("train"))

    return store.cached_file(path, learn, MultiscaleFeatures.save, MultiscaleFeatures.load)


def pooled_features(
    profile: Profile,
    architecture: Architecture,
    dataset: ClipDataset | None = None,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, np.ndarray]:
    """Features of every clip of a profile, by split; arguments as :func:`learned_features`.

    Returns
    -------
    dict of str to ndarray of shape (n_clips, n_pooling_windows, n_features)
        For "train", "valid" and "test".
    """

    def extract() -> dict[str, np.ndarray]:
        clips = dataset if dataset is not None else datasets.load(profile.dataset)
        learner = learned_features(profile, architecture, clips, seed, progress)
        learner.set_params(progress=progress)
        return {name: learner.transform(clips.split(name)) for name in SPLITS}

    settings = _identity(profile, architecture, dataset, seed)
    return store.cached("features", settings, "features", extract)


def tag_prediction(
    profile: Profile, architecture: Architecture, dataset: ClipDataset, seed: int = 0
) -> TaskResult:
    """Random search, then the profile's runs, of tag prediction (§4.2).

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    architecture : Architecture
        Features to predict from.
    dataset : ClipDataset
        The profile's data set.
    seed : int, default=0
        Of features, search and runs.

    Returns
    -------
    TaskResult
        Predictions are tag probabilities; scores are mean AUCs on the test set.

    Raises
    ------
    ParameterError
        If the data set is not the profile's, or a split has no tag that can be scored.
    """
    if dataset.tags.shape[1] == 0:
        raise ParameterError(f"{dataset.name}: expected tags to predict, got a data set without")
    targets = {name: dataset.split(name).tags for name in SPLITS}
    for name, tags in targets.items():
        if not (tags.any(axis=0) & ~tags.all(axis=0)).any():
            raise ParameterError(
                f"{dataset.name}, {name}: expected a tag that some clips carry and others do not, "
                f"got none among {len(tags)} clips"
            )
    task = _Task("tagging", tagging, tagging.TagModel.predict, tagging.run_scores)
    return _run(task, profile, architecture, dataset, targets, seed)


def artist_similarity(
    profile: Profile, architecture: Architecture, dataset: ClipDataset, seed: int = 0
) -> TaskResult:
    """Random search, then the profile's runs, of similarity metric learning (§4.3).

    Parameters
    ----------
    profile, architecture, dataset, seed
        As :func:`tag_prediction`.

    Returns
    -------
    TaskResult
        Predictions are places in the learned space; scores are mean probabilities of correct
        classification on the test set.

    Raises
    ------
    ParameterError
        If the data set is not the profile's, or a split has no two clips of one artist.
    """
    for name in SPLITS:
        clips = dataset.split(name).clips
        if not clips["artist"].duplicated().where(clips["artist"].notna(), False).any():
            raise ParameterError(
                f"{dataset.name}, {name}: expected an artist with two clips or more, "
                f"got none among {len(clips)} clips"
            )
    targets = {name: dataset.split(name).artists for name in SPLITS}
    embed = similarity.SimilarityModel.embed
    task = _Task("similarity", similarity, embed, similarity.artist_probability)
    return _run(task, profile, architecture, dataset, targets, seed)


@dataclass(frozen=True)
class _Task:
    """A module with ``search`` and ``fit_runs``, and how its models predict and are scored."""

    name: str
    module: ModuleType
    predict: Callable
    score: Callable


def _run(
    task: _Task,
    profile: Profile,
    architecture: Architecture,
    dataset: ClipDataset,
    targets: dict[str, np.ndarray],
    seed: int,
) -> TaskResult:
    """The protocol both tasks share: search on the validation set, then runs, scored on test."""
    sizes: TrainingSettings = getattr(profile, task.name)

    def compute() -> dict[str, np.ndarray]:
        features = pooled_features(profile, architecture, dataset, seed)
        data = (features["train"], targets["train"], features["valid"], targets["valid"])
        best, trials = task.module.search(*data, sizes, seed=seed)
        model = task.module.fit_runs(*data, [best] * sizes.n_runs, sizes, seed=seed)
        predictions = task.predict(model, features["test"])
        return {
            "best": np.array([best.learning_rate, best.weight_decay]),
            "trial_scores": trials.runs.scores,
            "trial_rates": np.array([h.learning_rate for h in trials.hyperparameters]),
            "trial_decays": np.array([h.weight_decay for h in trials.hyperparameters]),
            "history": model.runs.history,
            "predictions": predictions,
            "scores": task.score(predictions, targets["test"]),
        }

    settings = {**_identity(profile, architecture, dataset, seed), "sizes": sizes.model_dump()}
    arrays = store.cached(task.name, settings, "experiments", compute)
    return TaskResult(**{**arrays, "best": Hyperparameters(*map(float, arrays["best"]))})


def _identity(
    profile: Profile, architecture: Architecture, dataset: ClipDataset | None, seed: int
) -> dict:
    """What determines the features: data, sizes of learning, architecture and seed."""
    check_architecture(**architecture.model_dump())
    if dataset is not None and dataset.name != profile.dataset.name:
        # What is computed from it would be found in the store as the profile's.
        raise ParameterError(
            f"dataset: expected {profile.dataset.name!r}, as profile {profile.name} has, "
            f"got {dataset.name!r}"
        )
    return {
        "dataset": profile.dataset.model_dump(),
        "learning": profile.learning.model_dump(),
        "architecture": architecture.model_dump(),
        "seed": seed,
    }
