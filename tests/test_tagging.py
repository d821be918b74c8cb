"""AUC is pair counting; the MLP learns what is there to learn, and nothing from shuffled tags."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import GridSearchCV

from multiscale.config import ParameterError, TrainingSettings
from multiscale.tagging import (
    TAGGING,
    TagClassifier,
    mean_auc,
    run_scores,
    tag_auc,
    tag_average_precision,
)
from multiscale.training import Hyperparameters, fit_runs

SETTINGS = TrainingSettings(n_trials=3, n_runs=2, max_epochs=60, n_hidden=30)
GOOD = Hyperparameters(0.1, 1e-3)


def planted(n_clips=200, n_windows=3, n_features=20, n_tags=4, seed=0):
    """Tags that a linear rule on the clip's mean features decides, its windows being noisy."""
    rng = np.random.default_rng(seed)
    rule = np.random.default_rng(99).standard_normal((n_features, n_tags))
    clips = rng.standard_normal((n_clips, 1, n_features))
    features = clips + 0.3 * rng.standard_normal((n_clips, n_windows, n_features))
    return (5 + 2 * features).astype(np.float32), clips[:, 0] @ rule > 1


def splits(**sizes):
    return *planted(seed=0, **sizes), *planted(seed=1, **sizes)


def fit(data, hyperparameters, **options):
    return fit_runs(TAGGING, data[:2], data[2:], hyperparameters, SETTINGS, device="cpu", **options)


def pairs_ranked_right(tags, scores):
    """The definition: of a clip with the tag and one without, the first scores higher."""
    wins = [
        (with_tag > without) + 0.5 * (with_tag == without)
        for with_tag in scores[tags]
        for without in scores[~tags]
    ]
    return np.mean(wins)


def test_auc_counts_pairs():
    rng = np.random.default_rng(0)
    tags = rng.random((40, 3)) < 0.3
    scores = rng.integers(0, 6, (40, 3)) / 6  # with ties
    ours = tag_auc(tags, scores)
    for tag in range(3):
        assert ours[tag] == pytest.approx(pairs_ranked_right(tags[:, tag], scores[:, tag]))
        assert ours[tag] == pytest.approx(roc_auc_score(tags[:, tag], scores[:, tag]))
    assert mean_auc(tags, scores) == pytest.approx(ours.mean())


def test_average_precision_is_scikit_learns():
    rng = np.random.default_rng(1)
    tags = rng.random((40, 3)) < 0.3
    scores = rng.integers(0, 6, (2, 40, 3)) / 6  # two runs, with ties
    expected = [average_precision_score(tags, run, average=None) for run in scores]
    np.testing.assert_allclose(tag_average_precision(tags, scores), expected)


def test_auc_is_undefined_for_a_tag_of_all_or_none():
    rng = np.random.default_rng(0)
    tags = rng.random((20, 4)) < 0.5
    tags[:, 1], tags[:, 3] = True, False
    scores = rng.random((20, 4))
    auc = tag_auc(tags, scores)
    np.testing.assert_array_equal(np.isnan(auc), [False, True, False, True])
    assert mean_auc(tags, scores) == pytest.approx((auc[0] + auc[2]) / 2)
    assert auc[2] == pytest.approx(pairs_ranked_right(tags[:, 2], scores[:, 2]))
    np.testing.assert_array_equal(
        np.isnan(tag_average_precision(tags, scores)), [False, True, False, True]
    )


@pytest.mark.filterwarnings("error")
def test_no_tag_that_can_be_scored_is_nan_in_silence():
    tags = np.zeros((5, 2), bool)
    assert np.isnan(mean_auc(tags, np.random.default_rng(0).random((5, 2))))


def test_perfect_reversed_and_broken_scores():
    tags = np.array([[0], [0], [1], [1]], bool)
    scores = np.array([[0.1], [0.2], [0.3], [0.4]])
    assert tag_auc(tags, scores)[0] == 1
    assert tag_auc(tags, -scores)[0] == 0
    assert tag_auc(tags, 0 * scores)[0] == 0.5
    scores[0] = np.nan
    assert np.isnan(mean_auc(tags, scores))
    np.testing.assert_array_equal(
        run_scores(tags, np.stack([tags.astype(float), scores])), [1, np.nan]
    )


def test_learns_a_planted_rule_but_nothing_from_shuffled_tags():
    train, tags, valid, valid_tags = splits()
    test, test_tags = planted(seed=2)
    model = fit((train, tags, valid, valid_tags), [GOOD])
    assert run_scores(test_tags, model.outputs(test))[0] > 0.9
    shuffled = np.random.default_rng(0).permutation(tags)
    model = fit((train, shuffled, valid, valid_tags), [GOOD])
    assert 0.25 < run_scores(test_tags, model.outputs(test))[0] < 0.75


def test_a_clips_prediction_is_the_mean_of_its_windows():
    data = splits()
    model = fit(data, [GOOD, GOOD])
    clips = data[2][:7]
    by_clip = model.outputs(clips)
    assert by_clip.shape == (2, 7, 4)
    assert by_clip.dtype == np.float32
    by_window = model.outputs(clips.reshape(21, 1, -1)).reshape(2, 7, 3, 4)
    np.testing.assert_allclose(by_clip, by_window.mean(axis=2), rtol=1e-5)
    assert by_window.std(axis=2).max() > 0.01


def test_the_network_is_that_of_the_paper():
    """One hidden layer of rectified linear units, written out."""
    data = splits()
    model = fit(data, [GOOD])
    values = model.weights()
    assert values["hidden"].shape == (20, 30)
    windows = (data[2][:, 0] - model.scaler.mean_) / model.scaler.scale_
    hidden = np.maximum(windows @ values["hidden"] + values["bias_hidden"], 0)
    logits = hidden @ values["output"] + values["bias_output"]
    np.testing.assert_allclose(
        model.outputs(data[2][:, :1])[0], 1 / (1 + np.exp(-logits)), atol=1e-5
    )


def test_scaling_is_learned_on_the_training_windows_alone():
    train, tags, valid, valid_tags = splits()
    model = fit((train, tags, valid + 100, valid_tags), [GOOD])
    np.testing.assert_allclose(model.scaler.mean_, train.mean(axis=(0, 1)), rtol=1e-4)


def test_the_loss_is_the_cross_entropy():
    """Summed over the tags, against the definition."""
    rng = np.random.default_rng(0)
    x, y = torch.tensor(rng.standard_normal((50, 20))), torch.tensor(rng.random((50, 4)) < 0.3)
    start = TAGGING.initial(x, y, 2, SETTINGS, seed=0)
    ours = TAGGING.loss({n: value.double() for n, value in start.items()}, x, y.double())
    values = {name: value[1].double().numpy() for name, value in start.items()}
    hidden = np.maximum(x.numpy() @ values["hidden"] + values["bias_hidden"], 0)
    p = 1 / (1 + np.exp(-(hidden @ values["output"] + values["bias_output"])))
    expected = -np.where(y, np.log(p), np.log(1 - p)).sum(axis=1).mean()
    assert ours.shape == (2,)
    assert float(ours[1]) == pytest.approx(expected)


def test_the_first_run_of_many_is_that_run_alone():
    data = splits()
    alone, many = fit(data, [GOOD], seed=3), fit(data, [GOOD] * 3, seed=3)
    torch.testing.assert_close(
        many.runs.parameters["hidden"][0], alone.runs.parameters["hidden"][0], atol=1e-4, rtol=0
    )
    np.testing.assert_allclose(many.runs.scores[0], alone.runs.scores[0], atol=1e-3)
    assert not np.allclose(many.outputs(data[2])[0], many.outputs(data[2])[1])
    again = fit(data, [GOOD], seed=3)
    np.testing.assert_array_equal(again.outputs(data[2]), alone.outputs(data[2]))
    other = fit(data, [GOOD], seed=4)
    assert not np.allclose(other.outputs(data[2]), alone.outputs(data[2]))


def test_scores_are_those_of_the_kept_parameters():
    data = splits()
    model = fit(data, [GOOD, Hyperparameters(0.001, 0.01)])
    np.testing.assert_allclose(run_scores(data[3], model.outputs(data[2])), model.runs.scores)


def test_classifier():
    features, tags = planted()
    test, test_tags = planted(seed=2)
    classifier = TagClassifier(n_hidden=30, max_epochs=30, device="cpu").fit(features, tags)
    probabilities = classifier.predict_proba(test)
    assert probabilities.shape == test_tags.shape
    assert probabilities.min() >= 0
    assert probabilities.max() <= 1
    np.testing.assert_array_equal(classifier.predict(test), probabilities > 0.5)
    assert classifier.score(test, test_tags) == pytest.approx(mean_auc(test_tags, probabilities))
    assert classifier.score(test, test_tags) > 0.9


def test_classifier_that_searches_takes_what_does_best():
    features, tags = planted()
    alone = TagClassifier(n_hidden=30, max_epochs=40, learning_rate=1e-6, device="cpu")
    searching = clone(alone).set_params(n_trials=4).fit(features, tags)
    low, high = TAGGING.learning_rates
    assert low < searching.best_.learning_rate < high
    test, test_tags = planted(seed=2)
    assert searching.score(test, test_tags) > alone.fit(features, tags).score(test, test_tags)


def test_classifier_holds_out_whole_groups():
    """Four clips of each track, and tags that follow from nothing else than the track."""
    features, tags = planted(n_clips=30)
    features, tags = np.repeat(features, 4, axis=0), np.repeat(tags[::-1], 4, axis=0)
    classifier = TagClassifier(n_hidden=30, max_epochs=40, validation_fraction=0.3, device="cpu")
    leaking = classifier.fit(features, tags).model_.runs.scores[0]
    tracks = np.repeat(np.arange(30), 4)
    honest = classifier.fit(features, tags, groups=tracks).model_.runs.scores[0]
    assert leaking > honest + 0.1
    for groups in (np.arange(30), np.zeros(120)):
        with pytest.raises(ParameterError, match="groups: expected one for each of 120 clips"):
            classifier.fit(features, tags, groups=groups)


def test_classifier_in_a_grid_search():
    features, tags = planted(n_clips=80)
    small = TagClassifier(n_hidden=10, max_epochs=3, validation_fraction=0.3, device="cpu")
    assert clone(small).get_params() == small.get_params()
    found = GridSearchCV(small, {"learning_rate": [1e-6, 0.05]}, cv=2).fit(features, tags)
    assert found.best_params_ == {"learning_rate": 0.05}


def test_tags_that_cannot_be_learned():
    train, tags, valid, valid_tags = splits(n_clips=30)
    for some, message in [
        (valid_tags[:, :3], r"valid labels: expected \(30, 4\) as in train, got \(30, 3\)"),
        (0 * valid_tags > 0, "valid tags: expected a tag that some clips"),
        (2 * valid_tags, "valid tags: expected True or False"),
    ]:
        with pytest.raises(ParameterError, match=message):
            fit((train, tags, valid, some), [GOOD])
