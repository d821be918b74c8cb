"""The experiments of §4.2, §4.3 and §5 on a profile: what is to be run, and how one is run.

An :class:`Experiment` is an :class:`Architecture` on a task. Its features, its dictionaries and
its result are artefacts of the store, each under a key of its own, so that experiments share
what they have in common and a result is computed once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field
from safetensors.numpy import load_file

from multiscale import datasets, similarity, store, tagging
from multiscale.config import (
    DICTIONARIES,
    SCALES,
    WINDOW_LENGTHS,
    Dictionary,
    ParameterError,
    Profile,
    Scale,
    Settings,
    SpectrogramSettings,
    TrainingSettings,
    check_architecture,
)
from multiscale.datasets import SPLITS, ClipDataset
from multiscale.features import MultiscaleFeatures, fit_together, transform_together
from multiscale.training import Hyperparameters

SHARD = 256
"""Clips whose features are extracted, and stored, together."""

TASKS = ("tagging", "similarity")

IDENTIFYING = ("task", "scale", "window_length", "dictionary", "level", "change")
"""Columns of a table of results that tell experiments apart."""


class Architecture(Settings):
    """A feature learning architecture: the paper's three choices, and those it leaves open."""

    scale: Scale = "laplacian"
    window_length: int = 1
    dictionary: Dictionary = 500
    n_levels: int = 6
    pooling_length: int = 128
    pooling: Literal["max", "mean", "min", "var"] = "max"
    whiten: bool = True
    signed: bool = False
    kernel: Literal["binomial", "triangle", "wide"] = "binomial"
    double_hop: bool = False
    log_constant: float = 10_000.0
    window_share: float = Field(1.0, gt=0, le=1, description="of the profile's sampled windows")

    def __str__(self) -> str:
        """Words such as ``laplacian, 1 frame, 500 means``; changes from our choices follow."""
        frames = "1 frame" if self.window_length == 1 else f"{self.window_length} frames"
        learned = "PCA" if self.dictionary == "pca" else f"{self.dictionary} means"
        usual = {"scale", "window_length", "dictionary"}
        changes = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self.model_dump(exclude_defaults=True).items()
            if name not in usual
        ]
        return ", ".join([self.scale, frames, learned, *changes])


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


ARCHITECTURES = tuple(
    Architecture(scale=scale, window_length=length, dictionary=dictionary)
    for scale in SCALES
    for length in WINDOW_LENGTHS[scale]
    for dictionary in DICTIONARIES
)
"""The 28 architectures of §4.2."""

PAPERS_BEST = Architecture(scale="laplacian", window_length=1, dictionary=500)
"""What Figure 6 is drawn from (§5.2)."""

SINGLE_TIMESCALE = Architecture(scale="gaussian", n_levels=1)
"""The pipeline of §2 on the mel-spectrogram alone."""

NOT_WHITENED = PAPERS_BEST.model_copy(update={"whiten": False})
DOUBLED_HOP = Architecture(scale="multiresolution", double_hop=True)
POOLED = {name: PAPERS_BEST.model_copy(update={"pooling": name}) for name in ("mean", "min", "var")}
"""What §2.1, §3.1 and §2.3 say was tried, and found worse."""

OPEN_CHOICES: dict[str, tuple[dict, dict]] = {
    "log constant 100": ({"log_constant": 100.0}, {}),
    "log constant 1": ({"log_constant": 1.0}, {}),
    "pyramid kernel (1, 2, 1)": ({"kernel": "triangle"}, {}),
    "pyramid kernel of 7 taps": ({"kernel": "wide"}, {}),
    "K-means assigns by the signed projection": ({"signed": True}, {}),
    "a tenth of the windows sampled": ({"window_share": 0.1}, {}),
    "features not standardised": ({}, {"standardise": False}),
    "gradient descent without momentum": ({}, {"optimiser": "plain"}),
    "Adam": ({}, {"optimiser": "adam"}),
}
"""Change -> fields of Architecture and of TrainingSettings: what the decision register measures."""


def grid(tasks: Sequence[str] = TASKS) -> list[Experiment]:
    """The 28 architectures on each task (§5.1)."""
    return [Experiment(task=task, architecture=a) for task in tasks for a in ARCHITECTURES]


def single_levels(architecture: Architecture) -> list[Experiment]:
    """Tag prediction from each level alone (§5.2)."""
    return [
        Experiment(task="tagging", architecture=architecture, level=level)
        for level in range(architecture.n_levels)
    ]


def asides() -> list[Experiment]:
    """What the paper mentions in passing: no whitening, doubled hop, other pooling, one scale."""
    tried = [SINGLE_TIMESCALE, NOT_WHITENED, DOUBLED_HOP, *POOLED.values()]
    return [Experiment(task="tagging", architecture=architecture) for architecture in tried]


def sensitivities() -> dict[str, Experiment]:
    """The paper's best architecture with one open choice changed at a time."""
    return {
        name: Experiment(
            task="tagging",
            architecture=PAPERS_BEST.model_copy(update=architecture),
            training=tuple(training.items()),
        )
        for name, (architecture, training) in OPEN_CHOICES.items()
    }


def everything() -> list[Experiment]:
    """All experiments of the book that are known before any has run."""
    return [*grid(), *single_levels(PAPERS_BEST), *asides(), *sensitivities().values()]


def best_architecture(profile: Profile, task: str, seed: int = 0) -> Architecture | None:
    """The architecture with the highest mean validation score among those computed, or None."""
    scored = {
        experiment.architecture: np.nanmean(result.valid_scores)
        for experiment in grid([task])
        if (result := stored_result(profile, experiment, seed)) is not None
    }
    return max(scored, key=scored.get) if scored else None


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


def feature_learner(
    profile: Profile, architecture: Architecture, seed: int = 0, progress: bool = False
) -> MultiscaleFeatures:
    """An unfitted transformer for an architecture, at a profile's size."""
    values = architecture.model_dump()
    share = values.pop("window_share")
    constant = values.pop("log_constant")
    return MultiscaleFeatures(
        **values,
        n_windows=round(share * profile.learning.n_windows),
        n_iter=profile.learning.n_iter,
        spectrogram=SpectrogramSettings(log_constant=constant),
        random_state=seed,
        progress=progress,
    )


def learn(
    profile: Profile,
    architectures: Sequence[Architecture],
    dataset: ClipDataset,
    seed: int = 0,
    progress: bool = True,
) -> list[MultiscaleFeatures]:
    """Dictionaries of architectures of one representation; the missing ones in one pass.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    architectures : sequence of Architecture
        Of one representation: see :func:`multiscale.features.fit_together`.
    dataset : ClipDataset
        The profile's data set.
    seed : int, default=0
        Of sampling and K-means.
    progress : bool, default=True
        Whether to show progress.

    Returns
    -------
    list of MultiscaleFeatures
        Fitted on the training clips.
    """
    _check_dataset(profile, dataset)
    paths = [dictionary_path(profile, architecture, seed) for architecture in architectures]

    def compute(missing: list[int]) -> list[MultiscaleFeatures]:
        learners = [feature_learner(profile, architectures[i], seed, progress) for i in missing]
        fit_together(learners, dataset.split("train"))
        return learners

    return store.cached_files(paths, compute, MultiscaleFeatures.save, MultiscaleFeatures.load)


def extract(
    profile: Profile,
    architectures: Sequence[Architecture],
    shard: int,
    dataset: ClipDataset,
    seed: int = 0,
    progress: bool = True,
) -> list[dict[str, np.ndarray]]:
    """Features of one shard of clips, for architectures of one representation, in one pass.

    Parameters
    ----------
    profile, architectures, dataset, seed, progress
        As :func:`learn`.
    shard : int
        Clips ``shard * SHARD`` and following.

    Returns
    -------
    list of dict of str to ndarray
        "features" of shape (n_clips, n_pooling_windows, n_features), float32, and "sizes" of
        shape (n_levels,), the features of each level.
    """
    _check_dataset(profile, dataset)
    clips = dataset[np.arange(len(dataset))[shard * SHARD : (shard + 1) * SHARD]]
    paths = [feature_path(profile, architecture, shard, seed) for architecture in architectures]

    def compute(missing: list[int]) -> list[dict[str, np.ndarray]]:
        learners = learn(profile, [architectures[i] for i in missing], dataset, seed, progress)
        for learner in learners:
            learner.set_params(progress=progress)
        return [
            {"features": features, "sizes": np.array(learner.n_features_)}
            for learner, features in zip(learners, transform_together(learners, clips), strict=True)
        ]

    return store.cached_files(paths, compute, store.save_arrays, load_file)


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
    dataset = datasets.load(profile.dataset) if dataset is None else dataset
    return learn(profile, [architecture], dataset, seed, progress)[0]


def pooled_features(
    profile: Profile,
    architecture: Architecture,
    dataset: ClipDataset | None = None,
    seed: int = 0,
    progress: bool = True,
    level: int | None = None,
) -> dict[str, np.ndarray]:
    """Features of every clip of a profile, by split; arguments as :func:`learned_features`.

    Parameters
    ----------
    profile, architecture, dataset, seed, progress
        As :func:`learned_features`.
    level : int, optional
        Only the features of that level.

    Returns
    -------
    dict of str to ndarray of shape (n_clips, n_pooling_windows, n_features)
        For "train", "valid" and "test".
    """
    dataset = datasets.load(profile.dataset) if dataset is None else dataset
    parts = [
        extract(profile, [architecture], shard, dataset, seed, progress)[0]
        for shard in range(n_shards(dataset))
    ]
    wanted = slice(None)
    if level is not None:
        ends = np.cumsum(parts[0]["sizes"])
        wanted = slice(ends[level] - parts[0]["sizes"][level], ends[level])
    features = np.concatenate([part["features"][:, :, wanted] for part in parts])
    splits = dataset.clips["split"].to_numpy()
    return {name: features[splits == name] for name in SPLITS}


def n_shards(dataset: ClipDataset) -> int:
    """Shards that the clips of a data set make."""
    return -(-len(dataset) // SHARD)


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
    return run(profile, Experiment(task="tagging", architecture=architecture), dataset, seed)


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
    return run(profile, Experiment(task="similarity", architecture=architecture), dataset, seed)


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
    _check_dataset(profile, dataset)
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


def results_table(profile: Profile, wanted: Sequence[Experiment], seed: int = 0) -> pd.DataFrame:
    """One row per run of the experiments that have been computed.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    wanted : sequence of Experiment
        Which.
    seed : int, default=0
        Of all randomness.

    Returns
    -------
    DataFrame
        Columns task, scale, window_length, dictionary, level ("all" or a number), change (from
        our choices, in words), run, learning_rate, weight_decay, valid and test (scores), epochs,
        seconds (of search and runs together). An experiment that is missing has no rows.
    """
    rows = []
    for experiment in wanted:
        result = stored_result(profile, experiment, seed)
        if result is None:
            continue
        common = _columns(experiment) | {
            "learning_rate": result.best.learning_rate,
            "weight_decay": result.best.weight_decay,
            "seconds": result.seconds,
        }
        scores = zip(result.valid_scores, result.scores, result.epochs, strict=True)
        for index, (valid, test, epochs) in enumerate(scores):
            rows.append(common | {"run": index, "valid": valid, "test": test, "epochs": epochs})
    columns = [*IDENTIFYING, "run", "learning_rate", "weight_decay"]
    return pd.DataFrame(rows, columns=[*columns, "valid", "test", "epochs", "seconds"])


def tag_table(
    profile: Profile, wanted: Sequence[Experiment], dataset: ClipDataset, seed: int = 0
) -> pd.DataFrame:
    """AUC and average precision of every tag, one row per run and tag.

    Parameters
    ----------
    profile, wanted, seed
        As :func:`results_table`; similarity experiments are passed over.
    dataset : ClipDataset
        The profile's data set.

    Returns
    -------
    DataFrame
        The first columns of :func:`results_table`, then run, tag, auc and average_precision.
    """
    tags = dataset.split("test").tags
    rows = []
    for experiment in wanted:
        result = stored_result(profile, experiment, seed) if experiment.task == "tagging" else None
        if result is None:
            continue
        for index, predictions in enumerate(result.predictions):
            aucs = tagging.tag_auc(tags, predictions)
            precisions = tagging.tag_average_precision(tags, predictions)
            for tag, auc, precision in zip(dataset.tag_names, aucs, precisions, strict=True):
                row = {"run": index, "tag": tag, "auc": auc, "average_precision": precision}
                rows.append(_columns(experiment) | row)
    names = [*IDENTIFYING, "run", "tag", "auc", "average_precision"]
    return pd.DataFrame(rows, columns=names)


def _columns(experiment: Experiment) -> dict:
    """What tells an experiment from others, for a table."""
    architecture = experiment.architecture
    usual = Architecture(
        scale=architecture.scale,
        window_length=architecture.window_length,
        dictionary=architecture.dictionary,
    )
    words = [str(architecture).removeprefix(str(usual)).removeprefix(", ")]
    words += [f"{name}={value}" for name, value in experiment.training]
    return {
        "task": experiment.task,
        "scale": architecture.scale,
        "window_length": architecture.window_length,
        "dictionary": str(architecture.dictionary),
        "level": "all" if experiment.level is None else str(experiment.level),
        "change": ", ".join(word for word in words if word),
    }


def dictionary_path(profile: Profile, architecture: Architecture, seed: int = 0) -> Path:
    """Where the dictionaries of an architecture are, or would be."""
    return store.artefact_path("dictionaries", _identity(profile, architecture, seed), "features")


def feature_path(profile: Profile, architecture: Architecture, shard: int, seed: int = 0) -> Path:
    """Where the features of a shard are, or would be."""
    settings = {**_identity(profile, architecture, seed), "shard": shard}
    return store.artefact_path("features", settings, "features")


def result_path(profile: Profile, experiment: Experiment, seed: int = 0) -> Path:
    """Where the result of an experiment is, or would be."""
    settings = {
        **_identity(profile, experiment.architecture, seed),
        "level": experiment.level,
        "sizes": sizes(profile, experiment).model_dump(),
    }
    return store.artefact_path(experiment.task, settings, "experiments")


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
    features = pooled_features(
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


def _check_dataset(profile: Profile, dataset: ClipDataset) -> None:
    """Refuse another data set: what is computed would be found in the store as the profile's."""
    if dataset.name != profile.dataset.name:
        raise ParameterError(
            f"dataset: expected {profile.dataset.name!r}, as profile {profile.name} has, "
            f"got {dataset.name!r}"
        )


def _identity(profile: Profile, architecture: Architecture, seed: int) -> dict:
    """What determines features: data, sizes of learning, architecture and seed."""
    check_architecture(
        architecture.scale,
        architecture.window_length,
        architecture.dictionary,
        architecture.n_levels,
        architecture.pooling_length,
    )
    return {
        "dataset": profile.dataset.model_dump(),
        "learning": profile.learning.model_dump(),
        "architecture": architecture.model_dump(),
        "seed": seed,
    }
