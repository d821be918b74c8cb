"""An experiment (§4.2, §4.3): an architecture on a task, searched, run and scored; stored.

The protocol is the same for both tasks: a random search on the validation set, then runs with
different initialisations, scored on the test set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
from safetensors.numpy import load_file

from multiscale import architectures, similarity, store, tagging
from multiscale.architectures import Architecture
from multiscale.config import ParameterError, Profile, Settings, TrainingSettings
from multiscale.datasets import SPLITS, ClipDataset
from multiscale.training import Hyperparameters

TASKS = ("tagging", "similarity")


class Experiment(Settings):
    """An architecture on a task, from all levels or one, with the training as the profile says.

    ``training`` changes that: pairs of a field of TrainingSettings and its value.
    """

    task: Literal["tagging", "similarity"]
    architecture: Architecture
    level: int | None = None
    training: tuple[tuple[str, str | bool | int], ...] = ()

    def __str__(self) -> str:
        """Words such as ``tagging: laplacian, 1 frame, 500 means, level 3 alone``."""
        parts = [f"{self.task}: {self.architecture}"]
        if self.level is not None:
            parts.append(f"level {self.level} alone")
        parts += [f"{name}={value}" for name, value in self.training]
        return ", ".join(parts)


@dataclass(frozen=True)
class TaskResult:
    """Runs of one experiment.

    Attributes
    ----------
    best : Hyperparameters
        What the random search chose, on the validation set.
    trial_scores, trial_rates, trial_decays : ndarray of shape (n_trials,)
        Validation score, learning rate and weight decay of each trial.
    history : ndarray of shape (n_epochs, n_runs)
        Validation score of the runs after each epoch.
    valid_scores, epochs : ndarray of shape (n_runs,)
        Best validation score of each run, and its epoch.
    predictions : ndarray of shape (n_runs, n_test_clips, n_tags or n_components)
        Tag probabilities, or places in the learned space, of the test clips.
    scores : ndarray of shape (n_runs,)
        Mean AUC, or probability of correct classification, on the test set.
    seconds : float
        Time that search and runs took.
    """

    best: Hyperparameters
    trial_scores: np.ndarray
    trial_rates: np.ndarray
    trial_decays: np.ndarray
    history: np.ndarray
    valid_scores: np.ndarray
    epochs: np.ndarray
    predictions: np.ndarray
    scores: np.ndarray
    seconds: float


def run(
    profile: Profile, experiment: Experiment, dataset: ClipDataset, seed: int = 0
) -> TaskResult:
    """Random search on the validation set, then runs, scored on the test set; stored.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    experiment : Experiment
        Task, architecture, level and changes of training.
    dataset : ClipDataset
        The profile's data set.
    seed : int, default=0
        Of features, search and runs.

    Returns
    -------
    TaskResult
        From the store if it is there.

    Raises
    ------
    ParameterError
        If the data set is not the profile's, or has not what the task needs.
    """
    architectures.check_dataset(profile, dataset)
    task = _TASKS[experiment.task]
    targets = task.targets(dataset)
    path = result_path(profile, experiment, seed)
    arrays = store.cached_file(
        path,
        lambda: _search_and_run(task, profile, experiment, dataset, targets, seed),
        store.save_arrays,
        load_file,
    )
    return _as_result(arrays)


def stored_result(profile: Profile, experiment: Experiment, seed: int = 0) -> TaskResult | None:
    """The result of an experiment if it has been computed, else None."""
    path = result_path(profile, experiment, seed)
    return _as_result(load_file(path)) if path.is_file() else None


def result_path(profile: Profile, experiment: Experiment, seed: int = 0) -> Path:
    """Where the result of an experiment is, or would be."""
    settings = {
        **architectures.identity(profile, experiment.architecture, seed),
        "level": experiment.level,
        "sizes": sizes(profile, experiment).model_dump(),
    }
    return store.artefact_path(experiment.task, settings, "experiments")


def possible_tasks(dataset: ClipDataset) -> list[str]:
    """Tasks for which a data set has what it takes, in each of its splits."""
    possible = []
    for name, task in _TASKS.items():
        try:
            task.targets(dataset)
        except ParameterError:
            continue
        possible.append(name)
    return possible


def sizes(profile: Profile, experiment: Experiment) -> TrainingSettings:
    """The training settings of an experiment: the profile's, with its changes."""
    return getattr(profile, experiment.task).model_copy(update=dict(experiment.training))


@dataclass(frozen=True)
class _Task:
    """A module with ``search`` and ``fit_runs``, and how its models predict and are scored."""

    module: ModuleType
    targets: Callable
    predict: Callable
    score: Callable


def _tags(dataset: ClipDataset) -> dict[str, np.ndarray]:
    if dataset.tags.shape[1] == 0:
        raise ParameterError(f"{dataset.name}: expected tags to predict, got a data set without")
    targets = {name: dataset.split(name).tags for name in SPLITS}
    for name, tags in targets.items():
        if not (tags.any(axis=0) & ~tags.all(axis=0)).any():
            raise ParameterError(
                f"{dataset.name}, {name}: expected a tag that some clips carry and others do not, "
                f"got none among {len(tags)} clips"
            )
    return targets


def _artists(dataset: ClipDataset) -> dict[str, np.ndarray]:
    for name in SPLITS:
        clips = dataset.split(name).clips
        if not clips["artist"].duplicated().where(clips["artist"].notna(), False).any():
            raise ParameterError(
                f"{dataset.name}, {name}: expected an artist with two clips or more, "
                f"got none among {len(clips)} clips"
            )
    return {name: dataset.split(name).artists for name in SPLITS}


_TASKS = {
    "tagging": _Task(tagging, _tags, tagging.TagModel.predict, tagging.run_scores),
    "similarity": _Task(
        similarity,
        _artists,
        similarity.SimilarityModel.embed,
        similarity.artist_probability,
    ),
}


def _search_and_run(
    task: _Task,
    profile: Profile,
    experiment: Experiment,
    dataset: ClipDataset,
    targets: dict[str, np.ndarray],
    seed: int,
) -> dict[str, np.ndarray]:
    """The protocol both tasks share."""
    settings = sizes(profile, experiment)
    features = architectures.pooled_features(
        profile, experiment.architecture, dataset, seed, level=experiment.level
    )
    data = (features["train"], targets["train"], features["valid"], targets["valid"])
    started = time.perf_counter()
    best, trials = task.module.search(*data, settings, seed=seed)
    model = task.module.fit_runs(*data, [best] * settings.n_runs, settings, seed=seed)
    predictions = task.predict(model, features["test"])
    return {
        "best": np.array([best.learning_rate, best.weight_decay]),
        "trial_scores": trials.runs.scores,
        "trial_rates": np.array([h.learning_rate for h in trials.hyperparameters]),
        "trial_decays": np.array([h.weight_decay for h in trials.hyperparameters]),
        "history": model.runs.history,
        "valid_scores": model.runs.scores,
        "epochs": model.runs.epochs,
        "predictions": predictions,
        "scores": task.score(predictions, targets["test"]),
        "seconds": np.array([time.perf_counter() - started]),
    }


def _as_result(arrays: dict[str, np.ndarray]) -> TaskResult:
    best = Hyperparameters(*map(float, arrays["best"]))
    return TaskResult(**{**arrays, "best": best, "seconds": float(arrays["seconds"][0])})
