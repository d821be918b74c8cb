"""The ledger on made-up results of which the verdict is known."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import USERS_HOME
from sklearn.metrics import roc_auc_score

from multiscale.config import ParameterError
from multiscale.study import Study, claims, design, evidence
from multiscale.study.claims import CLAIMS, FAILS, HOLDS, OPEN, verdict
from multiscale.study.design import PAPERS_BEST, Architecture
from multiscale.study.evidence import Effect, Evidence
from multiscale.study.protocol import Result
from multiscale.training import Hyperparameters

N_CLIPS, N_RUNS = 400, 3
NAMES = ("slow", "fast", "loud", "quiet", "soft", "vocal", "flute")


def world(strength, task="tagging") -> Evidence:
    """Evidence in which an experiment separates tags, or artists, as strongly as said.

    ``strength(experiment, tag)`` is the distance between clips with and without the tag, in
    standard deviations of the noise; for similarity ``tag`` is None.
    """
    rng = np.random.default_rng(0)
    tags = rng.random((N_CLIPS, len(NAMES))) < 0.4
    artists = rng.integers(8, size=N_CLIPS)
    noise = rng.standard_normal((N_RUNS, N_CLIPS, len(NAMES)))
    places = np.eye(8)[artists]
    blur = rng.standard_normal((N_RUNS, N_CLIPS, 8))
    results = {}
    for experiment in design.everything():
        if experiment.task == "tagging":
            shift = np.array([strength(experiment, name) for name in NAMES])
            outputs = noise + shift * tags
            valid = shift.mean()
        else:
            valid = strength(experiment, None)
            outputs = valid * places + blur
        results[experiment] = result(outputs, valid)
    return Evidence(results, tags, NAMES, artists.astype(str))


def result(outputs: np.ndarray, valid: float) -> Result:
    """What an experiment would store."""
    empty = np.empty(0)
    scores = np.full(N_RUNS, valid)
    best = Hyperparameters(0.1, 0.1)
    return Result(best, empty, empty, empty, empty, scores, scores, outputs, scores, 1.0)


def papers(experiment, tag) -> float:
    """A world in which the paper is right."""
    a = experiment.architecture
    base = {"pca": 0.8, 200: 1.3, 500: 1.4, 1000: 1.4}.get(a.dictionary, 0.5)  # or a baseline
    if experiment.task == "similarity":
        return (
            base
            + (1.0 if (a.representation, a.window_length) == ("gaussian", 2) else 0.0)
            - (0.5 if a.dictionary == 1000 else 0.0)
        )
    if experiment.level is not None:
        middle = {"vocal": (1, 2, 3, 4), "fast": (1,)}.get(tag, (5,))
        return 1.0 if experiment.level in middle else 0.3
    if a == PAPERS_BEST.model_copy(update={"dictionary": a.dictionary}):
        return base + 0.6
    usual = Architecture(
        representation=a.representation, window_length=a.window_length, dictionary=a.dictionary
    )
    if a != usual:  # an aside: no whitening, doubled hop, other pooling, one timescale
        return 0.5
    return base + (0.3 if a.representation == "gaussian" and a.window_length > 1 else 0.0)


def mirrored(experiment, tag) -> float:
    """A world in which it is wrong."""
    return 2.4 - papers(experiment, tag)


# Small differences and no winner are about sizes, which the made-up worlds make large.
ABOUT_SIZE = {2, 18}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"claim{claim.number}")
def test_verdicts_of_known_worlds(claim):
    assert verdict(claim.measure(RIGHT)) == (HOLDS if claim.number != 18 else FAILS)
    if claim.number not in ABOUT_SIZE:
        assert verdict(claim.measure(WRONG)) == FAILS


def test_sizes():
    by_number = {claim.number: claim for claim in CLAIMS}
    assert verdict(by_number[18].measure(world(lambda *_: 1.0))) == HOLDS
    apart = world(lambda e, _: 2.0 if e.architecture.dictionary == 1000 else 0.5)
    assert verdict(by_number[2].measure(apart)) == FAILS


def test_noise_settles_nothing():
    """Where all are equal, no difference is seen."""
    level = world(lambda *_: 1.0)
    differences = [claim for claim in CLAIMS if claim.number not in ABOUT_SIZE | {1}]
    assert HOLDS not in {verdict(claim.measure(level)) for claim in differences}


def test_missing_evidence_is_no_evidence():
    nothing = Evidence({}, np.zeros((5, 1), bool), ["slow"], np.array(list("aabbc")))
    table = claims.ledger(nothing)
    assert len(table) == len(CLAIMS) == 18
    assert set(table["verdict"]) == {OPEN}
    assert table["effect"].isna().all()


def test_a_tag_that_is_missing_cannot_be_told():
    by_number = {claim.number: claim for claim in CLAIMS}
    without = world(papers)
    without.tag_names = ["other"] * len(NAMES)
    assert by_number[9].measure(without) is None


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.1, 0.2, HOLDS), (-0.2, -0.1, FAILS), (-0.1, 0.1, OPEN), (np.nan, 0.1, OPEN)],
)
def test_verdict_follows_from_the_interval(low, high, expected):
    assert verdict(Effect(0.0, low, high, 3)) == expected
    assert verdict(None) == OPEN


def test_weighted_auc_is_the_auc_of_copies():
    rng = np.random.default_rng(0)
    tags, scores = rng.random((30, 2)) < 0.4, rng.integers(5, size=(30, 2)) / 5
    weights = rng.multinomial(30, np.full(30, 1 / 30), 4)
    ours = evidence.weighted_auc(tags, scores, weights)
    for row, counts in zip(ours, weights, strict=True):
        copies = np.repeat(np.arange(30), counts)
        for tag in range(2):
            expected = roc_auc_score(tags[copies, tag], scores[copies, tag])
            assert row[tag] == pytest.approx(expected)


def test_every_claim_names_its_section_and_rule():
    assert [claim.number for claim in CLAIMS] == list(range(1, 19))
    for claim in CLAIMS:
        assert claim.section
        assert claim.sentence.endswith(".")
        assert "less" in claim.rule


RIGHT, WRONG = world(papers), world(mirrored)


def readme_rows() -> list[tuple[int, str, str, Effect, str]]:
    """What the README's table says: claim, sentence, rule, effect and verdict."""
    number = r"([+-]\d\.\d{4})"
    row = rf"^\| (\d+) \| (.+?) \| (.+?) \| {number} \({number} to {number}\) \| (.+?) \|$"
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    found = re.findall(row, text, re.MULTILINE)
    return [
        (int(claim), sentence, rule, Effect(*map(float, numbers), n_runs=3), said)
        for claim, sentence, rule, *numbers, said in found
    ]


def test_the_readme_quotes_claims_in_their_words_and_by_their_verdict():
    rows = readme_rows()
    assert len(rows) == 8
    for number, sentence, rule, effect, said in rows:
        claim = CLAIMS[number - 1]
        assert (sentence, rule, said) == (claim.sentence, claim.rule, effect.verdict)


def test_the_readme_agrees_with_results_that_are_there(monkeypatch):
    monkeypatch.setenv("MULTISCALE_HOME", USERS_HOME)
    study = Study("laptop")
    try:
        found = [study.result(experiment) for experiment in design.everything()]
    except (ParameterError, OSError) as error:
        pytest.skip(f"no data: {error}")
    if None in found:
        pytest.skip("the experiments of laptop have not been computed")
    ledger = study.ledger()
    for number, *_, effect, _ in readme_rows():
        found = ledger.loc[number]
        assert found["low"] - 1e-4 <= effect.value <= found["high"] + 1e-4, number
