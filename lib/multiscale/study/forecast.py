"""What jobs will cost, from their shapes, and how much time is left.

Work is counted in floating-point operations of large matrix products. One short measurement of
this machine turns it into time, which is put right by what finished jobs really took.
"""

from __future__ import annotations

import math
import timeit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from multiscale import datasets
from multiscale.config import SpectrogramSettings
from multiscale.descent import FIRST_HALVING
from multiscale.encoding import N_CEPSTRA
from multiscale.representations import pooling_lengths
from multiscale.similarity import N_COMPONENTS, SIMILARITY
from multiscale.study.jobs import N_SHARES, Job
from multiscale.study.learning import SHARD
from multiscale.tagging import TAGGING

if TYPE_CHECKING:
    from multiscale.config import TrainingSettings
    from multiscale.datasets import DatasetSettings
    from multiscale.study.design import Architecture, Experiment
    from multiscale.study.study import Study

# What is taken for granted, for want of the data.
KEPT = {"multiresolution": 0.6, "gaussian": 0.4, "laplacian": 0.7}  # of a window, by whitening
TRAINED_ON = 0.7  # share of the clips
EPOCHS = 0.6  # share of `max_epochs` that a run needs before it stops

# Measured on two x86 cores, in operations of a large matrix product that take as long.
PREPARING = 3e10  # a clip
AUDIO = {"multiresolution": 1e9, "gaussian": 4e7, "laplacian": 4e7}  # levels of a second of music
DOUBLED_HOP = 0.1  # times that, where hops are doubled
EXTRACTING, TRAINING = 1.5, 2.1  # an operation there
BEGUN = 0.5  # seconds that any job takes
HELD = 1.2  # times the features, in memory while runs are trained

PRIOR = 0.2
"""Share of a kind's work that must be done before what it took counts more than the forecast."""

SPECTROGRAM = SpectrogramSettings()


@contextmanager
def limited(threads: int = 1) -> Iterator[None]:
    """Limit torch, and the libraries beneath numpy, to so many threads; every job has one.

    The order of additions, and so the last bits of a result, may depend on their number.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


def speed() -> float:
    """Operations a second of one thread here, in large matrix products."""
    left, right = torch.ones(1024, 2048), torch.ones(2048, 1024)
    with limited():
        left @ right  # the first one warms up
        seconds = min(timeit.repeat(lambda: left @ right, number=1, repeat=4))
    return 2 * left.numel() * right.shape[1] / seconds


def costs(study: Study, work: Sequence[Job], flops: float) -> pd.DataFrame:
    """Cost of every job on one thread of a speed.

    Columns kind, job (its label), flop, disk, memory (bytes, beyond the libraries) and seconds.
    """
    of, rows = _Costs(study), []
    for job in work:
        flop, audio, disk, memory = getattr(of, job.kind)(*job.subject)
        rows.append((job.kind, job.label, flop, disk, memory, BEGUN + (flop + audio) / flops))
    return pd.DataFrame(rows, columns=["kind", "job", "flop", "disk", "memory", "seconds"])


def wall_seconds(table: pd.DataFrame, n_workers: int) -> float:
    """Time on so many workers: kinds one after the other, at least the longest job of each."""
    by_kind = table.groupby("kind")["seconds"]
    return float(np.maximum(by_kind.sum() / n_workers, by_kind.max()).sum())


class TimeLeft:
    """Time that the jobs of a table will take, put right by what the finished ones took."""

    def __init__(self, table: pd.DataFrame):
        self.jobs = table.set_index("job")[["kind", "seconds"]].assign(took=np.nan, over=False)

    def finished(self, label: str, seconds: float | None = None) -> None:
        """Count a job as over, and how long it took if it was done."""
        self.jobs.loc[label, "over"] = True
        self.jobs.loc[label, "took"] = seconds

    def seconds(self, under_way: Mapping[str, float], n_workers: int) -> float:
        """Time left, given for how long each job under way has run."""
        expected = self.jobs["seconds"]
        running = pd.Series(under_way, dtype=float).reindex(expected.index, fill_value=0.0)
        # A job that is late tells of its kind before it ends: no jump when it does.
        known = self.jobs["took"].fillna(running.where(running > expected))
        overall = _correction(expected, known, 1.0)
        by_kind = {
            kind: _correction(of_kind, known, overall)
            for kind, of_kind in expected.groupby(self.jobs["kind"])
        }
        corrected = expected * self.jobs["kind"].map(by_kind)
        rest = self.jobs.assign(seconds=corrected - np.minimum(running, 0.9 * corrected))
        return wall_seconds(rest[~rest["over"]], n_workers)


def _correction(expected: pd.Series, known: pd.Series, before: float) -> float:
    """Time taken over time expected, drawn to ``before`` while little is known."""
    took = known[expected.index].dropna()
    weight = PRIOR * expected.sum()
    return (before * weight + took.sum()) / (weight + expected[took.index].sum())


class _Costs:
    """Of a job of each kind: operations, those that its audio is worth, bytes stored, in memory."""

    def __init__(self, study: Study):
        self.study = study
        self.n_clips = datasets.n_clips(study.profile.dataset)
        self.n_train = TRAINED_ON * self.n_clips
        self.clip_seconds = study.profile.dataset.clip_seconds
        self.n_samples = round(self.clip_seconds * SPECTROGRAM.sample_rate)
        self.n_frames = 1 + self.n_samples // SPECTROGRAM.hop_length

    def data(self, dataset: DatasetSettings, share: int) -> tuple[float, ...]:
        n_clips = self.n_clips / N_SHARES
        return 0.0, PREPARING * n_clips, 2 * n_clips * self.n_samples, 0.0  # 16 bits each

    def learn(self, group: Sequence[Architecture]) -> tuple[float, ...]:
        learning = self.study.profile.learning
        flop, disk, memory = 0.0, 0.0, 0.0
        for a in group:
            n_values, n_features = a.window_length * SPECTROGRAM.n_mels, _n_features(a)
            kept = KEPT[a.representation] * n_values
            for positions in self._positions(a):
                sampled = min(a.window_share * learning.n_windows, self.n_train * positions)
                # Covariance and whitening, in float64, which takes twice as long; then K-means,
                # with a product to assign and one to add up.
                flop += 2 * 2 * sampled * n_values * (n_values + kept)
                if not isinstance(a.dictionary, str):
                    flop += 4 * sampled * kept * n_features * a.iteration_factor * learning.n_iter
                disk += 8 * n_values * kept + 4 * n_features * kept
                memory += 4 * sampled * n_values / len(group)
        audio = self.n_train * self._audio(a)
        if a.representation == "multiresolution":  # only frames that are sampled are computed
            audio *= min(1, learning.n_windows / (self.n_train * self.n_frames))
        return flop, audio, disk, memory

    def extract(self, group: Sequence[Architecture], shard: int) -> tuple[float, ...]:
        n_clips = min(SHARD, self.n_clips)
        flop, disk = 0.0, 0.0
        for a in group:
            n_values, n_features = a.window_length * SPECTROGRAM.n_mels, _n_features(a)
            flop += EXTRACTING * 2 * n_clips * sum(self._positions(a)) * n_values * n_features
            disk += 4 * n_clips * self._n_pools(a) * n_features * a.n_levels
        return flop, n_clips * self._audio(a), disk, 2 * disk

    def train(self, experiment: Experiment) -> tuple[float, ...]:
        a, settings = experiment.architecture, self.study.training(experiment)
        of_windows = experiment.task == "tagging"
        n_inputs = _n_features(a) * (a.n_levels if experiment.level is None else 1)
        examples = self.n_train * (self._n_pools(a) if of_windows else 1)
        weights = n_inputs * (settings.n_hidden if of_windows else N_COMPONENTS)
        batch_size = (TAGGING if of_windows else SIMILARITY).batch_size
        of_search = _search_epochs(settings, math.ceil(examples / batch_size))
        epochs = settings.n_runs * (of_search + EPOCHS * settings.max_epochs)
        # Forwards, and backwards to the weights; nothing goes back to the features.
        flop = TRAINING * 2 * 2 * examples * weights * epochs
        disk = 4 * settings.n_runs * (weights + 0.2 * self.n_clips * N_COMPONENTS)
        features = 4 * self.n_clips * self._n_pools(a) * n_inputs
        side_by_side = max(settings.n_trials, settings.n_runs)
        return flop, 0.0, disk, HELD * features + 5 * 4 * weights * side_by_side

    def _audio(self, a: Architecture) -> float:
        """What the levels of one clip are worth."""
        return AUDIO[a.representation] * self.clip_seconds * (DOUBLED_HOP if a.double_hop else 1)

    def _n_pools(self, a: Architecture) -> int:
        """Pooling windows of a clip."""
        return self.n_frames // a.pooling_length

    def _positions(self, a: Architecture) -> list[int]:
        """Window positions of a clip at each level."""
        lengths = pooling_lengths(a.representation, a.n_levels, a.pooling_length, a.double_hop)
        return [self._n_pools(a) * (length - a.window_length + 1) for length in lengths]


def _search_epochs(settings: TrainingSettings, n_steps: int) -> float:
    """Epochs, of so many steps, of all trials together, whose worse half ends again and again."""
    epochs, begun, end, left = 0, 0, math.ceil(FIRST_HALVING / n_steps), settings.n_trials
    while left > 1 and begun < settings.max_epochs:
        epochs += left * (min(end, settings.max_epochs) - begun)
        begun, end, left = end, 2 * end, (left + 1) // 2
    return epochs


def _n_features(a: Architecture) -> int:
    """Features of one level."""
    n_mels = SPECTROGRAM.n_mels
    kept = KEPT[a.representation] * a.window_length * n_mels
    known = {"pca": round(kept), "mel": n_mels, "mfcc": N_CEPSTRA}
    return known.get(a.dictionary, a.dictionary) * (2 if a.pooling == "mean_std" else 1)
