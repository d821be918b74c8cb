"""Dictionaries and features of an architecture at a profile's size, without a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from multiscale.config import SPLITS, SpectrogramSettings
from multiscale.features import MultiscaleFeatures, fit_many, transform_many

if TYPE_CHECKING:
    from multiscale.datasets import ClipDataset
    from multiscale.study.design import Architecture
    from multiscale.study.profiles import LearningSettings

SHARD = 256
"""Clips whose features are extracted, and stored, together."""


def learner(
    architecture: Architecture, learning: LearningSettings, seed: int = 0
) -> MultiscaleFeatures:
    """An unfitted transformer for an architecture, at a profile's size."""
    values = architecture.model_dump()
    share, draw = values.pop("window_share"), values.pop("draw")
    constant, factor = values.pop("log_constant"), values.pop("iteration_factor")
    if architecture.whitening_damping is None:
        values["whitening_damping"] = learning.whitening_damping or 0.0
    return MultiscaleFeatures(
        **values,
        n_windows=round(share * learning.n_windows),
        n_iter=factor * learning.n_iter,
        spectrogram=SpectrogramSettings(log_constant=constant),
        random_state=seed + draw,
    )


def learn(learners: Sequence[MultiscaleFeatures], music: ClipDataset) -> None:
    """Fit learners of one representation on the training clips."""
    fit_many(learners, music.split("train"))


def extract(
    learners: Sequence[MultiscaleFeatures], music: ClipDataset, shard: int
) -> list[dict[str, np.ndarray]]:
    """For each learner the "features" of a shard of clips, and of each level the "sizes"."""
    clips = music[np.arange(len(music))[shard * SHARD : (shard + 1) * SHARD]]
    return [
        {"features": features, "sizes": np.array(fitted.n_features_)}
        for fitted, features in zip(learners, transform_many(learners, clips), strict=True)
    ]


def by_split(
    shards: Iterable[dict[str, np.ndarray]], music: ClipDataset, level: int | None = None
) -> dict[str, np.ndarray]:
    """Split -> features (n_clips, n_pooling_windows, n_features) of all levels, or of one.

    Shards that come one at a time are never held together: memory has one copy of all features.
    """
    splits = np.array([SPLITS.index(name) for name in music.clips["split"]])
    place = np.argsort(np.argsort(splits, kind="stable"))  # of each clip, split after split
    features, filled = np.empty(0), 0
    for shard in shards:
        ends = np.cumsum(shard["sizes"])
        wanted = slice(None) if level is None else slice(*[0, *ends][level : level + 2])
        part = shard["features"][:, :, wanted]
        if not filled:
            features = np.empty((len(place), *part.shape[1:]), part.dtype)
        features[place[filled : filled + len(part)]] = part
        filled += len(part)
    ends = np.searchsorted(np.sort(splits), range(1, len(SPLITS)))
    return dict(zip(SPLITS, np.split(features, ends), strict=True))
