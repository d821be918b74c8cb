"""What jobs will cost, from their shapes, and how much time is left.

Work is counted in floating-point operations of matrix products. One short measurement of this
machine turns it into time, which is put right by what finished jobs really took.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from multiscale import datasets
from multiscale.config import SpectrogramSettings
from multiscale.representations import pooling_lengths
from multiscale.similarity import N_COMPONENTS
from multiscale.study.jobs import N_SHARES, Data, Extract, Job, Learn, Train
from multiscale.study.learning import SHARD

if TYPE_CHECKING:
    from multiscale.study.design import Architecture
    from multiscale.study.study import Study

THREADS = 1
"""Threads of a job. Fixed, since the order of additions, and so the last bits of a result, may
depend on it."""

KEPT = 0.8
"""Share of the values of a window that whitening is taken to keep, for want of the data."""

EPOCHS = 0.5
"""Share of ``max_epochs`` that a run is taken to need before it stops."""

AUDIO = {"multiresolution": 1e9, "gaussian": 4e7, "laplacian": 4e7}
"""Operations that reading a second of music and making its levels takes as long as."""

DOUBLED_HOP = 0.1
"""Share of that for a multiresolution spectrogram with doubled hops."""

EXTRACTING, TRAINING = 1.5, 1.4
"""Time that an operation takes there, in that of a large matrix product."""

PREPARED = 2e10
"""Operations that preparing a clip is worth. All these were measured on two x86 cores."""

BEGUN = 0.5
"""Seconds that any job takes."""

N_MELS = SpectrogramSettings().n_mels

PRIOR = 0.2
"""Share of a kind's work that must be done before what it took counts more than the forecast."""


@contextmanager
def threads(count: int = THREADS) -> Iterator[None]:
    """Limit torch, and the libraries beneath numpy, to a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def speed(seconds: float = 0.2) -> float:
    """Operations a second of one thread here, in matrix products measured for so long."""
    left, right = torch.ones(1024, 2048), torch.ones(2048, 1024)
    times = []
    with threads():
        left @ right  # the first one warms up
        while sum(times) < seconds:
            started = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - started)
    return 2 * left.numel() * right.shape[1] / min(times)


def costs(study: Study, work: Sequence[Job], flops: float) -> pd.DataFrame:
    """Cost of every job on one thread of a speed.

    Columns kind, job (its label), flop, disk, memory (bytes, beyond the libraries) and seconds.
    """
    n_clips = datasets.n_clips(study.profile.dataset)
    rows = []
    for job in work:
        flop, audio, disk, memory = _COSTS[job.kind](study, job, n_clips)
        rows.append((job.kind, job.label, flop, disk, memory, BEGUN + (flop + audio) / flops))
    return pd.DataFrame(rows, columns=["kind", "job", "flop", "disk", "memory", "seconds"])


def wall_seconds(table: pd.DataFrame, n_workers: int) -> float:
    """Time on so many workers: kinds one after the other, at least the longest job of each."""
    by_kind = table.groupby("kind")["seconds"]
    return float(np.maximum(by_kind.sum() / n_workers, by_kind.max()).sum())


class TimeLeft:
    """Time that jobs will take, put right by what the finished ones took."""

    def __init__(self, table: pd.DataFrame):
        self.expected = dict(zip(table["job"], table["seconds"], strict=True))
        self.kinds = {kind: list(rows["job"]) for kind, rows in table.groupby("kind", sort=False)}
        self.left = set(self.expected)
        self.took: dict[str, float] = {}

    def finished(self, label: str, seconds: float | None = None) -> None:
        """Count a job as over, and how long it took if it was done."""
        self.left.discard(label)
        if seconds is not None:
            self.took[label] = seconds

    def seconds(self, under_way: Mapping[str, float], n_workers: int) -> float:
        """Time left, given for how long each job under way has run."""
        # A job that is late tells of its kind before it ends: no jump when it does.
        late = {label: s for label, s in under_way.items() if s > self.expected[label]}
        known = self.took | late
        overall = self._correction(self.expected, known, 1.0)
        total = 0.0
        for labels in self.kinds.values():
            correction = self._correction(labels, known, overall)
            rest = []
            for label in self.left.intersection(labels):
                seconds = correction * self.expected[label]
                rest.append(seconds - min(under_way.get(label, 0.0), 0.9 * seconds))
            if rest:
                total += max(sum(rest) / n_workers, max(rest))
        return total

    def _correction(
        self, labels: Iterable[str], known: Mapping[str, float], before: float
    ) -> float:
        """Time taken over time expected, drawn to ``before`` while little is known."""
        weight = PRIOR * sum(self.expected[label] for label in labels)
        seen = [label for label in labels if label in known]
        took, expected = (sum(of[label] for label in seen) for of in (known, self.expected))
        return (before * weight + took) / (weight + expected)


# Of each kind of job: operations, those that reading and describing the music is worth, bytes on
# disk, bytes in memory.


def _data(study: Study, job: Data, n_clips: int) -> tuple[float, ...]:
    n_clips = n_clips / N_SHARES
    # 16-bit samples, losslessly compressed to about half.
    return 0.0, PREPARED * n_clips, n_clips * _n_samples(study), 0.0


def _learn(study: Study, job: Learn, n_clips: int) -> tuple[float, ...]:
    learning, n_train = study.profile.learning, 0.7 * n_clips
    flop, disk, memory = 0.0, 0.0, 0.0
    for a in job.architectures:
        n_values, n_features = a.window_length * N_MELS, _n_features(a)
        kept = KEPT * n_values
        for positions in _n_positions(study, a):
            sampled = min(a.window_share * learning.n_windows, n_train * positions)
            # Covariance and whitening, in float64, which takes twice as long; then K-means, with
            # a product to assign and one to add up.
            flop += 2 * 2 * sampled * n_values * (n_values + kept)
            if a.dictionary != "pca":
                flop += 4 * sampled * kept * n_features * a.iteration_factor * learning.n_iter
            disk += 8 * n_values * kept + 4 * n_features * kept
            memory += 4 * sampled * n_values / len(job.architectures)
    audio = n_train * _audio(study, a)
    if a.representation == "multiresolution":  # only frames that are sampled are computed
        audio *= min(1, learning.n_windows / (n_train * _n_frames(study)))
    return flop, audio, disk, memory


def _extract(study: Study, job: Extract, n_clips: int) -> tuple[float, ...]:
    n_clips = min(SHARD, n_clips)
    flop, disk = 0.0, 0.0
    for a in job.architectures:
        n_features, positions = _n_features(a), sum(_n_positions(study, a))
        flop += EXTRACTING * 2 * n_clips * positions * a.window_length * N_MELS * n_features
        disk += 4 * n_clips * (_n_frames(study) // a.pooling_length) * n_features * a.n_levels
    return flop, n_clips * _audio(study, a), disk, 2 * disk


def _train(study: Study, job: Train, n_clips: int) -> tuple[float, ...]:
    experiment, settings = job.experiment, study.training(job.experiment)
    a, of_windows = experiment.architecture, experiment.task == "tagging"
    n_inputs = _n_features(a) * (a.n_levels if experiment.level is None else 1)
    n_pools = _n_frames(study) // a.pooling_length
    examples = 0.7 * n_clips * (n_pools if of_windows else 1)
    weights = n_inputs * (settings.n_hidden if of_windows else N_COMPONENTS)
    epochs = EPOCHS * settings.max_epochs * (settings.n_trials + settings.n_runs)
    # Forwards, and backwards to the weights; nothing goes back to the features.
    flop = TRAINING * 2 * 2 * examples * weights * epochs
    memory = 3 * 4 * n_clips * n_pools * n_inputs + 4 * 4 * weights * settings.n_trials
    return flop, 0.0, 4 * settings.n_runs * (weights + 0.2 * n_clips * N_COMPONENTS), memory


_COSTS = {"data": _data, "learn": _learn, "extract": _extract, "train": _train}


def _n_samples(study: Study) -> int:
    return round(study.profile.dataset.clip_seconds * SpectrogramSettings().sample_rate)


def _n_frames(study: Study) -> int:
    return 1 + _n_samples(study) // SpectrogramSettings().hop_length


def _n_features(a: Architecture) -> int:
    """Features of one level."""
    return round(KEPT * a.window_length * N_MELS) if a.dictionary == "pca" else a.dictionary


def _n_positions(study: Study, a: Architecture) -> list[int]:
    """Window positions of a clip at each level."""
    lengths = pooling_lengths(a.representation, a.n_levels, a.pooling_length, a.double_hop)
    return [_n_frames(study) // a.pooling_length * (n - a.window_length + 1) for n in lengths]


def _audio(study: Study, a: Architecture) -> float:
    """What the levels of one clip are worth."""
    share = DOUBLED_HOP if a.double_hop else 1
    return share * AUDIO[a.representation] * study.profile.dataset.clip_seconds
