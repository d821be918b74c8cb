"""Tag prediction (§4.2): an MLP on pooling windows, averaged over a clip, scored by AUC.

Features are ``(n_clips, n_pooling_windows, n_features)``, tags ``(n_clips, n_tags)`` bool.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from multiscale.config import ParameterError, TrainingSettings, select_device
from multiscale.training import (
    Hyperparameters,
    Parameters,
    Runs,
    best_trial,
    check_pooled,
    learning_rates,
    sample_hyperparameters,
    train,
)

LEARNING_RATES = (3e-3, 1e-1)
WEIGHT_DECAYS = (1e-6, 1e-2)
"""Ranges of the random search (open in the paper)."""


@dataclass
class TagModel:
    """MLPs trained side by side, with the scaling of their input.

    Attributes
    ----------
    runs : Runs
        Their parameters, validation scores and epochs.
    scaler : StandardScaler
        Fitted on the training windows.
    hyperparameters : list of Hyperparameters
        One per run.
    """

    runs: Runs
    scaler: StandardScaler
    hyperparameters: list[Hyperparameters]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Probability of each tag, averaged over the pooling windows of a clip (§4.2).

        Parameters
        ----------
        features : ndarray of shape (n_clips, n_pooling_windows, n_features)
            Pooled features.

        Returns
        -------
        ndarray of shape (n_runs, n_clips, n_tags), float32
            One prediction per run.
        """
        check_pooled(features, "features", self.scaler.n_features_in_)
        windows = _standardised(features, self.scaler)
        device = self.runs.parameters["hidden"].device
        return _predict(self.runs.parameters, windows.to(device), features.shape[1])


def fit_runs(
    train_features: np.ndarray,
    train_tags: np.ndarray,
    valid_features: np.ndarray,
    valid_tags: np.ndarray,
    hyperparameters: list[Hyperparameters],
    settings: TrainingSettings,
    *,
    seed: int = 0,
    device: str = "auto",
) -> TagModel:
    """Train MLPs side by side, one per entry of ``hyperparameters``.

    Parameters
    ----------
    train_features, valid_features : ndarray of shape (n_clips, n_pooling_windows, n_features)
        Pooled features.
    train_tags, valid_tags : ndarray of shape (n_clips, n_tags), bool
        Tags.
    hyperparameters : list of Hyperparameters
        One per run.
    settings : TrainingSettings
        Epochs, patience, optimiser and sizes.
    seed : int, default=0
        Of the initialisations and of the order of examples.
    device : str, default="auto"
        Torch device.

    Returns
    -------
    TagModel
        The trained runs.

    Raises
    ------
    ParameterError
        If shapes do not go together, or no tag can be scored on the validation clips.
    """
    check_pooled(train_features, "train features")
    check_pooled(valid_features, "valid features", train_features.shape[2])
    _check_tags(train_features, train_tags, "train")
    _check_tags(valid_features, valid_tags, "valid", train_tags.shape[1])
    chosen = select_device(device)
    scaler = StandardScaler(with_mean=settings.standardise, with_std=settings.standardise).fit(
        train_features.reshape(-1, train_features.shape[-1])
    )
    windows = _standardised(train_features, scaler).to(chosen)
    targets = torch.as_tensor(
        np.repeat(train_tags, train_features.shape[1], axis=0), dtype=torch.float32, device=chosen
    )
    valid_windows = _standardised(valid_features, scaler).to(chosen)

    def loss(parameters: Parameters, batch: torch.Tensor) -> torch.Tensor:
        logits = _logits(parameters, windows[batch])
        expected = targets[batch].expand_as(logits)
        entropy = F.binary_cross_entropy_with_logits(logits, expected, reduction="none")
        return entropy.sum(-1).mean(-1)

    def score(parameters: Parameters) -> np.ndarray:
        predictions = _predict(parameters, valid_windows, valid_features.shape[1])
        return run_scores(predictions, valid_tags)

    initial = _initial_parameters(
        len(hyperparameters), windows.shape[1], settings.n_hidden, targets.shape[1], seed
    )
    runs = train(
        {name: value.to(chosen) for name, value in initial.items()},
        loss,
        score,
        len(windows),
        hyperparameters,
        max_epochs=settings.max_epochs,
        patience=settings.patience,
        optimiser=settings.optimiser,
        seed=seed,
    )
    return TagModel(runs, scaler, hyperparameters)


def search(
    train_features: np.ndarray,
    train_tags: np.ndarray,
    valid_features: np.ndarray,
    valid_tags: np.ndarray,
    settings: TrainingSettings,
    *,
    seed: int = 0,
    device: str = "auto",
) -> tuple[Hyperparameters, TagModel]:
    """Random search of learning rate and weight decay on the validation set (§4.2).

    Parameters
    ----------
    train_features, train_tags, valid_features, valid_tags
        As :func:`fit_runs`.
    settings : TrainingSettings
        Trials, epochs and patience.
    seed, device
        As :func:`fit_runs`.

    Returns
    -------
    best : Hyperparameters
        Those with the highest validation AUC.
    model : TagModel
        All trials.
    """
    rates = learning_rates(settings, LEARNING_RATES)
    trials = sample_hyperparameters(settings.n_trials, rates, WEIGHT_DECAYS, seed)
    model = fit_runs(
        train_features,
        train_tags,
        valid_features,
        valid_tags,
        trials,
        settings,
        seed=seed,
        device=device,
    )
    return best_trial(model.runs, trials), model


class TagClassifier(ClassifierMixin, BaseEstimator):
    """The MLP of §4.2 as a scikit-learn classifier, to end a ``Pipeline``.

    Parameters
    ----------
    learning_rate : float, default=0.02
        Of the descent; see :func:`search` to choose it.
    weight_decay : float, default=1e-4
        Of the descent.
    n_hidden : int, default=1000
        Hidden units.
    max_epochs, patience : int, default=100 and 5
        A run stops after ``patience`` epochs without a better validation AUC.
    validation_fraction : float, default=0.1
        Share of the clips held out for early stopping.
    random_state : int, default=0
        Of the split, the initialisation and the order of examples.
    device : str, default="auto"
        Torch device.

    Attributes
    ----------
    model_ : TagModel
        The trained network.
    classes_ : list of ndarray
        For each tag, its two classes, as scikit-learn's multi-label classifiers have it.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 0.02,
        weight_decay: float = 1e-4,
        n_hidden: int = 1000,
        max_epochs: int = 100,
        patience: int = 5,
        validation_fraction: float = 0.1,
        random_state: int = 0,
        device: str = "auto",
    ):
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.n_hidden = n_hidden
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.device = device

    def fit(self, X: np.ndarray, y: np.ndarray) -> TagClassifier:
        """Train on features (n_clips, n_pooling_windows, n_features) and tags (n_clips, n_tags)."""
        if not 0 < self.validation_fraction < 1:
            raise ParameterError(
                "validation_fraction: expected a share between 0 and 1, "
                f"got {self.validation_fraction!r}"
            )
        X, y = np.asarray(X), np.asarray(y, bool)
        order = np.random.default_rng(self.random_state).permutation(len(X))
        held_out, rest = np.split(order, [max(1, round(self.validation_fraction * len(X)))])
        settings = TrainingSettings(
            max_epochs=self.max_epochs, patience=self.patience, n_hidden=self.n_hidden
        )
        self.model_ = fit_runs(
            X[rest],
            y[rest],
            X[held_out],
            y[held_out],
            [Hyperparameters(self.learning_rate, self.weight_decay)],
            settings,
            seed=self.random_state,
            device=self.device,
        )
        self.classes_ = [np.array([False, True])] * y.shape[1]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probability of each tag for each clip, shape (n_clips, n_tags)."""
        check_is_fitted(self)
        return self.model_.predict(np.asarray(X))[0]

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Tags more likely than not, shape (n_clips, n_tags), bool."""
        return self.predict_proba(X) > 0.5

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Mean AUC over the tags, as §4.2."""
        return mean_auc(np.asarray(y, bool), self.predict_proba(X))


def tag_auc(tags: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of every tag (§4.2).

    Parameters
    ----------
    tags : ndarray of shape (n_clips, n_tags), bool
        True tags.
    scores : ndarray of shape (..., n_clips, n_tags)
        Predictions, of one run or more.

    Returns
    -------
    ndarray of shape (..., n_tags)
        NaN for a tag that all clips carry, or none: no curve is defined.

    Notes
    -----
    The area is the share of the pairs of a clip with the tag and one without that are in the right
    order, and so follows from the ranks. All tags and runs at once, since early stopping asks for
    it after every epoch; equal to scikit-learn's ``roc_auc_score``.
    """
    n_with = tags.sum(axis=0)
    n_pairs = n_with * (len(tags) - n_with)
    ranks = rankdata(scores, axis=-2)
    right = np.where(tags, ranks, 0).sum(axis=-2) - n_with * (n_with + 1) / 2
    return np.where(n_pairs > 0, right / np.maximum(n_pairs, 1), np.nan)


def tag_average_precision(tags: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Average precision of every tag, of one run; arguments and result as :func:`tag_auc`."""
    values = np.full(tags.shape[1], np.nan)
    defined = np.flatnonzero(tags.any(axis=0) & ~tags.all(axis=0))
    if len(defined):
        values[defined] = average_precision_score(
            tags[:, defined], scores[:, defined], average=None
        )
    return values


def mean_auc(tags: np.ndarray, scores: np.ndarray) -> float:
    """Mean of :func:`tag_auc` over the tags that have one; NaN if a score is not finite."""
    return float(run_scores(scores[None], tags)[0])


def run_scores(predictions: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """Mean AUC of every run: predictions (n_runs, n_clips, n_tags) -> (n_runs,).

    Over the tags that have one; NaN for a run of which a prediction is not finite.
    """
    defined = tags.any(axis=0) & ~tags.all(axis=0)
    finite = np.isfinite(predictions).all(axis=(1, 2))
    if not defined.any():
        return np.full(len(predictions), np.nan)
    scores = np.where(finite[:, None, None], predictions, 0)
    return np.where(finite, tag_auc(tags, scores)[:, defined].mean(axis=1), np.nan)


def _initial_parameters(
    n_runs: int, n_inputs: int, n_hidden: int, n_tags: int, seed: int
) -> Parameters:
    """He's initialisation, a stream of its own for every run, so that runs can be added."""
    hidden, output = [], []
    for stream in np.random.SeedSequence(seed).spawn(n_runs):
        rng = np.random.default_rng(stream)
        hidden.append(rng.standard_normal((n_inputs, n_hidden), np.float32) * (2 / n_inputs) ** 0.5)
        output.append(rng.standard_normal((n_hidden, n_tags), np.float32) * (1 / n_hidden) ** 0.5)
    return {
        "hidden": torch.tensor(np.stack(hidden), dtype=torch.float32),
        "bias_hidden": torch.zeros(n_runs, 1, n_hidden),
        "output": torch.tensor(np.stack(output), dtype=torch.float32),
        "bias_output": torch.zeros(n_runs, 1, n_tags),
    }


def _logits(parameters: Parameters, windows: torch.Tensor) -> torch.Tensor:
    """(n_windows, n_features) -> (n_runs, n_windows, n_tags)."""
    # The windows are shared by the runs, not copied for each.
    shared = windows.expand(len(parameters["hidden"]), -1, -1)
    hidden = torch.baddbmm(parameters["bias_hidden"], shared, parameters["hidden"]).relu_()
    return torch.baddbmm(parameters["bias_output"], hidden, parameters["output"])


def _predict(
    parameters: Parameters, windows: torch.Tensor, n_pooling_windows: int, batch: int = 2048
) -> np.ndarray:
    with torch.no_grad():
        probabilities = torch.cat(
            [torch.sigmoid(_logits(parameters, some)) for some in windows.split(batch)], dim=1
        )
    by_clip = probabilities.unflatten(1, (-1, n_pooling_windows))
    return by_clip.mean(2).cpu().numpy()


def _standardised(features: np.ndarray, scaler: StandardScaler) -> torch.Tensor:
    windows = scaler.transform(features.reshape(-1, features.shape[-1]))
    return torch.as_tensor(windows, dtype=torch.float32)


def _check_tags(
    features: np.ndarray, tags: np.ndarray, split: str, n_tags: int | None = None
) -> None:
    if tags.ndim != 2 or len(tags) != len(features) or tags.shape[1] == 0:
        raise ParameterError(
            f"{split} tags: expected shape ({len(features)}, n_tags), got {tags.shape}"
        )
    if n_tags is not None and tags.shape[1] != n_tags:
        raise ParameterError(
            f"{split} tags: expected {n_tags} tags, as in train, got {tags.shape[1]}"
        )
    if split == "valid" and not (tags.any(axis=0) & ~tags.all(axis=0)).any():
        raise ParameterError(
            "valid tags: expected a tag that some clips carry and others do not, got none"
        )
