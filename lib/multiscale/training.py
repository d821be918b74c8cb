"""One protocol for both tasks: standardise, search, train runs side by side (§4.2, §4.3).

What tag prediction and similarity do not share is a :class:`Task`; the descent is
:func:`multiscale.descent.train`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Protocol

import numpy as np
import torch
from pydantic import Field, InstanceOf
from safetensors import SafetensorError
from safetensors.torch import save_file
from sklearn.base import BaseEstimator
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_array, gen_batches
from sklearn.utils.validation import check_is_fitted

from multiscale import config, descent
from multiscale.config import ParameterError, TrainingSettings, select_device
from multiscale.descent import (
    BATCH_SIZE,
    Hyperparameters,
    Parameters,
    Runs,
    sample_hyperparameters,
)
from multiscale.identity import reading

UNSCALED_RATES = (1e-4, 3e-3)
"""Learning rates to search for features as they are: their squares are far from 1."""

ADAM_RATES = (1e-4, 3e-3)
"""Learning rates to search with Adam, whose steps have a size of their own."""

DESCENT = {"max_epochs", "patience", "patience_steps", "averaging", "clipping", "optimiser"}
"""Settings of :func:`multiscale.descent.train`."""

N_DRAWS = 100
"""Draws of the clips held out, until one of them can be scored: few clips may share no tag."""

Split = tuple[np.ndarray, np.ndarray]
"""Features (n_clips, n_pooling_windows, n_features), and tags (n_clips, n_tags) or artists."""


class Task(Protocol):
    """What runs are trained for; ``x`` are standardised rows of features, ``y`` their targets."""

    name: str  # of its module, too
    learning_rates: tuple[float, float]  # of the random search
    weight_decays: tuple[float, float]
    batch_size: int = BATCH_SIZE
    projection: str = ""  # the parameter that projects x, if nothing else looks at x

    def inputs(self, features: np.ndarray) -> np.ndarray:
        """(n_clips, n_pooling_windows, n_features) -> (n_rows, n_features)."""

    def check(self, labels: np.ndarray, n_clips: int, split: str) -> np.ndarray:
        """Labels as an array; a ParameterError for those that cannot be learned or scored."""

    def targets(self, labels: np.ndarray, n_pooling_windows: int) -> torch.Tensor:
        """Labels of the clips -> (n_rows, ...), as the loss takes them."""

    def initial(
        self, x: torch.Tensor, y: torch.Tensor, n_runs: int, settings: TrainingSettings, seed: int
    ) -> Parameters:
        """Where the descent starts, each (n_runs, ...); all values of ``x`` are ``x[:]``."""

    def loss(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Loss of a minibatch, (n_runs,)."""

    def outputs(
        self, parameters: Parameters, x: torch.Tensor, n_pooling_windows: int
    ) -> torch.Tensor:
        """Tag probabilities, or places in the learned space, (n_runs, n_clips, n_outputs)."""

    def score(self, y_true: np.ndarray, outputs: np.ndarray | torch.Tensor) -> np.ndarray:
        """How well these go with the labels, (n_runs,); higher is better."""


@dataclass
class Model:
    """Runs trained side by side, with the scaling of their input.

    Attributes
    ----------
    task : Task
        What they were trained for.
    runs : Runs
        Their parameters, validation scores and epochs.
    scaler : StandardScaler
        Fitted on the training rows.
    hyperparameters : list of Hyperparameters
        One per run.
    """

    task: Task
    runs: Runs
    scaler: StandardScaler
    hyperparameters: list[Hyperparameters]

    def outputs(self, features: np.ndarray) -> np.ndarray:
        """Tag probabilities, or places in the learned space, (n_runs, n_clips, n_outputs)."""
        features = _pooled(features, "features", self.scaler.n_features_in_)
        device = next(iter(self.runs.parameters.values())).device
        x = _Rows(self.task.inputs(features), self.scaler, device)[:]
        return self.task.outputs(self.runs.parameters, x, features.shape[1]).cpu().numpy()

    def weights(self, run: int = 0) -> dict[str, np.ndarray]:
        """Parameters of one run by name, float64, to compute with by hand."""
        return {n: value[run].cpu().double().numpy() for n, value in self.runs.parameters.items()}

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, without pickle."""
        runs = vars(self.runs)
        scaler = {n: value for n, value in vars(self.scaler).items() if n.endswith("_")}
        tensors = {
            **{f"parameters.{n}": v.cpu().contiguous() for n, v in self.runs.parameters.items()},
            **{f"runs.{n}": torch.as_tensor(runs[n]) for n in ("scores", "epochs", "history")},
            **{f"scaler.{n}": torch.as_tensor(v) for n, v in scaler.items() if v is not None},
        }
        metadata = {
            "task": self.task.name,
            "hyperparameters": json.dumps([asdict(chosen) for chosen in self.hyperparameters]),
            "scaling": json.dumps(self.scaler.get_params()),
        }
        with config.named(path, (SafetensorError,)):
            save_file(tensors, Path(path), metadata=metadata)

    @classmethod
    def load(cls, path: str | Path) -> Model:
        """Read what :meth:`save` wrote, to the CPU."""
        with reading(path, "Model.save", "pt") as file:
            metadata = file.metadata() or {}
            if metadata["task"] not in ("tagging", "similarity"):
                raise ValueError(f"task {metadata['task']!r}")
            parts: dict[str, dict] = {"parameters": {}, "runs": {}, "scaler": {}}
            for key in file.keys():  # noqa: SIM118  (no dict)
                part, name = key.split(".")
                parts[part][name] = file.get_tensor(key)
            scaler = StandardScaler(**json.loads(metadata["scaling"]))
            for name, value in parts["scaler"].items():
                setattr(scaler, name, value.numpy() if value.ndim else value.item())
            runs = Runs(parts["parameters"], **{n: v.numpy() for n, v in parts["runs"].items()})
            found = json.loads(metadata["hyperparameters"])
            chosen = [Hyperparameters(**values) for values in found]
        # By name: the modules of the tasks import this one.
        task = getattr(import_module(f"multiscale.{metadata['task']}"), metadata["task"].upper())
        return cls(task, runs, scaler, chosen)


def search(
    task: Task,
    train: Split,
    valid: Split,
    settings: TrainingSettings,
    *,
    seed: int = 0,
    device: str = "auto",
) -> tuple[Hyperparameters, Model]:
    """Random search of learning rate and weight decay on the validation set (§4.2).

    Trials are trained side by side, and the worse half given up again and again. Arguments are
    those of :func:`fit_runs`; gives the hyperparameters with the highest validation score, and the
    model of all trials. A ParameterError if no trial has a finite score.
    """
    rates = task.learning_rates if settings.standardise else UNSCALED_RATES
    if settings.optimiser == "adam":
        rates = ADAM_RATES
    trials = sample_hyperparameters(settings.n_trials, rates, task.weight_decays, seed)
    model = fit_runs(task, train, valid, trials, settings, seed=seed, device=device, halving=True)
    if not np.isfinite(model.runs.scores).any():
        raise ParameterError(
            f"random search: expected a finite score, got none from {len(trials)} trials"
        )
    return trials[int(np.nanargmax(model.runs.scores))], model


def fit_runs(
    task: Task,
    train: Split,
    valid: Split,
    hyperparameters: Annotated[list[InstanceOf[Hyperparameters]], Field(min_length=1)],
    settings: TrainingSettings,
    *,
    seed: config.Natural = 0,
    device: config.Device = "auto",
    halving: bool = False,
) -> Model:
    """Train runs side by side, one per entry of ``hyperparameters``.

    Parameters
    ----------
    task : Task
        ``tagging.TAGGING`` or ``similarity.SIMILARITY``.
    train, valid : (ndarray, ndarray)
        Features (n_clips, n_pooling_windows, n_features), and tags (n_clips, n_tags) or artists
        (n_clips,) of these clips.
    hyperparameters : list of Hyperparameters
        One per run.
    settings : TrainingSettings
        Epochs, patience, optimiser and sizes.
    seed : int, default=0
        Of the initialisations and of the order of examples.
    device : str, default="auto"
        Torch device.
    halving : bool, default=False
        Whether the worse half of the runs ends early, again and again, as in a search.

    Returns
    -------
    Model
        The trained runs.

    Raises
    ------
    ParameterError
        If a parameter is out of range, values are not finite, shapes do not go together, or the
        task cannot be learned from these labels.
    """
    given = {"hyperparameters": hyperparameters, "settings": settings, "seed": seed}
    config.check_parameters(fit_runs, {**given, "device": device})
    (features, labels), (held_out, y_true) = train, valid
    features = _pooled(features, "train features")
    held_out = _pooled(held_out, "valid features", features.shape[2])
    labels = task.check(labels, len(features), "train")
    y_true = task.check(y_true, len(held_out), "valid")
    if labels.shape[1:] != y_true.shape[1:]:
        expected = (len(y_true), *labels.shape[1:])
        raise ParameterError(f"valid labels: expected {expected} as in train, got {y_true.shape}")
    chosen = select_device(device)
    rows, rows_valid = task.inputs(features), task.inputs(held_out)
    scaler = StandardScaler(with_mean=settings.standardise, with_std=settings.standardise)
    for some in gen_batches(len(rows), 4096):  # of all at once it would make copies in float64
        scaler.partial_fit(rows[some])
    x, x_valid, basis = _Rows(rows, scaler, chosen), _Rows(rows_valid, scaler, chosen)[:], None
    if task.projection and len(x) < x.shape[1]:
        # Gradients lie in the span of x, which has fewer dimensions. What the projection does
        # beside it would be as it began: noise, which only clips not trained on could see.
        x = x[:]
        basis = torch.linalg.qr(x.T).Q  # (n_features, n_rows)
        x, x_valid = x @ basis, x_valid @ basis
    y = task.targets(labels, features.shape[1]).to(chosen)
    initial = task.initial(x, y, len(hyperparameters), settings, seed)
    runs = descent.train(
        {name: value.to(chosen) for name, value in initial.items()},
        lambda values, batch: task.loss(values, x[batch], y[batch]),
        lambda values: task.score(y_true, task.outputs(values, x_valid, held_out.shape[1])),
        len(x),
        hyperparameters,
        seed=seed,
        batch_size=task.batch_size,
        halving=halving,
        **settings.model_dump(include=DESCENT),
    )
    if basis is not None:
        runs.parameters[task.projection] = basis @ runs.parameters[task.projection]
    return Model(task, runs, scaler, hyperparameters)


@dataclass(kw_only=True, eq=False, repr=False)
class EarlyStopped(BaseEstimator):
    """What the scikit-learn estimators of both tasks share: one run, stopped on clips held out."""

    learning_rate: config.Positive
    weight_decay: config.NotNegative
    n_trials: config.Count = 1
    max_epochs: config.Count = 1000
    patience: config.Count = 5
    validation_fraction: config.Share = 0.1
    random_state: config.RandomState = 0
    device: config.Device = "auto"

    def _fit(
        self, task: Task, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None, **sizes: int
    ) -> None:
        config.check_parameters(type(self), self.get_params(deep=False))
        X = _pooled(X, "X")
        y = task.check(y, len(X), "y:")
        settings = TrainingSettings(
            n_trials=self.n_trials, max_epochs=self.max_epochs, patience=self.patience, **sizes
        )
        groups = np.arange(len(X)) if groups is None else groups
        seed = config.as_seed(self.random_state)
        train, valid = ((X[some], y[some]) for some in self._held_out(task, y, groups, seed))
        best = Hyperparameters(self.learning_rate, self.weight_decay)
        how = {"seed": seed, "device": self.device}
        if self.n_trials > 1:
            best, _ = search(task, train, valid, settings, **how)
        model = fit_runs(task, train, valid, [best], settings, **how)
        if not np.isfinite(model.runs.scores).all():
            raise ParameterError(f"learning_rate: expected a finite score, got none with {best}")
        self.best_, self.model_, self.n_features_in_ = best, model, X.shape[2]

    def _held_out(self, task: Task, y: np.ndarray, groups: np.ndarray, seed: int) -> Split:
        """Clips to train on and clips held out, both such that they can be learned and scored."""
        with config.named("groups"):
            groups = check_array(groups, ensure_2d=False, dtype=None)
            n_groups = len(np.unique(groups))
        if n_groups < 2 or groups.shape != y.shape[:1]:
            raise ParameterError(
                f"groups: expected one for each of {len(y)} clips, and two or more in all, "
                f"got shape {groups.shape}"
            )
        splitter = GroupShuffleSplit(N_DRAWS, test_size=self.validation_fraction, random_state=seed)
        with config.named("validation_fraction"):
            for split in splitter.split(y, groups=groups):
                try:
                    for some, name in zip(split, ("train", "valid"), strict=True):
                        task.check(y[some], len(some), name)
                except ParameterError as error:
                    refused = error
                else:
                    return split
            raise refused

    def _outputs(self, X: np.ndarray) -> np.ndarray:
        check_is_fitted(self)
        return self.model_.outputs(_pooled(X, "X", self.n_features_in_))[0]


def streams(seed: int, n_runs: int) -> list[np.random.Generator]:
    """A stream of its own for every run, so that runs can be added."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(n_runs)]


class _Rows:
    """Rows of features, standardised when they are asked for.

    There may be gigabytes of them, and a standardised copy would take as much memory again.
    """

    def __init__(self, rows: np.ndarray, scaler: StandardScaler, device: torch.device):
        self.rows, self.shape = torch.as_tensor(rows, device=device), rows.shape
        scaling = (scaler.mean_, scaler.scale_) if scaler.with_std else (0.0, 1.0)
        self.mean, self.scale = (self.rows.new_tensor(part) for part in scaling)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, some: slice | torch.Tensor) -> torch.Tensor:
        return (self.rows[some] - self.mean).div_(self.scale).float()


def _pooled(features: np.ndarray, name: str, n_features: int | str = "n_features") -> np.ndarray:
    """Refuse what is not the pooled features of clips."""
    axes = "n_clips", "n_pooling_windows", n_features
    return config.check_numbers(name, features, *axes, dtype=(np.float64, np.float32))
