"""Made-up music, a profile of it, and stand-ins for programs, for tests that need them."""

from __future__ import annotations

import csv
import ctypes
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import soundfile

from multiscale.config import AudioError, ParameterError, TrainingSettings
from multiscale.datasets import SPLITS, DatasetSettings
from multiscale.study.design import Architecture
from multiscale.study.profiles import LearningSettings, Profile

SIZES = TrainingSettings(n_trials=2, n_runs=2, max_epochs=4, patience=2, n_hidden=20)
SMALL = Architecture(dictionary=6, n_levels=2, pooling_length=16)
RATE = 16_000


def clip(seed: int, seconds: float = 9.0) -> np.ndarray:
    """Three notes that are struck again and again, over a little noise, (n_samples,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    signal = 0.01 * rng.standard_normal(len(time))
    for pitch in rng.uniform(100, 3000, 3):
        since_struck = time % rng.uniform(0.2, 1.5)
        signal += 0.2 * np.sin(2 * np.pi * pitch * time) * np.exp(-4 * since_struck)
    return signal.astype(np.float32)


def song(path: Path, seconds: float, seed: int = 0, **how) -> np.ndarray:
    """Write a clip to a file, whose folder is made; ``how`` as ``soundfile.write`` takes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, signal := clip(seed, seconds), RATE, **how)
    return signal


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


def chapter(path: Path, parameters: str, *sources: str) -> Path:
    """Write a notebook of a title, a cell of parameters, and cells of code."""
    cells = [nbformat.v4.new_markdown_cell(f"# {path.stem}", id="title")]
    cells.append(nbformat.v4.new_code_cell(parameters, id="parameters"))
    cells[1].metadata.tags = ["parameters"]
    for number, source in enumerate(sources):
        cells.append(nbformat.v4.new_code_cell(source, id=f"work-{number}"))
    kernel = {"display_name": "", "language": "python", "name": "python3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip of members."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return data.getvalue()


def outcome(function: Callable, *arguments: object) -> tuple[Any, str]:
    """What a function returns, or else the message, of one line, that it refuses with."""
    try:
        return function(*arguments), ""
    except (ParameterError, AudioError) as error:
        message = str(error)
    assert "\n" not in message
    return None, message


@contextmanager
def as_anyone() -> Iterator[None]:
    """Within, even root may do no more to a file than its mode says."""
    if os.geteuid() != 0:
        yield
        return
    libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522)
    sets = (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    before = sets[0]
    sets[0] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    libc.capset(header, sets)
    try:
        yield
    finally:
        sets[0] = before
        libc.capset(header, sets)


def program(path: Path, script: str) -> None:
    """Write a shell script that can be run."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
