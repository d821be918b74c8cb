"""Descent reaches a closed form; runs side by side are runs alone; a model is what it was saved."""

from __future__ import annotations

import tracemalloc
from itertools import chain, count

import numpy as np
import pytest
import torch

from multiscale import descent
from multiscale.config import ParameterError, TrainingSettings
from multiscale.descent import MOMENTUM, Runs, sample_hyperparameters, train
from multiscale.similarity import SIMILARITY
from multiscale.tagging import TAGGING
from multiscale.training import (
    ADAM_RATES,
    UNSCALED_RATES,
    Hyperparameters,
    Model,
    fit_runs,
    search,
)


def regression(n=60, d=5, seed=0, dtype=torch.float64):
    """Inputs, targets, and the loss of linear runs with or without a bias."""
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(rng.standard_normal((n, d)), dtype=dtype)
    y = (
        x @ torch.arange(1.0, d + 1, dtype=dtype)
        + 3
        + 0.1 * torch.as_tensor(rng.standard_normal(n), dtype=dtype)
    )

    def loss(parameters, batch):
        predicted = parameters["weight"] @ x[batch].T + parameters["bias"]
        return 0.5 * (predicted - y[batch]).square().mean(-1)

    return x, y, loss


def start(n_runs, d=5, dtype=torch.float64):
    return {
        "weight": torch.zeros(n_runs, d, dtype=dtype),
        "bias": torch.zeros(n_runs, 1, dtype=dtype),
    }


def test_training_makes_no_copy_of_the_features():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((10_000, 5, 100), np.float32)
    tags = rng.random((10_000, 2)) < 0.5
    settings = TrainingSettings(max_epochs=1, patience=1, n_hidden=2)
    some = features[:100], tags[:100]
    tracemalloc.start()
    try:
        fit_runs(TAGGING, (features, tags), some, [Hyperparameters(0.01, 0.01)], settings)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * features.nbytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reaches_ridge_regression(dtype):
    """Weight decay is the ridge; the bias does not decay."""
    x, y, loss = regression(dtype=dtype)
    decays = [0.0, 0.1, 1.0]

    def score(parameters):
        value = loss(parameters, torch.arange(60)).detach().numpy()
        return -(value + 0.5 * decays * parameters["weight"].square().sum(-1).detach().numpy())

    decays = np.array(decays)
    runs = train(
        start(3, dtype=dtype),
        loss,
        score,
        60,
        [Hyperparameters(0.1, decay) for decay in decays],
        max_epochs=400,
        patience=400,
        seed=0,
        batch_size=60,
    )
    x, y = x.numpy().astype(float), y.numpy().astype(float)
    centred, middle = x - x.mean(axis=0), y - y.mean()
    for run, decay in enumerate(decays):
        weight = np.linalg.solve(
            centred.T @ centred / 60 + decay * np.eye(5), centred.T @ middle / 60
        )
        bias = y.mean() - x.mean(axis=0) @ weight
        # The best float32 score is flat around the minimum.
        atol = 1e-3 if dtype == torch.float32 else 1e-6
        np.testing.assert_allclose(runs.parameters["weight"][run], weight, atol=atol)
        np.testing.assert_allclose(runs.parameters["bias"][run, 0], bias, atol=atol)


def test_minibatches_visit_every_example_once_an_epoch():
    seen = []

    def loss(parameters, batch):
        seen.append(batch.tolist())
        return parameters["weight"].sum(-1)

    train(
        start(1),
        lambda parameters, batch: loss(parameters, batch) + 0 * parameters["bias"].sum(-1),
        lambda parameters: np.array([float(len(seen))]),
        10,
        [Hyperparameters(0.1, 0)],
        max_epochs=3,
        patience=3,
        seed=0,
        batch_size=4,
    )
    assert [len(batch) for batch in seen] == [4, 4, 2] * 3
    epochs = [list(chain(*seen[i : i + 3])) for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != list(range(10))


def scripted(scores: np.ndarray, patience: int, **options) -> Runs:
    """Train runs whose validation scores are given, (n_epochs, n_runs); an epoch is a step.

    The loss is the sum of ``weight``, so that after epoch e it is -e: it tells when it was kept.
    """
    n_runs = scores.shape[1]
    epoch = 0

    def score(parameters):
        nonlocal epoch
        epoch += 1
        return scores[epoch - 1, parameters["bias_number"][:, 0].long().numpy()]

    return train(
        {
            "weight": torch.zeros(n_runs, 1),
            "bias_number": torch.arange(n_runs, dtype=torch.float32)[:, None],
        },
        lambda p, batch: p["weight"].sum(-1) + 0 * p["bias_number"].sum(-1),
        score,
        4,
        [Hyperparameters(1.0, 0.0)] * n_runs,
        max_epochs=len(scores),
        patience=patience,
        seed=0,
        optimiser="plain",
        **options,
    )


def early_stopping(scores: np.ndarray, patience: int) -> tuple[float, int, int]:
    """Best score, its epoch, and the epochs trained, of one run."""
    best, best_epoch = -np.inf, 0
    for epoch, score in enumerate(scores, 1):
        if score > best:
            best, best_epoch = score, epoch
        if epoch - best_epoch >= patience:
            break
    return best, best_epoch, epoch


@pytest.mark.parametrize("patience", [1, 2, 5, 100])
def test_early_stopping_against_a_reference(patience):
    scores = np.random.default_rng(patience).integers(0, 12, (30, 20)) / 12  # with ties
    runs = scripted(scores, patience)
    lengths = []
    for run in range(20):
        best, epoch, trained = early_stopping(scores[:, run], patience)
        lengths.append(trained)
        assert runs.scores[run] == best
        assert runs.epochs[run] == epoch
        assert runs.parameters["weight"][run, 0] == -epoch
        history = runs.history[:, run]
        np.testing.assert_array_equal(history[:trained], scores[:trained, run])
        assert np.isnan(history[trained:]).all()
    assert len(runs.history) == max(lengths)


def test_patience_lasts_for_steps_too():
    scores = np.array([[0.5], [0.6], *[[0.1]] * 8, [0.9]])
    assert len(scripted(scores, patience=1, patience_steps=8).history) == 10
    assert scripted(scores, patience=1, patience_steps=9).scores[0] == 0.9


def test_what_is_kept_is_the_mean_of_the_weights_so_far_then_a_running_one():
    """The weight is -1, -2, ... after each step; the first three steps are still a plain mean."""
    rising = np.arange(5.0)[:, None]
    for n_steps, mean in [(1, -1), (2, -1.5), (3, -2), (4, -2 * 0.7 - 4 * 0.3)]:
        runs = scripted(rising[:n_steps], patience=9, averaging=0.7)
        assert runs.parameters["weight"][0, 0] == pytest.approx(mean)


def test_averages_of_runs_that_go_on_are_their_own():
    scores = np.array([[0.5, 0.1], [0.4, 0.2], [0.3, 0.3]])  # the first run stops after two epochs
    runs = scripted(scores, patience=1, averaging=0.9)
    np.testing.assert_allclose(runs.parameters["weight"][:, 0], [-1, -2])


def test_halving_gives_up_the_worse_half_again_and_again(monkeypatch):
    monkeypatch.setattr(descent, "FIRST_HALVING", 2)
    scores = np.array([[0.1, 0.5, 0.4, 0.2, 0.3]] * 10)
    runs = scripted(scores, patience=99, halving=True)
    assert np.isfinite(runs.history).sum(axis=0).tolist() == [2, 8, 8, 2, 4]
    assert len(runs.history) == 8  # one is left: the search is over


def test_runs_side_by_side_are_runs_alone():
    _, _, loss = regression()
    trials = [Hyperparameters(rate, decay) for rate in (0.01, 0.3) for decay in (0, 0.5)]
    trials.insert(1, Hyperparameters(1e6, 0))  # diverges

    def score(parameters):
        return -loss(parameters, torch.arange(60)).detach().numpy()

    def go(chosen, n_runs):
        return train(
            start(n_runs),
            loss,
            score,
            40,
            chosen,
            max_epochs=25,
            patience=2,
            seed=1,
            batch_size=16,
            averaging=0.9,
            clipping=0.5,
        )

    together = go(trials, 5)
    assert len(set(together.epochs)) > 2  # they stop at different times
    for run, trial in enumerate(trials):
        alone = go([trial], 1)
        for name, value in alone.parameters.items():
            torch.testing.assert_close(together.parameters[name][run], value[0])
        assert together.epochs[run] == alone.epochs[0]
        np.testing.assert_allclose(together.scores[run], alone.scores[0])


def test_a_run_that_is_never_finite_stops_and_scores_nan():
    scores = np.array([[np.nan, 0.5], [0.9, 0.6], [0.9, 0.7]])
    runs = scripted(scores, patience=2)
    assert np.isnan(runs.scores[0])
    assert runs.epochs[0] == 0
    assert runs.parameters["weight"][0, 0] == 0  # as it started
    assert runs.scores[1] == 0.7
    assert np.isnan(runs.history[1:, 0]).all()


def test_a_run_that_diverges_keeps_its_best():
    runs = scripted(np.array([[0.5], [0.6], [np.nan], [0.9]]), patience=3)
    assert (runs.scores[0], runs.epochs[0]) == (0.6, 2)
    assert len(runs.history) == 3


def test_the_initial_parameters_are_left_alone():
    _, _, loss = regression()
    initial = start(1)
    train(
        initial,
        loss,
        lambda p: np.zeros(1),
        60,
        [Hyperparameters(0.1, 0.1)],
        max_epochs=1,
        patience=1,
        seed=0,
    )
    assert not initial["weight"].any()
    assert not initial["weight"].requires_grad


def test_nothing_to_train_on():
    with pytest.raises(ParameterError, match="n_examples: expected at least 1 to train on, got 0"):
        train(start(1), None, None, 0, [], max_epochs=1, patience=1, seed=0)


def test_random_search_draws_log_uniformly_within_range():
    trials = sample_hyperparameters(2000, (1e-3, 1e-1), (1e-6, 1e-2), seed=0)
    rates = np.log10([trial.learning_rate for trial in trials])
    decays = np.log10([trial.weight_decay for trial in trials])
    assert (rates >= -3).all()
    assert (rates <= -1).all()
    assert (decays >= -6).all()
    assert (decays <= -2).all()
    np.testing.assert_allclose(np.quantile(rates, [0.25, 0.5, 0.75]), [-2.5, -2, -1.5], atol=0.08)
    np.testing.assert_allclose(np.quantile(decays, [0.25, 0.5, 0.75]), [-5, -4, -3], atol=0.2)
    assert abs(np.corrcoef(rates, decays)[0, 1]) < 0.06


def test_a_seed_decides_the_trials():
    one, same, other = (
        sample_hyperparameters(5, (1e-3, 1e-1), (1e-6, 1e-2), seed) for seed in (0, 0, 1)
    )
    assert one == same != other
    assert sample_hyperparameters(3, (1e-3, 1e-1), (1e-6, 1e-2), 0) == one[:3]


@pytest.mark.parametrize("optimiser", ["momentum", "plain", "adam"])
def test_every_optimiser_finds_the_bottom_of_a_bowl(optimiser):
    bottom = torch.tensor([3.0, -2.0])
    runs = train(
        {"weight": torch.zeros(1, 2)},
        loss=lambda parameters, batch: (parameters["weight"] - bottom).square().sum(1),
        score=lambda p: -(p["weight"] - bottom).square().sum(1).numpy(),
        n_examples=10,
        hyperparameters=[Hyperparameters(0.05, 0.0)],
        max_epochs=400,
        patience=50,
        seed=0,
        batch_size=1,
        optimiser=optimiser,
    )
    assert torch.allclose(runs.parameters["weight"], bottom[None], atol=1e-3)


@pytest.mark.parametrize("clipping", [0.0, 0.5])
@pytest.mark.parametrize(
    ("optimiser", "reference"),
    [
        ("momentum", lambda p, **given: torch.optim.SGD(p, momentum=MOMENTUM, **given)),
        ("plain", torch.optim.SGD),
        ("adam", torch.optim.Adam),
    ],
)
def test_every_optimiser_is_torchs(optimiser, reference, clipping):
    """Run by run, each with its own rate, decay and clipping, and biases that do not decay."""
    _, _, loss = regression()
    n_epochs, epochs = 20, count()
    chosen = [Hyperparameters(0.01, 0.3), Hyperparameters(0.1, 0.0), Hyperparameters(0.05, 0.01)]
    runs = train(
        start(3),
        loss,
        lambda parameters: np.full(3, next(epochs)),  # better and better: the last is kept
        60,
        chosen,
        max_epochs=n_epochs,
        patience=n_epochs,
        seed=0,
        batch_size=60,
        optimiser=optimiser,
        clipping=clipping,
    )
    clip = torch.nn.utils.clip_grad_norm_
    for run, hyperparameters in enumerate(chosen):
        values = {name: value.requires_grad_() for name, value in start(1).items()}
        groups = [
            {"params": [values["weight"]], "weight_decay": hyperparameters.weight_decay},
            {"params": [values["bias"]], "weight_decay": 0.0},
        ]
        stepper, longest = reference(groups, lr=hyperparameters.learning_rate), 0.0
        for _ in range(n_epochs):
            stepper.zero_grad()
            loss(values, torch.arange(60)).sum().backward()
            if clipping:
                longest = longest or clipping * float(clip(values.values(), np.inf))
                clip(values.values(), longest)
            stepper.step()
        for name, value in values.items():
            close = {"rtol": 1e-5, "atol": 1e-6}
            torch.testing.assert_close(runs.parameters[name][run], value[0].detach(), **close)


def test_a_first_gradient_of_0_clips_nothing_away():
    """As of a first minibatch in which no clip has a neighbour."""
    steps = count()
    runs = train(
        {"weight": torch.zeros(1, 1)},
        loss=lambda parameters, batch: (0.0 if next(steps) < 2 else 1.0) * parameters["weight"][0],
        score=lambda parameters: -parameters["weight"][:, 0].numpy(),
        n_examples=1,
        hyperparameters=[Hyperparameters(1.0, 0.0)],
        max_epochs=4,
        patience=4,
        seed=0,
        optimiser="plain",
        clipping=0.5,
    )
    assert runs.parameters["weight"][0, 0] == -1  # two steps of half a gradient of 1


SETTINGS = TrainingSettings(n_trials=4, n_runs=2, max_epochs=4, patience=2, n_hidden=8)
TASKS = [TAGGING, SIMILARITY]


def made_up(task, seed, n_clips=40):
    """Features (n_clips, 2, 6), and random labels."""
    rng = np.random.default_rng(seed)
    features = 3 + 2 * rng.standard_normal((n_clips, 2, 6)).astype(np.float32)
    tags = rng.random((n_clips, 3)) < 0.4
    return features, (tags if task is TAGGING else rng.integers(0, 5, n_clips).astype(str))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_search_takes_the_best_trial(task):
    best, model = search(task, made_up(task, 0), made_up(task, 1), SETTINGS, device="cpu")
    assert len(model.hyperparameters) == 4
    assert best is model.hyperparameters[int(np.argmax(model.runs.scores))]
    for trial in model.hyperparameters:
        assert task.learning_rates[0] <= trial.learning_rate <= task.learning_rates[1]
        assert task.weight_decays[0] <= trial.weight_decay <= task.weight_decays[1]


def test_search_asks_for_other_rates_where_steps_are_of_another_size():
    data = made_up(TAGGING, 0), made_up(TAGGING, 1)
    for change, rates in (
        ({"optimiser": "adam"}, ADAM_RATES),
        ({"standardise": False}, UNSCALED_RATES),
    ):
        _, model = search(TAGGING, *data, SETTINGS.model_copy(update=change), device="cpu")
        drawn = [trial.learning_rate for trial in model.hyperparameters]
        assert rates[0] <= min(drawn) < max(drawn) <= rates[1]


def test_search_without_a_finite_score(monkeypatch):
    data = made_up(TAGGING, 0), made_up(TAGGING, 1)
    monkeypatch.setattr(TAGGING, "score", lambda y_true, outputs: np.full(len(outputs), np.nan))
    with pytest.raises(ParameterError, match="expected a finite score, got none from 4 trials"):
        search(TAGGING, *data, SETTINGS, device="cpu")


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_model_is_read_as_it_was_written(task, standardise, tmp_path):
    settings = SETTINGS.model_copy(update={"standardise": standardise})
    trials = [Hyperparameters(0.01, 1e-4), Hyperparameters(0.003, 0.0)]
    data = made_up(task, 0), made_up(task, 1)
    model = fit_runs(task, *data, trials, settings, device="cpu")
    model.save(tmp_path / "model")
    read = Model.load(tmp_path / "model")
    assert read.task is task
    assert read.hyperparameters == trials
    for name in ("scores", "epochs", "history"):
        np.testing.assert_array_equal(getattr(read.runs, name), getattr(model.runs, name))
    assert read.runs.parameters.keys() == model.runs.parameters.keys()
    np.testing.assert_array_equal(read.outputs(data[1][0]), model.outputs(data[1][0]))
    with pytest.raises(ParameterError, match=r"features: expected shape .* 6\), got \(40, 2, 4\)"):
        read.outputs(data[1][0][..., :4])


def test_weights_are_those_of_a_run():
    data = made_up(SIMILARITY, 0), made_up(SIMILARITY, 1)
    model = fit_runs(SIMILARITY, *data, [Hyperparameters(0.01, 0)] * 2, SETTINGS, device="cpu")
    projection = model.weights(1)["projection"]
    assert projection.dtype == np.float64
    rows = model.scaler.transform(data[1][0].mean(axis=1))
    np.testing.assert_allclose(rows @ projection, model.outputs(data[1][0])[1], atol=1e-5)
