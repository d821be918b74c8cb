"""A folder of made-up music with a table, and a profile of it, for tests that need a data set."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile

from multiscale.config import TrainingSettings
from multiscale.datasets import SPLITS, DatasetSettings
from multiscale.study.design import Architecture
from multiscale.study.profiles import LearningSettings, Profile

SIZES = TrainingSettings(n_trials=2, n_runs=2, max_epochs=4, patience=2, n_hidden=20)
SMALL = Architecture(dictionary=6, n_levels=2, pooling_length=16)
RATE = 16_000


def folder(path: Path, n_clips: int = 30, seed: int = 0, seconds: float = 5.0) -> DatasetSettings:
    """Write clips in which an artist has a register, one tag tells bright clips, one noisy ones."""
    path.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    with (path / "table.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "split", "artist", "tags"])
        for number in range(n_clips):
            artist = number % 3
            pitch = rng.uniform(1, 1.5) * (200, 700, 2500)[artist]
            noisy = bool(rng.random() < 0.5)
            signal = 0.2 * np.sin(2 * np.pi * pitch * time)
            signal += (0.1 if noisy else 0.001) * rng.standard_normal(len(time))
            soundfile.write(path / f"{number:03}.wav", signal, RATE)
            tags = ["bright"] * (artist == 2) + ["noisy"] * noisy
            split = SPLITS[number * 3 // n_clips]
            table.writerow([f"{number:03}.wav", split, f"artist {artist}", ";".join(tags)])
    return DatasetSettings(name="folder", path=str(path / "table.csv"), clip_seconds=seconds)


def profile(path: Path, **changes) -> Profile:
    """A profile of such a folder, which is written there; ``changes`` are fields of its own."""
    usual = {
        "name": "made_up",
        "description": "made-up music",
        "dataset": folder(path),
        "learning": LearningSettings(n_windows=300, n_iter=2),
        "tagging": SIZES,
        "similarity": SIZES,
    }
    return Profile(**(usual | changes))
