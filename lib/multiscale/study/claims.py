"""The paper's sentences as checks (§5-6): each a rule, fixed in code before any run.

A rule measures an effect, larger than 0 if the sentence holds, with an interval: paired over runs,
and bootstrapped over test clips. The verdict follows from where the interval lies, and from
nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from multiscale.config import APPROACHES, DICTIONARIES, WINDOW_LENGTHS
from multiscale.study.design import (
    DOUBLED_HOP,
    NOT_WHITENED,
    PAPERS_BEST,
    POOLED,
    SINGLE_TIMESCALE,
    Architecture,
    Experiment,
)
from multiscale.study.evidence import FAILS, HOLDS, OPEN, Effect, Evidence

__all__ = ["CLAIMS", "FAILS", "HOLDS", "OPEN", "Claim", "ledger", "verdict"]

SMALL = 0.01
"""A difference in mean AUC below this is called small."""

NOTHING = (np.nan, np.nan, np.nan, 0)
"""Effect, interval and runs where results are missing."""

ALMOST_ALWAYS, NEARLY_ALL = 0.8, 0.9
"""Shares above which a sentence that speaks of nearly all cases is taken to hold."""


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper (paraphrased), and the rule by which it holds."""

    number: int
    section: str
    sentence: str
    rule: str  # what is measured, in words: the sentence holds if it is above 0
    measure: Callable[[Evidence], Effect | None]  # None where evidence is missing


def verdict(effect: Effect | None) -> str:
    """What an effect says of a sentence: holds, does not hold, or cannot be told."""
    return effect.verdict if effect else OPEN


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
        found = (effect.value, effect.low, effect.high, effect.n_runs) if effect else NOTHING
        said = (claim.number, claim.section, claim.sentence, claim.rule)
        rows.append((*said, *found, verdict(effect)))
    names = ["claim", "section", "sentence", "rule", "effect", "low", "high", "runs", "verdict"]
    return pd.DataFrame(rows, columns=names).set_index("claim")


MEANS = tuple(dictionary for dictionary in DICTIONARIES if dictionary != "pca")
"""Dictionary sizes of K-means."""

TOP = PAPERS_BEST.n_levels - 1


def _on(task: str, approach: tuple[str, int], dictionary: str | int) -> Experiment:
    name, length = approach
    architecture = Architecture(representation=name, window_length=length, dictionary=dictionary)
    return Experiment(task=task, architecture=architecture)


_tags = partial(_on, "tagging")


def _tagging(architecture: Architecture, level: int | None = None) -> Experiment:
    return Experiment(task="tagging", architecture=architecture, level=level)


def _chosen(evidence: Evidence, task: str, approach: tuple[str, int]) -> np.ndarray | None:
    """Scores of an approach with the dictionary that did best on the validation set."""
    return evidence.chosen([_on(task, approach, dictionary) for dictionary in DICTIONARIES])


def _known(parts: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Stack what is there; None if a part is missing."""
    return None if any(part is None for part in parts) else np.stack(list(parts))


def _share(evidence: Evidence, shares: np.ndarray, asked: float) -> Effect:
    """By how much a share, which is between 0 and 1, exceeds the one asked for."""
    return evidence.effect(shares - asked, -asked, 1 - asked)


def _kmeans_over_pca(evidence: Evidence) -> Effect | None:
    means = _known([evidence.scores(_tags(a, m)) for a in APPROACHES for m in MEANS])
    pca = _known([evidence.scores(_tags(a, "pca")) for a in APPROACHES for _ in MEANS])
    if means is None or pca is None:
        return None
    return _share(evidence, (means > pca).mean(axis=0), ALMOST_ALWAYS)


def _small_difference(evidence: Evidence) -> Effect | None:
    large = _known([evidence.scores(_tags(a, 1000)) for a in APPROACHES])
    middle = _known([evidence.scores(_tags(a, 500)) for a in APPROACHES])
    if large is None or middle is None:
        return None
    return evidence.effect(SMALL - np.median(np.abs(large - middle), axis=0), most=SMALL)


def _best_approach(task: str, approach: tuple[str, int]) -> Callable[[Evidence], Effect | None]:
    def measure(evidence: Evidence) -> Effect | None:
        others = _known([_chosen(evidence, task, a) for a in APPROACHES if a != approach])
        own = _chosen(evidence, task, approach)
        return None if others is None or own is None else evidence.effect(own - others.max(0))

    return measure


def _windows_against_frames(name: str, sign: int) -> Callable[[Evidence], Effect | None]:
    def measure(evidence: Evidence) -> Effect | None:
        by_length = {
            length: _known([evidence.scores(_tags((name, length), m)) for m in MEANS])
            for length in WINDOW_LENGTHS[name]
        }
        if any(scores is None for scores in by_length.values()):
            return None
        longer = (by_length[2] + by_length[4]) / 2
        return evidence.effect(sign * (longer - by_length[1]).mean(axis=0))

    return measure


def _fewer_means_for_similarity(evidence: Evidence) -> Effect | None:
    middle = _known([evidence.scores(_on("similarity", a, 500)) for a in APPROACHES])
    large = _known([evidence.scores(_on("similarity", a, 1000)) for a in APPROACHES])
    if middle is None or large is None:
        return None
    return evidence.effect((middle - large).mean(axis=0))


def _levels(evidence: Evidence) -> np.ndarray | None:
    """AUCs from each level alone, shape (n_levels, 1 + N_BOOTSTRAP, n_tags)."""
    best = PAPERS_BEST
    return _known([evidence.tag_scores(_tagging(best, level)) for level in range(best.n_levels)])


def _all_levels_beat_each(evidence: Evidence) -> Effect | None:
    every, alone = evidence.tag_scores(_tagging(PAPERS_BEST)), _levels(evidence)
    if every is None or alone is None:
        return None
    ahead = np.where(np.isfinite(every), every > alone.max(axis=0), np.nan)
    return _share(evidence, np.nanmean(ahead, axis=1), NEARLY_ALL)


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
        return evidence.effect((own - rest).mean(axis=1))

    return measure


def _beats(better: Architecture, worse: Sequence[Architecture]):
    def measure(evidence: Evidence) -> Effect | None:
        own = evidence.scores(_tagging(better))
        others = _known([evidence.scores(_tagging(architecture)) for architecture in worse])
        return None if own is None or others is None else evidence.effect(own - others.max(0))

    return measure


def _several_timescales(evidence: Evidence) -> Effect | None:
    every = evidence.scores(_tagging(PAPERS_BEST))
    single = evidence.scores(SINGLE_TIMESCALE)
    alone = _levels(evidence)
    if every is None or single is None or alone is None:
        return None
    best_alone = np.nanmean(alone, axis=2).max(axis=0)
    return evidence.effect(every - np.maximum(single, best_alone))


def _no_clear_winner(evidence: Evidence) -> Effect | None:
    scores = _known([_chosen(evidence, "tagging", approach) for approach in APPROACHES])
    if scores is None:
        return None
    ordered = np.sort(scores, axis=0)
    return evidence.effect(SMALL - (ordered[-1] - ordered[-2]), most=SMALL)


CLAIMS = (
    Claim(
        1,
        "5.1",
        "Features learned with K-means almost always predict tags better than PCA components.",
        f"share of the 21 pairs in which K-means has the higher AUC, less {ALMOST_ALWAYS}",
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
        f"share of the tags for which all levels have the higher AUC, less {NEARLY_ALL}",
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
        _beats(Architecture(representation="multiresolution"), [DOUBLED_HOP]),
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
