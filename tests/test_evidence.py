"""Effects and their intervals, on made-up results."""

from __future__ import annotations

import numpy as np
import pytest
from test_claims import papers, world

from multiscale.study.design import PAPERS_BEST, Experiment
from multiscale.study.evidence import FAILS, HOLDS, N_BOOTSTRAP, OPEN, Effect, Evidence, in_numbers

BEST = Experiment(task="tagging", architecture=PAPERS_BEST)
WORSE = Experiment(task="tagging", architecture=PAPERS_BEST.model_copy(update={"pooling": "mean"}))
RIGHT = world(papers)


def test_a_change_has_the_sign_of_the_difference_and_an_interval_around_it():
    effect = RIGHT.change(BEST, WORSE)
    assert effect.low < effect.value < effect.high
    assert effect.low > 0
    back = RIGHT.change(WORSE, BEST)
    assert (back.value, back.low, back.high) == pytest.approx(
        (-effect.value, -effect.high, -effect.low)
    )
    assert effect.n_runs == 3


def test_an_end_that_is_not_zero_is_not_told_as_zero():
    assert in_numbers(0.0012, -0.00003, 0.0025) == "+0.0012 (-0.00003 to +0.0025)"
    assert in_numbers(0.0, 0.0, 0.0) == "+0.0000 (+0.0000 to +0.0000)"
    assert Effect(-0.002, -0.004, -0.00002, 3).words == "0.0020 less (interval 0.00002 to 0.0040)"
    assert Effect(0.002, 0.001, 0.004, 3).words == "0.0020 more (interval 0.0010 to 0.0040)"


def test_nothing_changes_from_an_experiment_to_itself():
    effect = RIGHT.change(BEST, BEST)
    assert (effect.value, effect.low, effect.high) == (0, 0, 0)


def test_less_confidence_is_a_narrower_interval():
    def width(confidence: float) -> float:
        RIGHT.confidence = confidence
        effect = RIGHT.change(BEST, WORSE)
        return effect.high - effect.low

    widths = [width(confidence) for confidence in (0.5, 0.8, 0.95)]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_a_best_of_lies_within_its_interval():
    """The greatest of many noisy values is greater still in resamples: that bias is taken back."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((1 + N_BOOTSTRAP, 50))
    values[0] = 0
    effect = RIGHT.effect(values.max(axis=1))
    assert effect.high < 0 < values.max(axis=1)[1:].min()


def test_an_interval_ends_at_what_is_possible():
    values = np.r_[0.4, np.random.default_rng(0).uniform(0, 0.4, N_BOOTSTRAP)]
    assert RIGHT.effect(values).high > 0.5
    assert RIGHT.effect(values, most=0.5).high == 0.5
    assert RIGHT.effect(-values, least=-0.5).low == -0.5


@pytest.mark.parametrize("lead", [0.0, 0.3])
def test_intervals_of_a_best_of_hold_the_truth_more_often_than_percentiles(lead):
    """The first of seven against the best other, of 200 clips, where the true lead is known."""
    rng = np.random.default_rng(1)
    n_clips, n_worlds, truth = 200, 100, np.r_[lead, np.zeros(6)]
    evidence = Evidence({}, np.zeros((n_clips, 1), bool), ["slow"], np.zeros(n_clips))
    held = {"ours": 0, "percentile": 0}
    for _ in range(n_worlds):
        clips = truth[:, None] + rng.standard_normal((7, n_clips))
        scores = clips @ evidence.weights.T / n_clips  # of the sample, and of its resamples
        leads = scores[0] - scores[1:].max(axis=0)
        effect = evidence.effect(leads)
        held["ours"] += effect.low <= lead <= effect.high
        low, high = np.percentile(leads[1:], (2.5, 97.5))
        held["percentile"] += low <= lead <= high
    assert held["percentile"] < 0.8 * n_worlds < held["ours"]


def test_the_first_scores_are_those_of_the_sample():
    scores = RIGHT.tag_scores(BEST)
    assert scores.shape == (1 + N_BOOTSTRAP, len(RIGHT.tag_names))
    assert RIGHT.scores(BEST)[0] == pytest.approx(scores[0].mean())


def test_what_is_missing_has_no_effect():
    nothing = Evidence({}, np.zeros((5, 1), bool), ["slow"], np.array(list("aabbc")))
    assert nothing.scores(BEST) is None
    assert nothing.change(BEST, WORSE) is None
    assert nothing.chosen([BEST]) is None


@pytest.mark.parametrize(
    ("effect", "verdict", "words"),
    [
        ((0.02, 0.01, 0.03), HOLDS, "0.0200 more (interval 0.0100 to 0.0300)"),
        ((-0.02, -0.03, -0.01), FAILS, "0.0200 less (interval 0.0100 to 0.0300)"),
        (
            (0.02, -0.01, 0.05),
            OPEN,
            "a difference cannot be told at this size (+0.0200, interval -0.0100 to +0.0500)",
        ),
    ],
)
def test_words_say_which_way_and_how_sure(effect, verdict, words):
    assert Effect(*effect, 3).verdict == verdict
    assert Effect(*effect, 3).words == words


def test_experiments_are_told_apart_by_their_fields():
    same = Experiment(task="tagging", architecture=PAPERS_BEST.model_copy())
    assert RIGHT.scores(same) is not None
    np.testing.assert_array_equal(RIGHT.scores(same), RIGHT.scores(BEST))
