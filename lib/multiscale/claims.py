"""The paper's sentences as checks (§5-6): each a rule, fixed in code before any run.

A rule measures an effect, larger than its threshold if the sentence holds, with an interval:
paired over runs, and bootstrapped over test clips. The verdict follows from where the interval
lies, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from multiscale import datasets, grid
from multiscale.architectures import (
    DOUBLED_HOP,
    NOT_WHITENED,
    PAPERS_BEST,
    POOLED,
    SINGLE_TIMESCALE,
    Architecture,
)
from multiscale.config import DICTIONARIES, SCALES, WINDOW_LENGTHS, Profile
from multiscale.experiments import Experiment, TaskResult, stored_result
from multiscale.similarity import clip_probability

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told at this size"

N_BOOTSTRAP = 500
"""Resamples of test clips and runs."""

SMALL = 0.01
"""A difference in mean AUC below this is called small."""


@dataclass(frozen=True)
class Effect:
    """An effect with its 95 % interval.

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


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, as a rule.

    Attributes
    ----------
    number : int
        In the ledger.
    section : str
        Where the paper says it.
    sentence : str
        What it says, paraphrased.
    rule : str
        What is measured, in words; the sentence holds if it is above 0.
    measure : callable
        ``measure(evidence)`` gives the Effect, or None where evidence is missing.
    """

    number: int
    section: str
    sentence: str
    rule: str
    measure: Callable[[Evidence], Effect | None]


class Evidence:
    """Results of a profile, as the rules ask for them, with resamples of the test clips.

    Parameters
    ----------
    results : dict of Experiment to TaskResult
        What has been computed.
    tags : ndarray of shape (n_test_clips, n_tags), bool
        True tags of the test clips.
    tag_names : sequence of str
        Their names.
    artists : ndarray of shape (n_test_clips,)
        Artists of the test clips.
    seed : int, default=0
        Of the bootstrap.
    """

    def __init__(
        self,
        results: dict[Experiment, TaskResult],
        tags: np.ndarray,
        tag_names: Sequence[str],
        artists: np.ndarray,
        seed: int = 0,
    ):
        self.results = {str(experiment): result for experiment, result in results.items()}
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
        self._aucs: dict[str, np.ndarray] = {}

    def scores(self, task: str, architecture: Architecture, level: int | None = None):
        """Score on the sample and its resamples, shape (1 + N_BOOTSTRAP,); None if missing."""
        found = self._by_tag_or_clip(task, architecture, level)
        return None if found is None else np.nanmean(found, axis=1)

    def tag_scores(self, architecture: Architecture, level: int | None = None):
        """AUC of every tag, shape (1 + N_BOOTSTRAP, n_tags); None if missing."""
        return self._by_tag_or_clip("tagging", architecture, level)

    def chosen(self, task: str, approach: tuple[str, int]) -> np.ndarray | None:
        """Scores of an approach with the dictionary that did best on the validation set."""
        found = {
            dictionary: self._result(task, _of(approach, dictionary)) for dictionary in DICTIONARIES
        }
        if any(result is None for result in found.values()):
            return None
        best = max(found, key=lambda dictionary: np.nanmean(found[dictionary].valid_scores))
        return self.scores(task, _of(approach, best))

    def n_runs(self) -> int:
        """Runs per experiment: the least there are."""
        return min((len(result.scores) for result in self.results.values()), default=0)

    def _result(self, task, architecture, level=None) -> TaskResult | None:
        name = str(Experiment(task=task, architecture=architecture, level=level))
        return self.results.get(name)

    def _by_tag_or_clip(self, task, architecture, level) -> np.ndarray | None:
        result = self._result(task, architecture, level)
        if result is None:
            return None
        key = f"{task} {architecture} {level}"
        if key not in self._aucs:
            runs = np.stack([self._one_run(task, values) for values in result.predictions])
            self._aucs[key] = _mean_of_drawn_runs(runs, self.run_draws)
        return self._aucs[key]

    def _one_run(self, task: str, predictions: np.ndarray) -> np.ndarray:
        """(1 + N_BOOTSTRAP, n_tags) AUCs, or (1 + N_BOOTSTRAP, 1) mean probabilities."""
        if task == "tagging":
            return weighted_auc(self.tags, predictions, self.weights)
        probability = clip_probability(predictions, self.artists)
        scored = np.isfinite(probability)
        weights = self.weights[:, scored]
        return (weights @ probability[scored] / weights.sum(axis=1))[:, None]


def evidence(profile: Profile, seed: int = 0) -> Evidence:
    """What has been computed of a profile, ready for the rules."""
    test = datasets.load(profile.dataset).split("test")
    found = {
        experiment: result
        for experiment in grid.everything()
        if (result := stored_result(profile, experiment, seed)) is not None
    }
    return Evidence(found, test.tags, test.tag_names, test.artists, seed)


def weighted_auc(tags: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC of every tag when clips count several times: the bootstrap, without copies.

    Parameters
    ----------
    tags : ndarray of shape (n_clips, n_tags), bool
        True tags.
    scores : ndarray of shape (n_clips, n_tags)
        Predictions.
    weights : ndarray of shape (n_resamples, n_clips)
        How often each clip is drawn.

    Returns
    -------
    ndarray of shape (n_resamples, n_tags)
        NaN where no clip with the tag, or none without it, is drawn.
    """
    aucs = np.full((len(weights), tags.shape[1]), np.nan)
    for tag, has in enumerate(tags.T):
        order = np.argsort(scores[:, tag], kind="stable")
        ranked = scores[order, tag]
        ties = np.flatnonzero(np.diff(ranked, prepend=np.nan) != 0)  # where each new score begins
        drawn = weights[:, order].astype(float)
        with_tag = np.add.reduceat(drawn * has[order], ties, axis=1)
        without = np.add.reduceat(drawn * ~has[order], ties, axis=1)
        below = without.cumsum(axis=1) - without / 2  # half of those that tie
        pairs = with_tag.sum(axis=1) * without.sum(axis=1)
        np.divide((with_tag * below).sum(axis=1), pairs, out=aucs[:, tag], where=pairs > 0)
    return aucs


def verdict(effect: Effect | None) -> str:
    """What an effect says of a sentence: holds, does not hold, or cannot be told."""
    if effect is None or not np.isfinite([effect.low, effect.high]).all():
        return OPEN
    if effect.low > 0:
        return HOLDS
    return FAILS if effect.high < 0 else OPEN


def ledger(evidence: Evidence) -> pd.DataFrame:
    """The claims of the paper, each with effect, interval, runs and verdict.

    Parameters
    ----------
    evidence : Evidence
        The results of a profile.

    Returns
    -------
    DataFrame
        One row per claim, in the order of :data:`CLAIMS`.
    """
    rows = []
    for claim in CLAIMS:
        effect = claim.measure(evidence)
        rows.append(
            {
                "claim": claim.number,
                "section": claim.section,
                "sentence": claim.sentence,
                "rule": claim.rule,
                "effect": effect.value if effect else np.nan,
                "low": effect.low if effect else np.nan,
                "high": effect.high if effect else np.nan,
                "runs": effect.n_runs if effect else 0,
                "verdict": verdict(effect),
            }
        )
    return pd.DataFrame(rows).set_index("claim")


def _mean_of_drawn_runs(runs: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(n_runs, 1 + B, k) -> (1 + B, k): the mean of all runs, then of runs drawn anew."""
    n_runs = len(runs)
    picked = (draws[:, :n_runs] * n_runs).astype(int)
    resamples = np.arange(1, runs.shape[1])
    drawn = np.mean([runs[picked[:, i], resamples] for i in range(n_runs)], axis=0)
    return np.concatenate([runs[:, :1].mean(axis=0), drawn])


APPROACHES = tuple((scale, length) for scale in SCALES for length in WINDOW_LENGTHS[scale])
"""The seven multiscale approaches of §4.2."""

MEANS = tuple(dictionary for dictionary in DICTIONARIES if dictionary != "pca")
"""Dictionary sizes of K-means."""

TOP = PAPERS_BEST.n_levels - 1


def _of(approach: tuple[str, int], dictionary: str | int) -> Architecture:
    scale, length = approach
    return Architecture(scale=scale, window_length=length, dictionary=dictionary)


def _effect(evidence: Evidence, values: np.ndarray | None) -> Effect | None:
    """From the value on the sample (first) and on its resamples."""
    if values is None:
        return None
    low, high = np.nanpercentile(values[1:], (2.5, 97.5))
    return Effect(float(values[0]), float(low), float(high), evidence.n_runs())


def _known(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Stack what is there; None if a part is missing."""
    return None if any(part is None for part in parts) else np.stack(list(parts))


def _kmeans_over_pca(evidence: Evidence) -> Effect | None:
    means = _known([evidence.scores("tagging", _of(a, m)) for a in APPROACHES for m in MEANS])
    pca = _known([evidence.scores("tagging", _of(a, "pca")) for a in APPROACHES for _ in MEANS])
    if means is None or pca is None:
        return None
    return _effect(evidence, (means > pca).mean(axis=0) - 0.8)


def _small_difference(evidence: Evidence) -> Effect | None:
    large = _known([evidence.scores("tagging", _of(a, 1000)) for a in APPROACHES])
    middle = _known([evidence.scores("tagging", _of(a, 500)) for a in APPROACHES])
    if large is None or middle is None:
        return None
    return _effect(evidence, SMALL - np.median(np.abs(large - middle), axis=0))


def _best_approach(task: str, approach: tuple[str, int]) -> Callable[[Evidence], Effect | None]:
    def measure(evidence: Evidence) -> Effect | None:
        others = _known([evidence.chosen(task, a) for a in APPROACHES if a != approach])
        own = evidence.chosen(task, approach)
        return None if others is None or own is None else _effect(evidence, own - others.max(0))

    return measure


def _windows_against_frames(scale: str, sign: int) -> Callable[[Evidence], Effect | None]:
    def measure(evidence: Evidence) -> Effect | None:
        by_length = {
            length: _known([evidence.scores("tagging", _of((scale, length), m)) for m in MEANS])
            for length in WINDOW_LENGTHS[scale]
        }
        if any(scores is None for scores in by_length.values()):
            return None
        longer = (by_length[2] + by_length[4]) / 2
        return _effect(evidence, sign * (longer - by_length[1]).mean(axis=0))

    return measure


def _fewer_means_for_similarity(evidence: Evidence) -> Effect | None:
    middle = _known([evidence.scores("similarity", _of(a, 500)) for a in APPROACHES])
    large = _known([evidence.scores("similarity", _of(a, 1000)) for a in APPROACHES])
    if middle is None or large is None:
        return None
    return _effect(evidence, (middle - large).mean(axis=0))


def _levels(evidence: Evidence) -> np.ndarray | None:
    """AUCs from each level alone, shape (n_levels, 1 + N_BOOTSTRAP, n_tags)."""
    best = PAPERS_BEST
    return _known([evidence.tag_scores(best, level) for level in range(best.n_levels)])


def _all_levels_beat_each(evidence: Evidence) -> Effect | None:
    every, alone = evidence.tag_scores(PAPERS_BEST), _levels(evidence)
    if every is None or alone is None:
        return None
    return _effect(evidence, np.nanmin(every - alone.max(axis=0), axis=1))


def _leans_on(
    tags: Sequence[str], levels: Sequence[int], against: Sequence[int] | None = None
) -> Callable[[Evidence], Effect | None]:
    def measure(evidence: Evidence) -> Effect | None:
        alone = _levels(evidence)
        known = [evidence.tag_names.index(tag) for tag in tags if tag in evidence.tag_names]
        if alone is None or not known:
            return None
        others = [level for level in range(len(alone)) if level not in levels]
        own = alone[list(levels)][:, :, known].max(axis=0)
        rest = alone[list(against or others)][:, :, known].max(axis=0)
        return _effect(evidence, (own - rest).mean(axis=1))

    return measure


def _beats(better: Architecture, worse: Sequence[Architecture]):
    def measure(evidence: Evidence) -> Effect | None:
        own = evidence.scores("tagging", better)
        others = _known([evidence.scores("tagging", architecture) for architecture in worse])
        return None if own is None or others is None else _effect(evidence, own - others.max(0))

    return measure


def _several_timescales(evidence: Evidence) -> Effect | None:
    every = evidence.scores("tagging", PAPERS_BEST)
    single = evidence.scores("tagging", SINGLE_TIMESCALE)
    alone = _levels(evidence)
    if every is None or single is None or alone is None:
        return None
    best_alone = np.nanmean(alone, axis=2).max(axis=0)
    return _effect(evidence, every - np.maximum(single, best_alone))


def _no_clear_winner(evidence: Evidence) -> Effect | None:
    scores = _known([evidence.chosen("tagging", approach) for approach in APPROACHES])
    if scores is None:
        return None
    ordered = np.sort(scores, axis=0)
    return _effect(evidence, SMALL - (ordered[-1] - ordered[-2]))


CLAIMS = (
    Claim(
        1,
        "5.1",
        "Features learned with K-means almost always predict tags better than PCA components.",
        "share of the 21 pairs in which K-means has the higher AUC, less 0.8",
        _kmeans_over_pca,
    ),
    Claim(
        2,
        "5.1",
        "Between 500 and 1000 means the difference is usually small.",
        f"{SMALL} less the median absolute difference in AUC over the approaches",
        _small_difference,
    ),
    Claim(
        3,
        "5.1",
        "A Laplacian pyramid with single frames predicts tags best.",
        "its AUC less that of the best other approach",
        _best_approach("tagging", ("laplacian", 1)),
    ),
    Claim(
        4,
        "5.1",
        "Windows of several frames help with a Gaussian pyramid.",
        "AUC with 2 and 4 frames less that with 1, mean over the dictionaries of means",
        _windows_against_frames("gaussian", 1),
    ),
    Claim(
        5,
        "5.1",
        "With a Laplacian pyramid windows of several frames are not needed.",
        "AUC with 1 frame less that with 2 and 4, mean over the dictionaries of means",
        _windows_against_frames("laplacian", -1),
    ),
    Claim(
        6,
        "5.1",
        "A Gaussian pyramid with windows of 2 frames is best for similarity.",
        "its probability of correct classification less that of the best other approach",
        _best_approach("similarity", ("gaussian", 2)),
    ),
    Claim(
        7,
        "5.1",
        "For similarity 1000 means are clearly worse than 500.",
        "probability with 500 means less that with 1000, mean over the approaches",
        _fewer_means_for_similarity,
    ),
    Claim(
        8,
        "5.2",
        "All levels together beat every single level, for all tags.",
        "AUC from all levels less that from the best one, for the tag where it is least",
        _all_levels_beat_each,
    ),
    Claim(
        9,
        "5.2",
        "The tag slow leans on the coarsest level.",
        "its AUC from the top level less that from the best other",
        _leans_on(["slow"], [TOP]),
    ),
    Claim(
        10,
        "5.2",
        "The tag fast leans on level 1.",
        "its AUC from level 1 less that from the best other",
        _leans_on(["fast"], [1]),
    ),
    Claim(
        11,
        "5.2",
        "Tags of dynamics, loud, quiet and soft, lean on the coarsest level.",
        "their mean AUC from the top level less that from the best other",
        _leans_on(["loud", "quiet", "soft"], [TOP]),
    ),
    Claim(
        12,
        "5.2",
        "Tags of voices lean on the middle levels.",
        "their mean AUC from the best of levels 1 to 4 less that from the better of 0 and 5",
        _leans_on(["vocal", "female", "singing", "vocals"], range(1, TOP)),
    ),
    Claim(
        13,
        "5.2",
        "The tag flute leans on the coarsest level.",
        "its AUC from the top level less that from the best other",
        _leans_on(["flute"], [TOP]),
    ),
    Claim(
        14,
        "2.1",
        "Whitening improves what K-means learns.",
        "AUC with whitening less that without",
        _beats(PAPERS_BEST, [NOT_WHITENED]),
    ),
    Claim(
        15,
        "3.1",
        "Doubling the hop with the window hurts the multiresolution spectrogram.",
        "AUC with one hop less that with doubled hops",
        _beats(_of(("multiresolution", 1), 500), [DOUBLED_HOP]),
    ),
    Claim(
        16,
        "2.3",
        "The maximum is the best single pooling function.",
        "AUC with the maximum less that with the best of mean, minimum and variance",
        _beats(PAPERS_BEST, list(POOLED.values())),
    ),
    Claim(
        17,
        "6",
        "Learning at several timescales beats learning at one.",
        "AUC from all levels less that from the best level, or from the mel-spectrogram alone",
        _several_timescales,
    ),
    Claim(
        18,
        "6",
        "No multiscale approach is a clear winner.",
        f"{SMALL} less the lead in AUC of the best approach over the second",
        _no_clear_winner,
    ),
)
"""The ledger's claims."""
