"""What a profile will cost before anything runs: work, disk, memory and time.

Work is counted in floating-point operations from the shapes alone. Two short measurements on this
machine, of a matrix product and of each representation of one clip, turn it into time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from multiscale import architectures, cells, datasets, experiments
from multiscale.architectures import Architecture
from multiscale.cells import Cell
from multiscale.config import SCALES, SpectrogramSettings
from multiscale.scales import make_levels, pooling_lengths

KEPT = 0.8
"""Share of the values of a window that whitening is taken to keep, for want of the data."""

EPOCHS = 0.5
"""Share of ``max_epochs`` that a run is taken to need before it stops."""


@dataclass(frozen=True)
class Calibration:
    """Speed of one thread of this machine.

    Attributes
    ----------
    flops : float
        Floating-point operations per second in matrix products.
    seconds : dict of str to float
        Scale -> time to make all levels of one clip.
    """

    flops: float
    seconds: dict[str, float]


@dataclass(frozen=True)
class Cost:
    """What a cell takes.

    Attributes
    ----------
    flop : float
        Floating-point operations of matrix products.
    disk : float
        Bytes stored.
    memory : float
        Bytes held at the most, beyond the libraries.
    seconds : float
        Time on one thread.
    """

    flop: float
    disk: float
    memory: float
    seconds: float


def calibrate(clip_seconds: float = 29.0) -> Calibration:
    """Measure this machine, for a few seconds.

    Parameters
    ----------
    clip_seconds : float, default=29.0
        Length of the clips to come.

    Returns
    -------
    Calibration
        Of one thread.
    """
    rng = np.random.default_rng(0)
    settings = SpectrogramSettings()
    signal = rng.standard_normal((1, round(clip_seconds * settings.sample_rate))).astype(np.float32)
    left, right = torch.ones(1024, 2048), torch.ones(2048, 1024)
    with cells.threads(cells.THREADS):
        product = _fastest(lambda: left @ right)
        seconds = {
            scale: _fastest(lambda scale=scale: make_levels(signal, scale), repeats=2)
            for scale in SCALES
        }
    return Calibration(2 * left.numel() * right.shape[1] / product, seconds)


def costs(work: Sequence[Cell], calibration: Calibration) -> pd.DataFrame:
    """Cost of every cell.

    Parameters
    ----------
    work : sequence of Cell
        As :func:`multiscale.cells.of` gives them.
    calibration : Calibration
        Of this machine.

    Returns
    -------
    DataFrame
        One row per cell: kind, name, flop, disk, memory (bytes) and seconds. Preparing the data
        set is not counted.
    """
    rows = []
    for cell in work:
        cost = _COSTS[cell.kind](cell, calibration)
        rows.append({"kind": cell.kind, "cell": cell.name, **vars(cost)})
    return pd.DataFrame(rows)


def wall_seconds(table: pd.DataFrame, n_workers: int) -> float:
    """Time on so many workers: kinds one after the other, cells of a kind side by side.

    Parameters
    ----------
    table : DataFrame
        From :func:`costs`.
    n_workers : int
        Processes of one thread each.

    Returns
    -------
    float
        Seconds; at least the longest cell of each kind.
    """
    by_kind = table.groupby("kind")["seconds"]
    return float(np.maximum(by_kind.sum() / n_workers, by_kind.max()).sum())


def _fastest(work, repeats: int = 3) -> float:
    times = []
    for _ in range(repeats + 1):  # the first one warms up
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _clip_frames(cell: Cell) -> int:
    settings = SpectrogramSettings()
    samples = round(cell.profile.dataset.clip_seconds * settings.sample_rate)
    return 1 + samples // settings.hop_length


def _values(architecture: Architecture) -> int:
    return architecture.window_length * SpectrogramSettings().n_mels


def _features(architecture: Architecture) -> int:
    """Features of one level."""
    if architecture.dictionary == "pca":
        return round(KEPT * _values(architecture))
    return architecture.dictionary


def _places(cell: Cell, architecture: Architecture) -> list[int]:
    """Window positions of a clip at each level."""
    a = architecture
    lengths = pooling_lengths(a.scale, a.n_levels, a.pooling_length, a.double_hop)
    n_pools = _clip_frames(cell) // a.pooling_length
    return [n_pools * (length - a.window_length + 1) for length in lengths]


def _data(cell: Cell, calibration: Calibration) -> Cost:
    n_clips = datasets.n_clips(cell.profile.dataset)
    # 16-bit samples, losslessly compressed to about half.
    bytes_a_clip = cell.profile.dataset.clip_seconds * SpectrogramSettings().sample_rate
    return Cost(0.0, n_clips * bytes_a_clip / cells.N_SHARES, 0.0, 0.0)


def _learn(cell: Cell, calibration: Calibration) -> Cost:
    learning = cell.profile.learning
    n_train = 0.7 * datasets.n_clips(cell.profile.dataset)
    flop, disk, memory = 0.0, 0.0, 0.0
    for architecture in cell.architectures:
        values, features = _values(architecture), _features(architecture)
        kept = KEPT * values
        for places in _places(cell, architecture):
            sampled = min(learning.n_windows, n_train * places)
            # Covariance and whitening, in float64, which takes twice as long; then K-means, with
            # a product to assign and one to add up.
            flop += 2 * 2 * sampled * values * (values + kept)
            if architecture.dictionary != "pca":
                n_iter = architecture.iteration_factor * learning.n_iter
                flop += 4 * sampled * kept * features * n_iter
            disk += 8 * values * kept + 4 * features * kept
            memory += 4 * sampled * values / len(cell.architectures)
    scale = cell.architectures[0].scale
    seconds = n_train * calibration.seconds[scale]
    if scale == "multiresolution":  # only the frames that are sampled are computed
        seconds *= min(1, learning.n_windows / (n_train * _clip_frames(cell)))
    return Cost(flop, disk, memory, seconds + flop / calibration.flops)


def _extract(cell: Cell, calibration: Calibration) -> Cost:
    n_clips = min(architectures.SHARD, datasets.n_clips(cell.profile.dataset))
    flop, disk = 0.0, 0.0
    for architecture in cell.architectures:
        features = _features(architecture)
        places = _places(cell, architecture)
        flop += n_clips * sum(2 * place * _values(architecture) * features for place in places)
        n_pools = _clip_frames(cell) // architecture.pooling_length
        disk += 4 * n_clips * n_pools * features * architecture.n_levels
    scale = cell.architectures[0].scale
    seconds = n_clips * calibration.seconds[scale] + flop / calibration.flops
    return Cost(flop, disk, 2 * disk, seconds)


def _train(cell: Cell, calibration: Calibration) -> Cost:
    architecture, dataset = cell.experiment.architecture, cell.profile.dataset
    settings = experiments.sizes(cell.profile, cell.experiment)
    n_levels = architecture.n_levels if cell.experiment.level is None else 1
    n_inputs = n_levels * _features(architecture)
    n_pools = _clip_frames(cell) // architecture.pooling_length
    n_clips = datasets.n_clips(dataset)
    if cell.experiment.task == "tagging":
        examples, width = 0.7 * n_clips * n_pools, settings.n_hidden
    else:
        examples, width = 0.7 * n_clips, 50
    epochs = EPOCHS * settings.max_epochs * (settings.n_trials + settings.n_runs)
    # Forwards, and backwards to the weights; nothing goes back to the features.
    flop = 2 * 2 * examples * n_inputs * width * epochs
    memory = 3 * 4 * n_clips * n_pools * n_inputs + 4 * 4 * n_inputs * width * settings.n_trials
    disk = 4 * settings.n_runs * 0.2 * n_clips * 50
    return Cost(flop, disk, memory, flop / calibration.flops)


_COSTS = {"data": _data, "learn": _learn, "extract": _extract, "train": _train}
