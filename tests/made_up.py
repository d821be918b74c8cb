"""A data set of made-up music, for tests that need one in several processes.

A Dask worker preloads this file, so that it knows the data set too.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import soundfile

from multiscale import datasets
from multiscale.config import (
    DatasetSettings,
    LearningSettings,
    Profile,
    TrainingSettings,
    data_home,
)
from multiscale.datasets import SPLITS, ClipDataset

SIZES = TrainingSettings(n_trials=2, n_runs=2, max_epochs=4, patience=2, n_hidden=20)
PROFILE = Profile(
    name="made_up",
    description="made-up music",
    dataset=DatasetSettings(name="made_up", n_clips=30, clip_seconds=5),
    learning=LearningSettings(n_windows=300, n_iter=2),
    tagging=SIZES,
    similarity=SIZES,
)


def prepare(settings: DatasetSettings) -> ClipDataset:
    """Clips in which an artist has a register, one tag tells bright clips, another noisy ones."""
    folder = data_home() / "datasets" / f"made_up-{settings.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(settings.seed)
    n_samples = round(settings.clip_seconds * 16_000)
    time = np.arange(n_samples) / 16_000
    rows, tags = [], []
    for number in range(settings.n_clips):
        artist = number % 3
        pitch = rng.uniform(1, 1.5) * (200, 700, 2500)[artist]
        noisy = bool(rng.random() < 0.5)
        signal = 0.2 * np.sin(2 * np.pi * pitch * time)
        signal += (0.1 if noisy else 0.001) * rng.standard_normal(n_samples)
        path = folder / f"{number}.wav"
        if not path.is_file():
            soundfile.write(path, signal, 16_000)
        rows.append((path.name, SPLITS[number * 3 // settings.n_clips], f"artist {artist}"))
        tags.append((artist == 2, noisy))
    clips = pd.DataFrame(rows, columns=["path", "split", "artist"])
    return ClipDataset(
        "made_up", folder, clips, np.array(tags), ("bright", "noisy"), 16_000, "made up"
    )


datasets.PREPARERS["made_up"] = prepare
