"""Similarity metric learning (§4.3): Neighbourhood Components Analysis to 50 dimensions.

A clip lies at the mean of its projected pooling windows. As the projection is linear, that is the
projection of their mean, so the model works on clip means, ``(n_clips, n_features)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

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

N_COMPONENTS = 50
"""Dimensions of the learned space (§4.3)."""

N_NEIGHBOURS = 10
"""Neighbours that retrieval precision looks at."""

BATCH_SIZE = 256
"""Clips per minibatch, which must hold neighbours (open in the paper)."""

LEARNING_RATES = (1e-3, 1e-1)
WEIGHT_DECAYS = (1e-6, 1e-2)
"""Ranges of the random search (open in the paper)."""


@dataclass
class SimilarityModel:
    """Linear projections trained side by side, with the scaling of their input.

    Attributes
    ----------
    runs : Runs
        Their parameters, validation scores and epochs.
    scaler : StandardScaler
        Fitted on the training clips.
    hyperparameters : list of Hyperparameters
        One per run.
    """

    runs: Runs
    scaler: StandardScaler
    hyperparameters: list[Hyperparameters]

    def embed(self, features: np.ndarray) -> np.ndarray:
        """Place clips in the learned space.

        Parameters
        ----------
        features : ndarray of shape (n_clips, n_pooling_windows, n_features)
            Pooled features.

        Returns
        -------
        ndarray of shape (n_runs, n_clips, n_components), float32
            One embedding per run.
        """
        check_pooled(features, "features", self.scaler.n_features_in_)
        projection = self.runs.parameters["projection"]
        means = _standardised_means(features, self.scaler).to(projection.device)
        return (means @ projection).cpu().numpy()


def fit_runs(
    train_features: np.ndarray,
    train_artists: np.ndarray,
    valid_features: np.ndarray,
    valid_artists: np.ndarray,
    hyperparameters: list[Hyperparameters],
    settings: TrainingSettings,
    *,
    seed: int = 0,
    n_components: int = N_COMPONENTS,
    device: str = "auto",
) -> SimilarityModel:
    """Train projections side by side, one per entry of ``hyperparameters``.

    Parameters
    ----------
    train_features, valid_features : ndarray of shape (n_clips, n_pooling_windows, n_features)
        Pooled features.
    train_artists, valid_artists : ndarray of shape (n_clips,)
        Artist of each clip. One that is None or NaN is unknown, and shared with no other clip.
    hyperparameters : list of Hyperparameters
        One per run.
    settings : TrainingSettings
        Epochs, patience, optimiser and sizes.
    seed : int, default=0
        Of the initialisations and of the order of clips.
    n_components : int, default=50
        Dimensions of the space.
    device : str, default="auto"
        Torch device.

    Returns
    -------
    SimilarityModel
        The trained runs.

    Raises
    ------
    ParameterError
        If shapes do not go together, or a split has no two clips of one artist.
    """
    check_pooled(train_features, "train features")
    check_pooled(valid_features, "valid features", train_features.shape[2])
    chosen = select_device(device)
    train_labels = _labels(train_features, train_artists, "train").to(chosen)
    valid_labels = _labels(valid_features, valid_artists, "valid").to(chosen)
    scaler = StandardScaler(with_mean=settings.standardise, with_std=settings.standardise).fit(
        train_features.mean(axis=1)
    )
    clips = _standardised_means(train_features, scaler).to(chosen)
    valid_clips = _standardised_means(valid_features, scaler).to(chosen)

    def loss(parameters: Parameters, batch: torch.Tensor) -> torch.Tensor:
        embedded = clips[batch] @ parameters["projection"]
        return -correct_probability(embedded, train_labels[batch]).mean(-1)

    def score(parameters: Parameters) -> np.ndarray:
        with torch.no_grad():
            embedded = valid_clips @ parameters["projection"]
            return mean_probability(embedded, valid_labels).cpu().numpy()

    initial = _initial_projection(len(hyperparameters), clips.shape[1], n_components, seed)
    runs = train(
        {"projection": initial.to(chosen)},
        loss,
        score,
        len(clips),
        hyperparameters,
        max_epochs=settings.max_epochs,
        patience=settings.patience,
        optimiser=settings.optimiser,
        seed=seed,
        batch_size=BATCH_SIZE,
    )
    return SimilarityModel(runs, scaler, hyperparameters)


def search(
    train_features: np.ndarray,
    train_artists: np.ndarray,
    valid_features: np.ndarray,
    valid_artists: np.ndarray,
    settings: TrainingSettings,
    *,
    seed: int = 0,
    n_components: int = N_COMPONENTS,
    device: str = "auto",
) -> tuple[Hyperparameters, SimilarityModel]:
    """Random search of learning rate and weight decay on the validation set.

    Parameters
    ----------
    train_features, train_artists, valid_features, valid_artists
        As :func:`fit_runs`.
    settings : TrainingSettings
        Trials, epochs and patience.
    seed, n_components, device
        As :func:`fit_runs`.

    Returns
    -------
    best : Hyperparameters
        Those with the highest validation probability.
    model : SimilarityModel
        All trials.
    """
    rates = learning_rates(settings, LEARNING_RATES)
    trials = sample_hyperparameters(settings.n_trials, rates, WEIGHT_DECAYS, seed)
    model = fit_runs(
        train_features,
        train_artists,
        valid_features,
        valid_artists,
        trials,
        settings,
        seed=seed,
        n_components=n_components,
        device=device,
    )
    return best_trial(model.runs, trials), model


def correct_probability(embedded: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
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
    squared = centred.square().sum(-1)
    distance = squared.unsqueeze(-1) + squared.unsqueeze(-2) - 2 * centred @ centred.mT
    itself = torch.eye(len(labels), dtype=torch.bool, device=embedded.device)
    # The lowest number, not -inf: a clip that is alone then has a probability, of 0.
    closeness = (-distance).masked_fill(itself, torch.finfo(distance.dtype).min)
    same = (labels[:, None] == labels[None, :]) & ~itself
    return (torch.softmax(closeness, dim=-1) * same).sum(-1)


def mean_probability(embedded: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean :func:`correct_probability` over the clips that have another of their artist.

    Parameters
    ----------
    embedded : Tensor of shape (..., n_clips, n_components)
        Places in the learned space.
    labels : Tensor of shape (n_clips,), int
        Artist of each clip.

    Returns
    -------
    Tensor of shape (...,)
        The score of §4.3. A clip whose artist has no other clip could not be right, and is left
        out (our choice); it still stands as a wrong neighbour for the others.
    """
    has_other = (labels[:, None] == labels[None, :]).sum(-1) > 1
    return correct_probability(embedded, labels)[..., has_other].mean(-1)


def clip_probability(embedded: np.ndarray, artists: np.ndarray) -> np.ndarray:
    """Probability of correct classification of every clip, one run.

    Parameters
    ----------
    embedded : ndarray of shape (n_clips, n_components)
        Places in the learned space.
    artists : ndarray of shape (n_clips,)
        Artist of each clip. One that is None or NaN is unknown, and shared with no other clip.

    Returns
    -------
    ndarray of shape (n_clips,), float64
        NaN for a clip whose artist has no other.
    """
    labels = _labels(embedded, artists, "scored")
    probability = correct_probability(torch.as_tensor(embedded, dtype=torch.float64), labels)
    return np.where(_has_other(labels), probability.numpy(), np.nan)


def artist_probability(embedded: np.ndarray, artists: np.ndarray) -> np.ndarray:
    """Score of §4.3 on a set of clips.

    Parameters
    ----------
    embedded : ndarray of shape (n_runs, n_clips, n_components)
        Places in the learned space.
    artists : ndarray of shape (n_clips,)
        As for :func:`clip_probability`.

    Returns
    -------
    ndarray of shape (n_runs,), float64
        Mean probability of correct classification, one clip left out at a time.
    """
    return np.array([np.nanmean(clip_probability(run, artists)) for run in embedded])


def clip_precision(
    embedded: np.ndarray, artists: np.ndarray, n_neighbours: int = N_NEIGHBOURS
) -> np.ndarray:
    """Share of every clip's nearest neighbours that are by its own artist, one run.

    Parameters
    ----------
    embedded : ndarray of shape (n_clips, n_components)
        Places in the learned space.
    artists : ndarray of shape (n_clips,)
        As for :func:`clip_probability`.
    n_neighbours : int, default=10
        Neighbours looked at; all others where there are fewer.

    Returns
    -------
    ndarray of shape (n_clips,), float64
        NaN for a clip whose artist has no other. An artist of k clips cannot exceed
        (k - 1) / n_neighbours.
    """
    labels = _labels(embedded, artists, "scored").numpy()
    searched = NearestNeighbors(n_neighbors=min(n_neighbours, len(labels) - 1)).fit(embedded)
    found = searched.kneighbors(return_distance=False)  # of its own clips: each leaves itself out
    precision = (labels[found] == labels[:, None]).mean(axis=1)
    return np.where(_has_other(labels), precision, np.nan)


def _initial_projection(n_runs: int, n_features: int, n_components: int, seed: int) -> torch.Tensor:
    """Normal, so small that the distances of standardised clips start at about 2."""
    width = (n_features * n_components) ** -0.5
    streams = np.random.SeedSequence(seed).spawn(n_runs)
    values = [
        np.random.default_rng(stream).standard_normal((n_features, n_components), np.float32)
        for stream in streams
    ]
    return torch.tensor(width * np.stack(values), dtype=torch.float32)


def _standardised_means(features: np.ndarray, scaler: StandardScaler) -> torch.Tensor:
    return torch.as_tensor(scaler.transform(features.mean(axis=1)), dtype=torch.float32)


def _labels(clips: np.ndarray, artists: np.ndarray, split: str) -> torch.Tensor:
    if len(clips) != len(artists):
        raise ParameterError(
            f"{split} artists: expected one for each of {len(clips)} clips, got {len(artists)}"
        )
    artists = np.asarray(artists, object)
    unknown = pd.isna(artists)
    labels = len(artists) + np.arange(len(artists))  # one of its own for every unknown artist
    labels[~unknown] = np.unique(artists[~unknown].astype(str), return_inverse=True)[1]
    counts = np.unique(labels, return_counts=True)[1]
    if not (counts > 1).any():
        raise ParameterError(
            f"{split} artists: expected an artist with two clips or more, got {len(counts)} "
            f"artists for {len(clips)} clips"
        )
    return torch.as_tensor(labels)


def _has_other(labels: np.ndarray | torch.Tensor) -> np.ndarray:
    """Whether each clip's artist has another clip."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return counts[place] > 1
