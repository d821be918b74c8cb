"""NCA's probability against a double loop, its gradient, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NeighborhoodComponentsAnalysis

from multiscale import similarity
from multiscale.config import ParameterError, TrainingSettings
from multiscale.similarity import (
    artist_probability,
    correct_probability,
    fit_runs,
    mean_probability,
    search,
)
from multiscale.training import Hyperparameters

SETTINGS = TrainingSettings(n_trials=3, n_runs=2, max_epochs=30, patience=8)
GOOD = Hyperparameters(0.5, 1e-5)


def double_loop(embedded: np.ndarray, labels: np.ndarray) -> list[float]:
    """The formula of NCA, one clip and one neighbour at a time."""
    probabilities = []
    for i in range(len(embedded)):
        weights = [np.exp(-np.sum((embedded[i] - other) ** 2)) for other in embedded]
        right = sum(w for j, w in enumerate(weights) if j != i and labels[j] == labels[i])
        probabilities.append(right / (sum(weights) - weights[i]))
    return probabilities


@given(n=st.integers(2, 12), seed=st.integers(0, 100))
def test_against_a_double_loop(n, seed):
    rng = np.random.default_rng(seed)
    embedded, labels = rng.standard_normal((n, 3)), rng.integers(0, 4, n)
    ours = correct_probability(torch.as_tensor(embedded), torch.as_tensor(labels))
    np.testing.assert_allclose(ours, double_loop(embedded, labels), atol=1e-12)


def test_pairs_far_apart_are_certain():
    embedded = torch.tensor([[0.0, 0], [0, 0], [100, 0], [100, 0]])
    together, mixed = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    torch.testing.assert_close(correct_probability(embedded, together), torch.ones(4))
    torch.testing.assert_close(correct_probability(embedded, mixed), torch.zeros(4))


def test_coincident_clips_guess():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    ours = correct_probability(torch.ones(6, 3), labels)
    torch.testing.assert_close(ours, torch.tensor([2, 2, 2, 1, 1, 0]) / 5)
    torch.testing.assert_close(
        mean_probability(torch.ones(6, 3), labels), torch.tensor((3 * 2 + 2 * 1) / 5 / 5)
    )


def test_a_batch_of_runs_is_each_run():
    rng = np.random.default_rng(0)
    embedded = torch.as_tensor(rng.standard_normal((4, 9, 3)))
    labels = torch.as_tensor(rng.integers(0, 3, 9))
    for run, expected in zip(embedded, correct_probability(embedded, labels), strict=True):
        torch.testing.assert_close(correct_probability(run, labels), expected)


def test_the_gradient_is_a_finite_difference():
    rng = np.random.default_rng(0)
    embedded = torch.tensor(rng.standard_normal((7, 3)), requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    assert torch.autograd.gradcheck(lambda z: correct_probability(z, labels), embedded)
    assert torch.autograd.gradcheck(lambda z: mean_probability(z, labels), embedded)


def test_the_objective_is_scikit_learns():
    """scikit-learn's NCA maximises the sum of the same probabilities."""
    rng = np.random.default_rng(0)
    points, labels = rng.standard_normal((30, 4)), rng.integers(0, 3, 30)
    projection = rng.standard_normal((2, 4))
    reference = NeighborhoodComponentsAnalysis()
    reference.n_iter_ = 1  # so that it does not print
    theirs, gradient = reference._loss_grad_lbfgs(
        projection.ravel(), points, labels[:, None] == labels[None, :], 1.0
    )
    ours = torch.tensor(projection, requires_grad=True)
    loss = correct_probability(torch.tensor(points) @ ours.T, torch.tensor(labels)).sum()
    loss.backward()
    assert loss.item() == pytest.approx(abs(theirs))
    np.testing.assert_allclose(np.abs(ours.grad.numpy().ravel()), np.abs(gradient), rtol=1e-6)


def test_only_distances_count():
    rng = np.random.default_rng(0)
    embedded, labels = rng.standard_normal((20, 5)), torch.as_tensor(rng.integers(0, 4, 20))
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    expected = correct_probability(torch.as_tensor(embedded), labels)
    moved = embedded @ rotation + 100 * rng.standard_normal(5)
    torch.testing.assert_close(correct_probability(torch.as_tensor(moved), labels), expected)


def test_float32_survives_a_large_offset():
    rng = np.random.default_rng(0)
    embedded, labels = rng.standard_normal((20, 5)), rng.integers(0, 4, 20)
    far = torch.as_tensor(embedded + 1000, dtype=torch.float32)
    ours = correct_probability(far, torch.as_tensor(labels))
    np.testing.assert_allclose(ours, double_loop(embedded, labels), atol=1e-3)


def test_scores_of_a_large_embedding_are_computed_in_float64():
    """Close pairs at the ends of a wide space: float32 squares would drown their distances."""
    rng = np.random.default_rng(0)
    places = np.repeat(rng.standard_normal((10, 3)) * 3000, 3, axis=0)
    embedded = (places + rng.standard_normal((30, 3))).astype(np.float32)
    artists = np.tile(np.array(["a", "a", "b"]), 10)
    distance = ((embedded[:, None].astype(float) - embedded[None]) ** 2).sum(-1)
    np.fill_diagonal(distance, np.inf)
    weights = np.exp(distance.min(axis=1, keepdims=True) - distance)
    same = artists[:, None] == artists
    expected = ((weights * same).sum(1) / weights.sum(1)).mean()
    ours = artist_probability(embedded[None], artists)
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, [expected], rtol=1e-6)


def test_very_far_neighbours_are_no_nan():
    embedded = torch.tensor([[0.0], [1e6], [1e6 + 1], [-1e7]], requires_grad=True)
    probability = correct_probability(embedded, torch.tensor([0, 0, 1, 1]))
    assert probability.isfinite().all()
    probability.sum().backward()
    assert embedded.grad.isfinite().all()


def test_a_single_clip_is_never_right_and_does_no_harm():
    """As in the last, smaller minibatch of an epoch."""
    embedded = torch.ones(2, 1, 3, requires_grad=True)
    probability = correct_probability(embedded, torch.tensor([0]))
    torch.testing.assert_close(probability, torch.zeros(2, 1))
    probability.sum().backward()
    torch.testing.assert_close(embedded.grad, torch.zeros(2, 1, 3))


def test_clips_without_peers_are_left_out_but_stand_in_the_way():
    embedded = torch.zeros(4, 2)
    alone = torch.tensor([0, 0, 1, 2])
    assert float(mean_probability(embedded, alone)) == pytest.approx(1 / 3)
    assert float(mean_probability(embedded[:2], alone[:2])) == 1


def planted(n_clips=90, n_artists=6, n_features=12, seed=0):
    """Two of twelve features tell the artist; the others are louder noise."""
    rng = np.random.default_rng(seed)
    artists = rng.integers(0, n_artists, n_clips)
    where = np.random.default_rng(99).standard_normal((n_artists, 2)) * 2
    features = rng.standard_normal((n_clips, 3, n_features))
    features += 3 * rng.standard_normal((n_clips, 1, n_features))
    features[..., :2] = 0.2 * features[..., :2] + where[artists][:, None]
    return features.astype(np.float32), np.array([f"artist {a}" for a in artists])


def fit(data, hyperparameters, n_components=3, **options):
    return fit_runs(
        *data, hyperparameters, SETTINGS, n_components=n_components, device="cpu", **options
    )


def test_learns_a_planted_metric():
    data = (*planted(seed=0), *planted(seed=1))
    test, artists = planted(seed=2)
    model = fit(data, [GOOD])
    score = artist_probability(model.embed(test), artists)[0]
    unlearned = model.scaler.transform(test.mean(axis=1))[None]
    assert score > 0.6
    assert score > 1.3 * artist_probability(unlearned, artists)[0]
    shuffled = np.random.default_rng(0).permutation(data[1])
    model = fit((data[0], shuffled, *data[2:]), [GOOD])
    assert artist_probability(model.embed(test), artists)[0] < 0.5


def test_one_clip_left_over_for_the_last_minibatch(monkeypatch):
    monkeypatch.setattr(similarity, "BATCH_SIZE", 8)
    data = (*planted(n_clips=41), *planted(seed=1))
    model = fit(data, [GOOD])
    assert np.isfinite(model.runs.scores).all()
    assert model.runs.epochs[0] > 0


def test_project_then_average_is_average_then_project():
    data = (*planted(seed=0), *planted(seed=1))
    model = fit(data, [GOOD, GOOD])
    clips = data[2][:5]
    by_clip = model.embed(clips)
    assert by_clip.shape == (2, 5, 3)
    by_window = model.embed(clips.reshape(15, 1, -1)).reshape(2, 5, 3, 3)
    np.testing.assert_allclose(by_clip, by_window.mean(axis=2), atol=1e-4)


def test_kept_parameters_have_the_kept_scores():
    data = (*planted(seed=0), *planted(seed=1))
    model = fit(data, [GOOD, Hyperparameters(0.01, 1e-2)])
    np.testing.assert_allclose(
        artist_probability(model.embed(data[2]), data[3]), model.runs.scores, rtol=1e-4
    )
    assert model.runs.epochs[0] > 1


def test_the_first_run_of_many_is_that_run_alone():
    data = (*planted(seed=0), *planted(seed=1))
    alone, many = fit(data, [GOOD], seed=3), fit(data, [GOOD] * 3, seed=3)
    np.testing.assert_allclose(many.runs.scores[0], alone.runs.scores[0], rtol=1e-3)
    np.testing.assert_allclose(many.embed(data[2])[0], alone.embed(data[2])[0], atol=1e-2)
    assert not np.allclose(many.embed(data[2])[0], many.embed(data[2])[1], atol=0.1)
    np.testing.assert_array_equal(fit(data, [GOOD], seed=3).embed(data[2]), alone.embed(data[2]))


def test_search_takes_the_best_trial():
    data = (*planted(seed=0), *planted(seed=1))
    best, model = search(*data, SETTINGS, n_components=3, device="cpu")
    assert best is model.hyperparameters[int(np.argmax(model.runs.scores))]
    for trial in model.hyperparameters:
        assert similarity.LEARNING_RATES[0] <= trial.learning_rate <= similarity.LEARNING_RATES[1]


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_unknown_artists_are_not_one_artist(unknown):
    embedded = np.zeros((1, 4, 2))
    artists = np.array(["a", "a", unknown, unknown], object)
    np.testing.assert_allclose(artist_probability(embedded, artists), [1 / 3])
    with pytest.raises(ParameterError, match="expected an artist with two clips or more"):
        artist_probability(embedded[:, 1:], artists[1:])


def test_names_may_be_numbers():
    np.testing.assert_allclose(artist_probability(np.zeros((1, 3, 2)), np.array([7, 7, 8])), [0.5])


def test_what_is_refused():
    features, artists = planted(n_clips=20)
    other = planted(seed=1)
    with pytest.raises(ParameterError, match="train artists: expected one for each of 20 clips"):
        fit((features, artists[:5], *other), [GOOD])
    with pytest.raises(ParameterError, match="valid artists: expected an artist with two clips"):
        fit((*other, features, np.arange(20)), [GOOD])
    with pytest.raises(ParameterError, match=r"train features: expected shape .*got \(20, 12\)"):
        fit((features[:, 0], artists, *other), [GOOD])
    with pytest.raises(ParameterError, match=r"valid features: expected 12 .*got 5"):
        fit((*other, features[..., :5], artists), [GOOD])
    with pytest.raises(ParameterError, match="scored artists: expected one for each of 20"):
        artist_probability(np.zeros((1, 20, 2)), artists[:3])
    model = fit((*other, *other), [GOOD])
    with pytest.raises(ParameterError, match=r"features: expected shape .*got \(20, 12\)"):
        model.embed(features[:, 0])


def test_precision_counts_the_nearest_of_the_same_artist():
    rng = np.random.default_rng(0)
    places = rng.standard_normal((30, 5))
    artists = np.array(["a", "b", "c"], object)[rng.integers(3, size=30)]
    artists[0] = "alone"
    found = similarity.clip_precision(places, artists, n_neighbours=4)
    assert np.isnan(found[0])
    for clip in range(1, 30):
        distances = np.linalg.norm(places - places[clip], axis=1)
        distances[clip] = np.inf
        nearest = np.argsort(distances)[:4]
        assert found[clip] == np.mean(artists[nearest] == artists[clip])
