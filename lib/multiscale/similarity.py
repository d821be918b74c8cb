"""Similarity metric learning (§4.3): Neighbourhood Components Analysis to 50 dimensions.

A clip lies at the mean of its projected pooling windows. As the projection is linear, that is the
projection of their mean, so the model works on clip means, ``(n_clips, n_features)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.base import TransformerMixin

from multiscale import config
from multiscale.config import ParameterError, TrainingSettings
from multiscale.training import EarlyStopped, Parameters, Task, streams

N_COMPONENTS = 50
"""Dimensions of the learned space (§4.3)."""


@dataclass(frozen=True)
class _ArtistSimilarity(Task):
    """Clip means are the rows; a label is the artist, unknown where it is None or NaN."""

    n_components: int = N_COMPONENTS
    batch_size: int = 256  # clips, which must hold neighbours (open in the paper)
    name = "similarity"
    projection = "projection"
    # Higher rates begin faster, so that halving would keep them, but end worse.
    learning_rates = (3e-3, 3e-2)
    weight_decays = (1e-5, 1e-2)

    def inputs(self, features: np.ndarray) -> np.ndarray:
        return features.mean(axis=1)

    def check(self, labels: np.ndarray, n_clips: int, split: str) -> np.ndarray:
        with config.named(f"{split} artists"):
            labels = np.asarray(labels, object)
        if labels.shape != (n_clips,) or not all(map(pd.api.types.is_scalar, labels)):
            raise ParameterError(
                f"{split} artists: expected one for each of {n_clips} clips, got shape "
                f"{labels.shape}"
            )
        n_artists = len(np.unique(artist_numbers(labels)))
        if n_artists == n_clips:
            raise ParameterError(
                f"{split} artists: expected an artist with two clips or more, got {n_artists} "
                f"artists for {n_clips} clips"
            )
        return labels

    def targets(self, labels: np.ndarray, n_pooling_windows: int) -> torch.Tensor:
        return torch.as_tensor(artist_numbers(labels))

    def initial(
        self, x: torch.Tensor, y: torch.Tensor, n_runs: int, settings: TrainingSettings, seed: int
    ) -> Parameters:
        """Normal, so small that the squared distances of two clips start at about 2."""
        shape = (x.shape[1], self.n_components)
        values = [rng.standard_normal(shape, np.float32) for rng in streams(seed, n_runs)]
        width = (self.n_components * x[:].square().sum(1).mean().cpu().clamp(min=1e-12)) ** -0.5
        return {"projection": width * torch.tensor(np.stack(values))}

    def loss(self, parameters: Parameters, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -nca_probabilities(self.outputs(parameters, x, 1), y).mean(-1)

    def outputs(
        self, parameters: Parameters, x: torch.Tensor, n_pooling_windows: int
    ) -> torch.Tensor:
        # The runs share the clips, so that one product serves them all.
        n_runs, n_features, n_components = parameters["projection"].shape
        side_by_side = parameters["projection"].transpose(0, 1).reshape(n_features, -1)
        return (x @ side_by_side).unflatten(1, (n_runs, n_components)).transpose(0, 1)

    def score(self, y_true: np.ndarray, outputs: np.ndarray | torch.Tensor) -> np.ndarray:
        return nca_score(y_true, outputs)


SIMILARITY = _ArtistSimilarity()
"""The task of §4.3."""


@dataclass(kw_only=True, eq=False, repr=False)
class NCA(TransformerMixin, EarlyStopped):
    """The projection of §4.3 as a scikit-learn transformer, to end a ``Pipeline``.

    Parameters
    ----------
    n_components : int, default=50
        Dimensions of the learned space.
    learning_rate, weight_decay : float, default=0.02 and 0.001
        Of the descent, for small data.
    n_trials, max_epochs, patience, validation_fraction, random_state, device
        As :class:`multiscale.tagging.TagClassifier`.

    Attributes
    ----------
    best_ : Hyperparameters
        Learning rate and weight decay that it was trained with.
    model_ : Model
        The trained projection.
    """

    learning_rate: config.Positive = 0.02
    weight_decay: config.NotNegative = 0.001
    n_components: config.Count = N_COMPONENTS

    def fit(self, X: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None) -> NCA:
        """Train on features (n_clips, n_pooling_windows, n_features) and artists (n_clips,).

        ``groups`` as in :meth:`multiscale.tagging.TagClassifier.fit`.
        """
        self._fit(_ArtistSimilarity(self.n_components), X, y, groups)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Places in the learned space, shape (n_clips, n_components)."""
        return self._outputs(X)

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        """Mean probability that a clip picks a neighbour of its artist, as §4.3."""
        places = self.transform(X)
        return float(nca_score(SIMILARITY.check(y, len(places), "y:"), places[None])[0])


def nca_probabilities(embedded: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    r"""Probability that each clip picks a neighbour of its own artist (NCA, §4.3).

    .. math:: p_i = \sum_{j \ne i,\; c_j = c_i}
        \frac{\exp(-\|z_i - z_j\|^2)}{\sum_{k \ne i} \exp(-\|z_i - z_k\|^2)}

    Parameters
    ----------
    embedded : Tensor of shape (..., n_clips, n_components)
        Places in the learned space.
    labels : Tensor of shape (n_clips,), int
        Artist of each clip.

    Returns
    -------
    Tensor of shape (..., n_clips)
        Between 0 and 1; 0 for a clip whose artist has no other.
    """
    # Only distances count: about the origin, squares are small, and rounding with them.
    centred = embedded - embedded.mean(-2, keepdim=True)
    # Less |z_i|^2, which is the same for all neighbours of a clip, so that softmax drops it.
    closeness = (2 * centred) @ centred.mT - centred.square().sum(-1).unsqueeze(-2)
    itself = torch.eye(len(labels), dtype=torch.bool, device=embedded.device)
    # The lowest number, not -inf: a clip that is alone then has a probability, of 0.
    closeness = closeness.masked_fill(itself, torch.finfo(closeness.dtype).min)
    same = (labels[:, None] == labels[None, :]) & ~itself
    return (torch.softmax(closeness, dim=-1) * same).sum(-1)  # (..., n_clips)


def clip_probabilities(embedded: np.ndarray, artists: np.ndarray) -> np.ndarray:
    """:func:`nca_probabilities` of one run in float64; NaN where the artist has no other clip."""
    embedded = config.check_numbers("embedded", embedded, "n_clips", "n_components", dtype=float)
    SIMILARITY.check(artists, len(embedded), "scored")
    labels = artist_numbers(artists)
    return np.where(_has_other(labels), _probabilities(embedded, labels), np.nan)


def nca_score(y_true: np.ndarray, embedded: np.ndarray | torch.Tensor) -> np.ndarray:
    """Mean probability of correct classification of every run (§4.3), (n_runs,).

    Of embeddings (n_runs, n_clips, n_components), one clip left out at a time. A clip whose artist
    has no other clip, or is unknown (None or NaN), could not be right, and is left out (our
    choice); it still stands as a wrong neighbour for the others.
    """
    if not torch.is_tensor(embedded):
        axes = "n_runs", "n_clips", "n_components"
        embedded = config.check_numbers("embedded", embedded, *axes, dtype=float, finite=False)
    SIMILARITY.check(y_true, embedded.shape[1], "y_true:")
    labels = artist_numbers(y_true)
    return np.array([_probabilities(run, labels)[_has_other(labels)].mean() for run in embedded])


def _probabilities(embedded: np.ndarray | torch.Tensor, labels: np.ndarray) -> np.ndarray:
    # A tensor is scored as it is, after every epoch; an array, once, with all the digits.
    places = embedded if torch.is_tensor(embedded) else torch.tensor(embedded)
    right = nca_probabilities(places, torch.as_tensor(labels, device=places.device))
    return right.double().cpu().numpy()


def _has_other(labels: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return counts[place] > 1


def artist_numbers(artists: np.ndarray) -> np.ndarray:
    """A number for each clip's artist, (n_clips,), one of its own where the artist is unknown."""
    artists = np.asarray(artists, object)
    unknown = pd.isna(artists)
    numbers = len(artists) + np.arange(len(artists))
    numbers[~unknown] = np.unique(artists[~unknown].astype(str), return_inverse=True)[1]
    return numbers
