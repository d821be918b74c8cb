"""Tag prediction (§4.2): an MLP on pooling windows, averaged over a clip, scored by AUC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from sklearn.base import ClassifierMixin

from multiscale import config
from multiscale.config import ParameterError, TrainingSettings
from multiscale.training import EarlyStopped, Parameters, Split, Task, streams


class _TagPrediction(Task):
    """Windows are the rows, (n_clips * n_pooling_windows, n_features); labels are tags."""

    name = "tagging"
    learning_rates = (5e-3, 1e-1)
    weight_decays = (1e-2, 3e-1)

    def inputs(self, features: np.ndarray) -> np.ndarray:
        return features.reshape(-1, features.shape[-1])

    def check(self, labels: np.ndarray, n_clips: int, split: str) -> np.ndarray:
        tags = as_tags(labels, f"{split} tags", n_clips)
        if not _defined(tags).any():
            raise ParameterError(
                f"{split} tags: expected a tag that some clips carry and others do not, "
                f"got none among {n_clips} clips"
            )
        return tags

    def targets(self, labels: np.ndarray, n_pooling_windows: int) -> torch.Tensor:
        return torch.as_tensor(labels.repeat(n_pooling_windows, axis=0), dtype=torch.float32)

    def initial(
        self, x: torch.Tensor, y: torch.Tensor, n_runs: int, settings: TrainingSettings, seed: int
    ) -> Parameters:
        """He's initialisation of the hidden layer; the output starts at variance 1 / n_hidden."""
        n_inputs, n_hidden, n_tags = x.shape[1], settings.n_hidden, y.shape[1]
        hidden, output = [], []
        for rng in streams(seed, n_runs):
            hidden.append(rng.standard_normal((n_inputs, n_hidden), np.float32))
            output.append(rng.standard_normal((n_hidden, n_tags), np.float32))
        return {
            "hidden": torch.tensor(np.stack(hidden) * np.float32((2 / n_inputs) ** 0.5)),
            "bias_hidden": torch.zeros(n_runs, 1, n_hidden),
            "output": torch.tensor(np.stack(output) * np.float32((1 / n_hidden) ** 0.5)),
            "bias_output": torch.zeros(n_runs, 1, n_tags),
        }

    def logits(self, parameters: Parameters, x: torch.Tensor) -> torch.Tensor:
        # The windows are shared by the runs, not copied for each.
        shared = x.expand(len(parameters["hidden"]), -1, -1)  # (n_runs, n_windows, n_features)
        hidden = torch.baddbmm(parameters["bias_hidden"], shared, parameters["hidden"]).relu_()
        return torch.baddbmm(parameters["bias_output"], hidden, parameters["output"])

    def loss(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Cross-entropy, summed over the tags."""
        logits = self.logits(parameters, x)  # (n_runs, n_windows, n_tags)
        entropy = F.binary_cross_entropy_with_logits(logits, y.expand_as(logits), reduction="none")
        return entropy.sum(-1).mean(-1)

    @torch.no_grad()
    def outputs(
        self, parameters: Parameters, x: torch.Tensor, n_pooling_windows: int
    ) -> torch.Tensor:
        probabilities = [torch.sigmoid(self.logits(parameters, some)) for some in x.split(2048)]
        return torch.cat(probabilities, dim=1).unflatten(1, (-1, n_pooling_windows)).mean(2)

    def score(self, y_true: np.ndarray, outputs: np.ndarray | torch.Tensor) -> np.ndarray:
        return run_scores(y_true, torch.as_tensor(outputs).cpu().numpy())


TAGGING = _TagPrediction()
"""The task of §4.2."""


@dataclass(kw_only=True, eq=False, repr=False)
class TagClassifier(ClassifierMixin, EarlyStopped):
    """The MLP of §4.2 as a scikit-learn classifier, to end a ``Pipeline``.

    Parameters
    ----------
    learning_rate, weight_decay : float, default=0.03 and 0.1
        Of the descent: what a search finds for a few hundred clips.
    n_trials : int, default=1
        More than one: search them, as :func:`multiscale.training.search` does, with so many
        trials.
    n_hidden : int, default=1000
        Hidden units.
    max_epochs, patience : int, default=1000 and 5
        The run stops after ``patience`` epochs, and 200 steps, without a better validation AUC.
    validation_fraction : float, default=0.1
        Share of the clips held out for early stopping.
    random_state : int, RandomState or None, default=0
        Of the clips held out, the initialisation and the order of examples.
    device : str, default="auto"
        Torch device.

    Attributes
    ----------
    best_ : Hyperparameters
        Learning rate and weight decay that it was trained with.
    model_ : Model
        The trained network.
    classes_ : list of ndarray
        For each tag, its two classes, as scikit-learn's multi-label classifiers have it.
    """

    learning_rate: config.Positive = 0.03
    weight_decay: config.NotNegative = 0.1
    n_hidden: config.Count = 1000

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> TagClassifier:
        """Train on features (n_clips, n_pooling_windows, n_features) and tags (n_clips, n_tags).

        With ``groups`` (n_clips,), such as the track each clip was cut from, whole groups are held
        out: clips of a track are so alike that one tells little of how well another is predicted.
        """
        self._fit(TAGGING, X, y, groups, n_hidden=self.n_hidden)
        self.classes_ = [np.array([False, True])] * np.shape(y)[1]
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probability of each tag for each clip, shape (n_clips, n_tags)."""
        return self._outputs(X)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Tags more likely than not, shape (n_clips, n_tags), bool."""
        return self.predict_proba(X) > 0.5

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Mean AUC over the tags, as §4.2."""
        scores = self.predict_proba(X)
        return mean_auc(as_tags(y, "y", *scores.shape), scores)


def tag_auc(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of every tag (§4.2).

    Parameters
    ----------
    y_true : array-like of shape (n_clips, n_tags)
        True tags: booleans, or 0 and 1.
    y_score : array-like of shape (..., n_clips, n_tags)
        Predictions, of one run or more.

    Returns
    -------
    ndarray of shape (..., n_tags)
        NaN for a tag that all clips carry, or none: no curve is defined.

    Raises
    ------
    ParameterError
        If these are no tags, or shapes do not go together.

    Notes
    -----
    The area is the share of the pairs of a clip with the tag and one without that are in the right
    order, and so follows from the ranks. All tags and runs at once, since early stopping asks for
    it after every epoch; equal to scikit-learn's ``roc_auc_score``.
    """
    return _tag_auc(*_checked(y_true, y_score, ...))


def _tag_auc(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    n_with = y_true.sum(axis=0)
    n_pairs = n_with * (len(y_true) - n_with)
    ranks = rankdata(y_score, axis=-2)
    right = np.where(y_true, ranks, 0).sum(axis=-2) - n_with * (n_with + 1) / 2
    return np.where(n_pairs > 0, right / np.maximum(n_pairs, 1), np.nan)


def tag_average_precision(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """Average precision of every tag; arguments and result as :func:`tag_auc`.

    Of each clip with the tag: the share that carries it among the clips that score as high or
    higher; equal to scikit-learn's ``average_precision_score``, for all tags and runs at once.
    """
    y_true, y_score = _checked(y_true, y_score, ...)
    highest_first = np.argsort(-y_score, axis=-2)
    n_right = np.take_along_axis(np.broadcast_to(y_true, y_score.shape), highest_first, -2)
    n_as_high = rankdata(-y_score, "max", axis=-2)  # equal scores come together
    place = np.nan_to_num(n_as_high, nan=1).astype(int) - 1
    precision = np.take_along_axis(n_right.cumsum(axis=-2), place, -2) / n_as_high
    n_with = np.where(_defined(y_true), y_true.sum(axis=0), np.nan)
    return np.where(y_true, precision, 0).sum(axis=-2) / n_with


def mean_auc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    """Mean of :func:`tag_auc` over the tags that have one; NaN if a score is not finite."""
    y_true, y_score = _checked(y_true, y_score)
    return float(run_scores(y_true, y_score[None])[0])


def run_scores(y_true: np.ndarray, y_score: np.ndarray) -> np.ndarray:
    """:func:`mean_auc` of every run: (n_runs, n_clips, n_tags) -> (n_runs,)."""
    finite, defined = np.isfinite(y_score).all(axis=(1, 2)), _defined(y_true)
    if not defined.any():
        return np.full(len(y_score), np.nan)
    aucs = _tag_auc(y_true, np.where(finite[:, None, None], y_score, 0))
    return np.where(finite, aucs[:, defined].mean(axis=1), np.nan)


def as_tags(
    values: np.ndarray,
    name: str = "y_true",
    n_clips: int | str = "n_clips",
    n_tags: int | str = "n_tags",
) -> np.ndarray:
    """Array-like tags as booleans, (n_clips, n_tags); what are no tags is a ParameterError."""
    tags = config.check_numbers(name, values, n_clips, n_tags)
    if not np.isin(tags, (False, True)).all():
        raise ParameterError(f"{name}: expected True or False, got other {tags.dtype} values")
    return tags.astype(bool)


def _checked(y_true: np.ndarray, y_score: np.ndarray, *runs: object) -> Split:
    y_true = as_tags(y_true)
    return y_true, config.check_numbers("y_score", y_score, *runs, *y_true.shape, finite=False)


def _defined(y_true: np.ndarray) -> np.ndarray:
    """Tags that some clips carry and others do not."""
    return y_true.any(axis=0) & ~y_true.all(axis=0)
