"""Feature learning architectures (§3, §4.2), and what a profile learns and extracts with one.

Dictionaries, and the features of a shard of clips, are artefacts of the store, each under a key of
its own: they are computed once, and those of one representation in one pass over the audio.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field
from safetensors.numpy import load_file

from multiscale import datasets, store
from multiscale.config import (
    DICTIONARIES,
    SCALES,
    WINDOW_LENGTHS,
    DatasetSettings,
    Dictionary,
    ParameterError,
    Profile,
    Scale,
    Settings,
    SpectrogramSettings,
    check_architecture,
)
from multiscale.datasets import SPLITS, ClipDataset
from multiscale.features import MultiscaleFeatures, fit_together, transform_together

SHARD = 256
"""Clips whose features are extracted, and stored, together."""


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
    iteration_factor: int = Field(1, ge=1, description="times the profile's K-means iterations")
    draw: int = Field(0, ge=0, description="of the windows sampled and of the initial means")

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


ARCHITECTURES = tuple(
    Architecture(scale=scale, window_length=length, dictionary=dictionary)
    for scale in SCALES
    for length in WINDOW_LENGTHS[scale]
    for dictionary in DICTIONARIES
)
"""The 28 architectures of §4.2."""

PAPERS_BEST = Architecture(scale="laplacian", window_length=1, dictionary=500)
"""The best for tags (§5.1), and what Figure 6 is drawn from (§5.2)."""

SIMILARITY_BEST = Architecture(scale="gaussian", window_length=2, dictionary=500)
"""The best for similarity (§5.1); of the dictionaries, the paper names 500 as better than 1000."""

NOT_WHITENED = PAPERS_BEST.model_copy(update={"whiten": False})
DOUBLED_HOP = Architecture(scale="multiresolution", double_hop=True)
POOLED = {name: PAPERS_BEST.model_copy(update={"pooling": name}) for name in ("mean", "min", "var")}
"""What §2.1, §3.1 and §2.3 say was tried, and found worse."""


def feature_learner(
    profile: Profile, architecture: Architecture, seed: int = 0, progress: bool = False
) -> MultiscaleFeatures:
    """An unfitted transformer for an architecture, at a profile's size."""
    values = architecture.model_dump()
    share, draw = values.pop("window_share"), values.pop("draw")
    constant, factor = values.pop("log_constant"), values.pop("iteration_factor")
    return MultiscaleFeatures(
        **values,
        n_windows=round(share * profile.learning.n_windows),
        n_iter=factor * profile.learning.n_iter,
        spectrogram=SpectrogramSettings(log_constant=constant),
        random_state=seed + draw,
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
    check_dataset(profile, dataset)
    paths = [dictionary_path(profile, architecture, seed) for architecture in architectures]

    def compute(missing: list[int]) -> list[MultiscaleFeatures]:
        learners = [feature_learner(profile, architectures[i], seed, progress) for i in missing]
        elsewhere = profile.dictionary_from
        learned_from = datasets.load(elsewhere) if elsewhere else dataset
        fit_together(learners, learned_from.split("train"))
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
    check_dataset(profile, dataset)
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


def dictionary_path(profile: Profile, architecture: Architecture, seed: int = 0) -> Path:
    """Where the dictionaries of an architecture are, or would be."""
    settings = _learned(profile, architecture, seed)
    return store.artefact_path("dictionaries", settings, "architectures")


def feature_path(profile: Profile, architecture: Architecture, shard: int, seed: int = 0) -> Path:
    """Where the features of a shard are, or would be."""
    settings = {**identity(profile, architecture, seed), "shard": shard}
    return store.artefact_path("features", settings, "architectures")


def identity(profile: Profile, architecture: Architecture, seed: int) -> dict:
    """What determines features: the clips, and what the dictionaries were learned from and how."""
    return {
        "dataset": _data_identity(profile.dataset, store.data_home()),
        "learned": _learned(profile, architecture, seed),
    }


def _learned(profile: Profile, architecture: Architecture, seed: int) -> dict:
    check_architecture(
        architecture.scale,
        architecture.window_length,
        architecture.dictionary,
        architecture.n_levels,
        architecture.pooling_length,
    )
    return {
        "dataset": _data_identity(profile.dictionary_from or profile.dataset, store.data_home()),
        "learning": profile.learning.model_dump(),
        "architecture": architecture.model_dump(),
        "seed": seed,
    }


@lru_cache(maxsize=8)
def _data_identity(settings: DatasetSettings, home: Path) -> dict:
    """Asked for by every path, and not quick for a folder of many files."""
    return datasets.identity(settings)


def check_dataset(profile: Profile, dataset: ClipDataset) -> None:
    """Refuse another data set: what is computed would be found in the store as the profile's."""
    if dataset.name != profile.dataset.name:
        raise ParameterError(
            f"dataset: expected {profile.dataset.name!r}, as profile {profile.name} has, "
            f"got {dataset.name!r}"
        )
