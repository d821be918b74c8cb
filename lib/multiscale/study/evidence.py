"""Effects with their intervals: results of a profile, resampled over test clips and runs.

The same resamples serve every experiment, so that differences between experiments are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from multiscale.similarity import clip_probabilities
from multiscale.study.design import Experiment, everything

if TYPE_CHECKING:
    from multiscale.study.study import Result, Study

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told at this size"

N_BOOTSTRAP = 500
"""Resamples of test clips and runs."""


@dataclass(frozen=True)
class Effect:
    """An effect with its interval.

    Attributes
    ----------
    value : float
        The effect, in the unit of the rule.
    low, high : float
        The interval; NaN where it cannot be computed.
    n_runs : int
        Runs it rests on, per architecture.
    """

    value: float
    low: float
    high: float
    n_runs: int

    @property
    def verdict(self) -> str:
        """What it says of a sentence that asks for more than 0: ``HOLDS``, and so on."""
        if not np.isfinite([self.low, self.high]).all():
            return OPEN
        if self.low > 0:
            return HOLDS
        return FAILS if self.high < 0 else OPEN

    @property
    def words(self) -> str:
        """More, less, or a difference that cannot be told; with the interval."""
        if self.verdict == OPEN:
            ends = f"{signed(self.low)} to {signed(self.high)}"
            return f"a difference {OPEN} ({self.value:+.4f}, interval {ends})"
        way, sign = ("less", -1) if self.verdict == FAILS else ("more", 1)
        ends = [signed(sign * end).removeprefix("+") for end in (self.low, self.high)[::sign]]
        return f"{sign * self.value:.4f} {way} (interval {' to '.join(ends)})"


def signed(end: float) -> str:
    """An end of an interval to four decimals; one digit of what these would round to nothing."""
    if abs(end) >= 0.00005 or end == 0:
        return f"{end:+.4f}"
    return np.format_float_positional(end, precision=1, fractional=False, sign=True)


def in_numbers(value: float, low: float, high: float) -> str:
    """An effect with its interval: ``+0.0031 (+0.0009 to +0.0054)``."""
    return f"{value:+.4f} ({signed(low)} to {signed(high)})"


class Evidence:
    """Results of a study, as the rules ask for them, with resamples of the test clips.

    Parameters
    ----------
    results : dict of Experiment to Result
        What has been computed.
    tags : ndarray of shape (n_test_clips, n_tags), bool
        True tags of the test clips.
    tag_names : sequence of str
        Their names.
    artists : ndarray of shape (n_test_clips,)
        Artists of the test clips.
    seed : int, default=0
        Seed of the bootstrap.

    Attributes
    ----------
    confidence : float, default=0.95
        Share of the resamples that an interval holds; may be set.
    """

    confidence = 0.95

    def __init__(
        self,
        results: dict[Experiment, Result],
        tags: np.ndarray,
        tag_names: Sequence[str],
        artists: np.ndarray,
        seed: int = 0,
    ):
        self.results = dict(results)
        self.tags = tags
        self.tag_names = list(tag_names)
        self.artists = artists
        rng = np.random.default_rng(seed)
        n_clips = len(tags)
        # How often each test clip is drawn, and which run: the same draws for every architecture,
        # so that differences are paired. Row 0 is the sample itself.
        draws = rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), N_BOOTSTRAP)
        self.weights = np.vstack([np.ones(n_clips, int), draws])
        self.run_draws = rng.random((N_BOOTSTRAP, 64))
        self._resampled: dict[Experiment, np.ndarray] = {}

    def scores(self, experiment: Experiment) -> np.ndarray | None:
        """Score on the sample and its resamples, shape (1 + N_BOOTSTRAP,); None if missing."""
        found = self.tag_scores(experiment)
        return None if found is None else np.nanmean(found, axis=1)

    def tag_scores(self, experiment: Experiment) -> np.ndarray | None:
        """AUC of every tag, shape (1 + N_BOOTSTRAP, n_tags); for similarity one column."""
        if experiment not in self.results:
            return None
        if experiment not in self._resampled:
            outputs = self.results[experiment].outputs
            runs = np.stack([self._one_run(experiment.task, values) for values in outputs])
            self._resampled[experiment] = _mean_of_drawn_runs(runs, self.run_draws)
        return self._resampled[experiment]

    def effect(
        self, values: np.ndarray | None, least: float = -np.inf, most: float = np.inf
    ) -> Effect | None:
        """From a value on the sample (first) and on its resamples; None stays None.

        ``least`` and ``most`` are what is possible at all: the interval ends there.
        """
        if values is None:
            return None
        outside = 50 * (1 - self.confidence)
        # The basic bootstrap: how far resamples lie from the sample is how far the sample may lie
        # from the truth. Unlike the resamples' own range, it takes back the bias of a best-of: in
        # the simulation of the tests it holds the truth most often.
        far_below, far_above = np.nanpercentile(values[1:] - values[0], (outside, 100 - outside))
        effect = float(values[0])
        low, high = np.clip((effect - far_above, effect - far_below), least, most)
        return Effect(effect, float(low), float(high), self.n_runs())

    def change(self, changed: Experiment, reference: Experiment) -> Effect | None:
        """By how much a score changes from one experiment to another."""
        after, before = self.scores(changed), self.scores(reference)
        return None if after is None or before is None else self.effect(after - before)

    def changes(self, named: dict[str, Experiment], reference: Experiment) -> pd.DataFrame:
        """:meth:`change` to each from the reference: index name; effect, low, high; or NaN."""
        rows = {}
        for name, experiment in named.items():
            effect = self.change(experiment, reference)
            rows[name] = (effect.value, effect.low, effect.high) if effect else (np.nan,) * 3
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["effect", "low", "high"])
        return table.rename_axis("name")

    def chosen(self, experiments: Sequence[Experiment]) -> np.ndarray | None:
        """Scores of the experiment that did best on the validation set; None if one is missing."""
        found = {e: self.results.get(e) for e in experiments}
        if any(result is None for result in found.values()):
            return None
        return self.scores(max(found, key=lambda e: np.nanmean(found[e].valid_scores)))

    def n_runs(self) -> int:
        """Runs per experiment: the least there are."""
        return min((len(result.scores) for result in self.results.values()), default=0)

    def _one_run(self, task: str, outputs: np.ndarray) -> np.ndarray:
        """(1 + N_BOOTSTRAP, n_tags) AUCs, or (1 + N_BOOTSTRAP, 1) mean probabilities."""
        if task == "tagging":
            return weighted_auc(self.tags, outputs, self.weights)
        probability = clip_probabilities(outputs, self.artists)
        scored = np.isfinite(probability)
        weights = self.weights[:, scored]
        return (weights @ probability[scored] / weights.sum(axis=1))[:, None]


def gather(study: Study, experiments: Sequence[Experiment] | None = None) -> Evidence:
    """What a study has computed of some experiments; by default of all that the rules ask for."""
    test = study.music.split("test")
    asked = everything() if experiments is None else experiments
    found = {e: result for e in asked if (result := study.result(e)) is not None}
    return Evidence(found, test.tags, test.tag_names, test.artists, study.seed)


def weighted_auc(y_true: np.ndarray, y_score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC of every tag when clips count several times: the bootstrap, without copies."""
    # NaN where no clip with the tag, or none without it, is drawn.
    aucs = np.full((len(weights), y_true.shape[1]), np.nan)  # (n_resamples, n_tags)
    for tag, has in enumerate(y_true.T):
        above, below = y_score[has, tag, None], y_score[~has, tag]
        right = (above > below) + (above == below) / 2  # (n_with, n_without); a tie is half right
        drawn, others = weights[:, has], weights[:, ~has]
        pairs = drawn.sum(axis=1) * others.sum(axis=1)
        counted = (drawn @ right * others).sum(axis=1)
        np.divide(counted, pairs, out=aucs[:, tag], where=pairs > 0)
    return aucs


def _mean_of_drawn_runs(runs: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(n_runs, 1 + B, k) -> (1 + B, k): the mean of all runs, then of runs drawn anew."""
    n_runs = len(runs)
    picked = (draws[:, :n_runs] * n_runs).astype(int)
    resamples = np.arange(1, runs.shape[1])
    drawn = np.mean([runs[picked[:, i], resamples] for i in range(n_runs)], axis=0)
    return np.concatenate([runs[:, :1].mean(axis=0), drawn])
