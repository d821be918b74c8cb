"""NCA's probability against a double loop, its gradient, and what it must not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from multiscale.config import ParameterError, TrainingSettings
from multiscale.similarity import (
    NCA,
    SIMILARITY,
    clip_probabilities,
    nca_probabilities,
    nca_score,
)
from multiscale.training import Hyperparameters, fit_runs

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
    ours = nca_probabilities(torch.as_tensor(embedded), torch.as_tensor(labels))
    np.testing.assert_allclose(ours, double_loop(embedded, labels), atol=1e-12)


def test_pairs_far_apart_are_certain():
    embedded = torch.tensor([[0.0, 0], [0, 0], [100, 0], [100, 0]])
    together, mixed = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    torch.testing.assert_close(nca_probabilities(embedded, together), torch.ones(4))
    torch.testing.assert_close(nca_probabilities(embedded, mixed), torch.zeros(4))


def test_coincident_clips_guess():
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    ours = nca_probabilities(torch.ones(6, 3), labels)
    torch.testing.assert_close(ours, torch.tensor([2, 2, 2, 1, 1, 0]) / 5)
    by_clip = clip_probabilities(np.ones((6, 3)), labels.numpy())
    np.testing.assert_allclose(by_clip, [0.4, 0.4, 0.4, 0.2, 0.2, np.nan])


def test_a_batch_of_runs_is_each_run():
    rng = np.random.default_rng(0)
    embedded = torch.as_tensor(rng.standard_normal((4, 9, 3)))
    labels = torch.as_tensor(rng.integers(0, 3, 9))
    for run, expected in zip(embedded, nca_probabilities(embedded, labels), strict=True):
        torch.testing.assert_close(nca_probabilities(run, labels), expected)


def test_the_gradient_is_a_finite_difference():
    rng = np.random.default_rng(0)
    embedded = torch.tensor(rng.standard_normal((7, 3)), requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    assert torch.autograd.gradcheck(lambda z: nca_probabilities(z, labels), embedded)


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
    loss = nca_probabilities(torch.tensor(points) @ ours.T, torch.tensor(labels)).sum()
    loss.backward()
    assert loss.item() == pytest.approx(abs(theirs))
    np.testing.assert_allclose(np.abs(ours.grad.numpy().ravel()), np.abs(gradient), rtol=1e-6)


def test_only_distances_count():
    rng = np.random.default_rng(0)
    embedded, labels = rng.standard_normal((20, 5)), torch.as_tensor(rng.integers(0, 4, 20))
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    expected = nca_probabilities(torch.as_tensor(embedded), labels)
    moved = embedded @ rotation + 100 * rng.standard_normal(5)
    torch.testing.assert_close(nca_probabilities(torch.as_tensor(moved), labels), expected)


def test_float32_survives_a_large_offset():
    rng = np.random.default_rng(0)
    embedded, labels = rng.standard_normal((20, 5)), rng.integers(0, 4, 20)
    far = torch.as_tensor(embedded + 1000, dtype=torch.float32)
    ours = nca_probabilities(far, torch.as_tensor(labels))
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
    ours = nca_score(artists, embedded[None])
    assert ours.dtype == np.float64
    np.testing.assert_allclose(ours, [expected], rtol=1e-6)


def test_very_far_neighbours_are_no_nan():
    embedded = torch.tensor([[0.0], [1e6], [1e6 + 1], [-1e7]], requires_grad=True)
    probability = nca_probabilities(embedded, torch.tensor([0, 0, 1, 1]))
    assert probability.isfinite().all()
    probability.sum().backward()
    assert embedded.grad.isfinite().all()


def test_a_single_clip_is_never_right_and_does_no_harm():
    """As in the last, smaller minibatch of an epoch."""
    embedded = torch.ones(2, 1, 3, requires_grad=True)
    probability = nca_probabilities(embedded, torch.tensor([0]))
    torch.testing.assert_close(probability, torch.zeros(2, 1))
    probability.sum().backward()
    torch.testing.assert_close(embedded.grad, torch.zeros(2, 1, 3))


def test_clips_without_peers_are_left_out_but_stand_in_the_way():
    embedded, alone = torch.zeros(1, 4, 2), np.array([0, 0, 1, 2])
    assert nca_score(alone, embedded)[0] == pytest.approx(1 / 3)
    assert nca_score(alone[:2], embedded[:, :2])[0] == 1


def planted(n_clips=90, n_artists=6, n_features=12, seed=0):
    """Two of twelve features tell the artist; the others are louder noise."""
    rng = np.random.default_rng(seed)
    artists = rng.integers(0, n_artists, n_clips)
    where = np.random.default_rng(99).standard_normal((n_artists, 2)) * 2
    features = rng.standard_normal((n_clips, 3, n_features))
    features += 3 * rng.standard_normal((n_clips, 1, n_features))
    features[..., :2] = 0.2 * features[..., :2] + where[artists][:, None]
    return features.astype(np.float32), np.array([f"artist {a}" for a in artists])


def fit(data, hyperparameters, **options):
    task = replace(SIMILARITY, n_components=3, **options.pop("task", {}))
    return fit_runs(task, data[:2], data[2:], hyperparameters, SETTINGS, device="cpu", **options)


def test_learns_a_planted_metric():
    data = (*planted(seed=0), *planted(seed=1))
    test, artists = planted(seed=2)
    model = fit(data, [GOOD])
    score = nca_score(artists, model.outputs(test))[0]
    unlearned = model.scaler.transform(test.mean(axis=1))[None]
    assert score > 0.6
    assert score > 1.3 * nca_score(artists, unlearned)[0]
    shuffled = np.random.default_rng(0).permutation(data[1])
    model = fit((data[0], shuffled, *data[2:]), [GOOD])
    assert nca_score(artists, model.outputs(test))[0] < 0.5


def test_one_clip_left_over_for_the_last_minibatch():
    data = (*planted(n_clips=41), *planted(seed=1))
    model = fit(data, [GOOD], task={"batch_size": 8})
    assert np.isfinite(model.runs.scores).all()
    assert model.runs.epochs[0] > 0


def test_project_then_average_is_average_then_project():
    data = (*planted(seed=0), *planted(seed=1))
    model = fit(data, [GOOD, GOOD])
    clips = data[2][:5]
    by_clip = model.outputs(clips)
    assert by_clip.shape == (2, 5, 3)
    by_window = model.outputs(clips.reshape(15, 1, -1)).reshape(2, 5, 3, 3)
    np.testing.assert_allclose(by_clip, by_window.mean(axis=2), atol=1e-4)


def test_kept_parameters_have_the_kept_scores():
    data = (*planted(seed=0), *planted(seed=1))
    model = fit(data, [GOOD, Hyperparameters(0.01, 1e-2)])
    np.testing.assert_allclose(
        nca_score(data[3], model.outputs(data[2])), model.runs.scores, rtol=1e-4
    )
    assert model.runs.epochs[0] > 1


def test_training_in_the_span_of_few_clips_is_training_in_all_dimensions(monkeypatch):
    data = (*planted(40, n_features=90), *planted(seed=1, n_features=90))
    gentle = [Hyperparameters(0.01, 1e-3)]
    expected = fit(data, gentle)
    task, begin = type(SIMILARITY), SIMILARITY.initial.__func__

    def begin_in_span(self, x, *rest):
        basis = torch.linalg.qr(x[:].T).Q
        return {"projection": basis @ begin(self, x[:] @ basis, *rest)["projection"]}

    monkeypatch.setattr(task, "projection", "")
    monkeypatch.setattr(task, "initial", begin_in_span)
    found = fit(data, gentle)
    assert found.weights()["projection"].shape == (90, 3)
    np.testing.assert_array_equal(found.runs.epochs, expected.runs.epochs)
    for clips in (data[0], data[2]):
        np.testing.assert_allclose(found.outputs(clips), expected.outputs(clips), atol=1e-3)


def test_the_first_run_of_many_is_that_run_alone():
    data = (*planted(seed=0), *planted(seed=1))
    alone, many = fit(data, [GOOD], seed=3), fit(data, [GOOD] * 3, seed=3)
    np.testing.assert_allclose(many.runs.scores[0], alone.runs.scores[0], rtol=1e-3)
    np.testing.assert_allclose(many.outputs(data[2])[0], alone.outputs(data[2])[0], atol=1e-2)
    assert not np.allclose(many.outputs(data[2])[0], many.outputs(data[2])[1], atol=0.1)
    np.testing.assert_array_equal(
        fit(data, [GOOD], seed=3).outputs(data[2]), alone.outputs(data[2])
    )


@pytest.mark.filterwarnings("error")
def test_a_run_that_diverged_scores_nan_in_silence():
    embedded = np.zeros((2, 4, 2))
    embedded[0] = np.nan
    np.testing.assert_allclose(nca_score(np.array([0, 0, 1, 2]), embedded), [np.nan, 1 / 3])


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_unknown_artists_are_not_one_artist(unknown):
    embedded = np.zeros((1, 4, 2))
    artists = np.array(["a", "a", unknown, unknown], object)
    np.testing.assert_allclose(nca_score(artists, embedded), [1 / 3])
    with pytest.raises(ParameterError, match="expected an artist with two clips or more"):
        nca_score(artists[1:], embedded[:, 1:])


def test_names_may_be_numbers():
    np.testing.assert_allclose(nca_score(np.array([7, 7, 8]), np.zeros((1, 3, 2))), [0.5])


def test_artists_without_peers_are_refused():
    other, (features, _) = planted(seed=1), planted(n_clips=20)
    with pytest.raises(ParameterError, match="valid artists: expected an artist with two clips"):
        fit((*other, features, np.arange(20)), [GOOD])
    with pytest.raises(ParameterError, match="y: artists: expected an artist with two clips or"):
        NCA(device="cpu").fit(features, np.arange(20))


def test_estimator():
    features, artists = planted(n_clips=150)
    test, whose = planted(seed=2)
    nca = NCA(
        n_components=3, learning_rate=0.5, max_epochs=15, validation_fraction=0.2, device="cpu"
    )
    assert clone(nca).get_params() == nca.get_params()
    places = nca.fit(features, artists).transform(test)
    assert places.shape == (90, 3)
    assert nca.score(test, whose) == pytest.approx(nca_score(whose, places[None])[0])
    assert nca.score(test, whose) > 0.5
    ended = make_pipeline(FunctionTransformer(), nca).fit(features, artists)
    np.testing.assert_array_equal(ended.transform(test), places)
