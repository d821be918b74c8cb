"""The protocol of both tasks (§4.2, §4.3), without a store.

For each run a random search on the validation set, then training from an initialisation of its own;
scored on the test set.
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file

from multiscale.config import SPLITS
from multiscale.identity import reading
from multiscale.training import Hyperparameters, Model, Task, fit_runs, search

if TYPE_CHECKING:
    from multiscale.config import TrainingSettings
    from multiscale.datasets import ClipDataset


@dataclass(frozen=True)
class Result:
    """Runs of one experiment.

    Attributes
    ----------
    best : list of Hyperparameters
        What the random search of each run chose, on the validation set.
    trial_scores, trial_rates, trial_decays : ndarray of shape (n_runs, n_trials)
        Validation score, learning rate and weight decay of each trial.
    history : ndarray of shape (n_epochs, n_runs)
        Validation score of the runs after each epoch.
    valid_scores, epochs : ndarray of shape (n_runs,)
        Best validation score of each run, and its epoch.
    outputs : ndarray of shape (n_runs, n_test_clips, n_tags or n_components)
        Tag probabilities, or places in the learned space, of the test clips.
    scores : ndarray of shape (n_runs,)
        Mean AUC, or probability of correct classification, on the test set.
    seconds : float
        Time that search and runs took.
    """

    best: list[Hyperparameters]
    trial_scores: np.ndarray
    trial_rates: np.ndarray
    trial_decays: np.ndarray
    history: np.ndarray
    valid_scores: np.ndarray
    epochs: np.ndarray
    outputs: np.ndarray
    scores: np.ndarray
    seconds: float

    def save(self, path: Path) -> None:
        """Write it to a safetensors file."""
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays["best"] = [astuple(chosen) for chosen in self.best]
        save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, path)

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read what :meth:`save` wrote."""
        with reading(path, "Result.save") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no dict)
            best = [Hyperparameters(*chosen) for chosen in arrays["best"].tolist()]
            return cls(**{**arrays, "best": best, "seconds": float(arrays["seconds"])})


def labels(task: Task, music: ClipDataset) -> dict[str, np.ndarray]:
    """What a task is to learn of every clip, by split; a ParameterError if the data lack it."""
    found = {}
    for name in SPLITS:
        clips = music.split(name)
        found[name] = clips.tags if task.name == "tagging" else clips.artists
        task.check(found[name], len(clips), name)
    return found


def run(
    task: Task,
    features: dict[str, np.ndarray],
    labels: dict[str, np.ndarray],
    settings: TrainingSettings,
    seed: int = 0,
) -> tuple[Result, Model]:
    """Search, train the runs and score them, on features and labels by split."""
    train, valid = ((features[name], labels[name]) for name in ("train", "valid"))
    started = time.perf_counter()
    # A search is a draw like any other: where each run has its own, their spread holds it.
    seeds = np.random.SeedSequence(seed).generate_state(settings.n_runs).tolist()
    searches = [search(task, train, valid, settings, seed=each) for each in seeds]
    best = [chosen for chosen, _ in searches]
    model = fit_runs(task, train, valid, best, settings, seed=seed)
    trials = [found.hyperparameters for _, found in searches]
    outputs = model.outputs(features["test"])
    result = Result(
        best=best,
        trial_scores=np.array([found.runs.scores for _, found in searches]),
        trial_rates=np.array([[trial.learning_rate for trial in some] for some in trials]),
        trial_decays=np.array([[trial.weight_decay for trial in some] for some in trials]),
        history=model.runs.history,
        valid_scores=model.runs.scores,
        epochs=model.runs.epochs,
        outputs=outputs,
        scores=task.score(labels["test"], outputs),
        seconds=time.perf_counter() - started,
    )
    return result, model
