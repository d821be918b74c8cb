"""Minibatch gradient descent with weight decay and early stopping (§4.2, §4.3).

Several *runs* are trained side by side: every parameter has a leading axis of runs, which differ
in their initialisation (§5.1) or, in a random search, in learning rate and weight decay. All see
the same minibatches, so that one matrix product serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.stats import loguniform
from sklearn.model_selection import ParameterSampler

from multiscale.config import ParameterError, TrainingSettings

Parameters = dict[str, torch.Tensor]

BATCH_SIZE = 128
"""Examples per minibatch (open in the paper)."""

MOMENTUM = 0.9
"""Momentum of the descent (open in the paper)."""

OPTIMISERS = {
    "momentum": partial(torch.optim.SGD, momentum=MOMENTUM),
    "plain": torch.optim.SGD,
    "adam": torch.optim.Adam,
}
"""Gradient descent with momentum, without it, or Adam (open in the paper)."""

UNSCALED_RATES = (1e-4, 3e-3)
"""Range of learning rates that a random search draws from for features as they are: their squares
are far from 1, and the steps grow with them."""

ADAM_RATES = (1e-4, 3e-3)
"""Range of learning rates that a random search draws from with Adam, whose steps have a size of
their own."""


@dataclass(frozen=True)
class Hyperparameters:
    """What the random search of §4.2 optimises."""

    learning_rate: float
    weight_decay: float


@dataclass
class Runs:
    """Trained runs.

    Attributes
    ----------
    parameters : dict of str to Tensor
        Each of shape (n_runs, ...): the values with the best validation score.
    scores : ndarray of shape (n_runs,)
        Best validation score; NaN for a run whose loss was not finite from the start.
    epochs : ndarray of shape (n_runs,), int
        Epoch of that score, from 1.
    history : ndarray of shape (n_epochs, n_runs)
        Validation score after each epoch; NaN once a run has stopped.
    """

    parameters: Parameters
    scores: np.ndarray
    epochs: np.ndarray
    history: np.ndarray


def train(
    parameters: Parameters,
    loss: Callable[[Parameters, torch.Tensor], torch.Tensor],
    score: Callable[[Parameters], np.ndarray],
    n_examples: int,
    hyperparameters: list[Hyperparameters],
    *,
    max_epochs: int,
    patience: int,
    seed: int,
    batch_size: int = BATCH_SIZE,
    optimiser: str = "momentum",
) -> Runs:
    """Train runs side by side until none gets better on the validation set.

    Parameters
    ----------
    parameters : dict of str to Tensor
        Initial values, each of shape (n_runs, ...). Those named ``bias...`` do not decay.
    loss : callable
        ``loss(parameters, batch)`` gives the loss of each run, shape (n_runs,), on the examples
        whose indices are in ``batch``.
    score : callable
        ``score(parameters)`` gives the validation score of each run, shape (n_runs,); higher is
        better.
    n_examples : int
        Training examples.
    hyperparameters : list of Hyperparameters
        One per run.
    max_epochs, patience : int
        A run stops after ``patience`` epochs without a better score.
    seed : int
        Of the order of the examples.
    batch_size : int, default=128
        Examples per minibatch.
    optimiser : {"momentum", "plain", "adam"}, default="momentum"
        Gradient descent with momentum 0.9, without it, or Adam (open in the paper).

    Returns
    -------
    Runs
        The best parameters of each run.

    Raises
    ------
    ParameterError
        If there are no examples.
    """
    if n_examples < 1:
        raise ParameterError(f"n_examples: expected at least 1 to train on, got {n_examples}")
    rng = np.random.default_rng(seed)
    device = next(iter(parameters.values())).device
    runs = _start(parameters, len(hyperparameters))
    descent = _Descent(parameters, hyperparameters, optimiser)
    active = np.arange(len(hyperparameters))
    for epoch in range(1, max_epochs + 1):
        order = torch.as_tensor(rng.permutation(n_examples), device=device)
        for batch in order.split(batch_size):
            descent.step(lambda values, batch=batch: loss(values, batch))
        scores = score(descent.parameters)
        _record(runs, descent.parameters, active, scores, epoch)
        going = (epoch - runs.epochs[active] < patience) & np.isfinite(scores)
        if not going.any():
            break
        if not going.all():
            active = active[going]
            descent.keep(np.flatnonzero(going).tolist())
    return runs


class _Descent:
    """Gradient descent with a learning rate and a weight decay per run."""

    def __init__(
        self, parameters: Parameters, hyperparameters: list[Hyperparameters], optimiser: str
    ):
        self.optimiser_class = OPTIMISERS[optimiser]
        self._begin({name: value.clone() for name, value in parameters.items()}, hyperparameters)

    def _begin(self, parameters: Parameters, hyperparameters: list[Hyperparameters]) -> None:
        self.parameters = parameters
        self.hyperparameters = hyperparameters
        # One tensor for the product of all runs; each run's share of it, for its own step.
        self.shares = {name: list(value) for name, value in parameters.items()}
        self.optimiser = self.optimiser_class(
            [
                {
                    "params": [self.shares[name][run] for name in names],
                    "lr": chosen.learning_rate,
                    "weight_decay": decay,
                }
                for run, chosen in enumerate(hyperparameters)
                for decay, names in self._decays(chosen.weight_decay)
            ],
            fused=True,  # one pass over these large arrays
        )

    def _decays(self, decay: float) -> list[tuple[float, list[str]]]:
        biases = [name for name in self.parameters if name.startswith("bias")]
        weights = [name for name in self.parameters if name not in biases]
        return [(decay, weights), (0.0, biases)] if biases else [(decay, weights)]

    def step(self, loss: Callable[[Parameters], torch.Tensor]) -> None:
        watched = {name: value.detach().requires_grad_() for name, value in self.parameters.items()}
        # Runs do not share parameters, so the gradient of the sum holds each run's own.
        gradients = torch.autograd.grad(loss(watched).sum(), list(watched.values()))
        for shares, gradient in zip(self.shares.values(), gradients, strict=True):
            for share, its_gradient in zip(shares, gradient.contiguous(), strict=True):
                share.grad = its_gradient
        self.optimiser.step()
        self.optimiser.zero_grad()

    def keep(self, runs: list[int]) -> None:
        """Go on with some of the runs only: the others have stopped."""
        shares, state = self.shares, self.optimiser.state
        self._begin(
            {name: value[runs] for name, value in self.parameters.items()},
            [self.hyperparameters[run] for run in runs],
        )
        for name, kept in self.shares.items():
            for run, share in zip(runs, kept, strict=True):
                self.optimiser.state[share] = state[shares[name][run]]


def _start(parameters: Parameters, n_runs: int) -> Runs:
    return Runs(
        parameters={name: value.clone() for name, value in parameters.items()},
        scores=np.full(n_runs, np.nan),
        epochs=np.zeros(n_runs, int),
        history=np.empty((0, n_runs)),
    )


def _record(
    runs: Runs, parameters: Parameters, active: np.ndarray, scores: np.ndarray, epoch: int
) -> None:
    """Note the scores of an epoch, and keep the parameters of runs that got better."""
    row = np.full(len(runs.scores), np.nan)
    row[active] = scores
    runs.history = np.vstack([runs.history, row])
    better = np.isfinite(scores) & ~(scores <= runs.scores[active])
    for position in np.flatnonzero(better):
        run = active[position]
        runs.scores[run], runs.epochs[run] = scores[position], epoch
        for name, value in parameters.items():
            runs.parameters[name][run] = value[position].detach()


def sample_hyperparameters(
    n_trials: int,
    learning_rate: tuple[float, float],
    weight_decay: tuple[float, float],
    seed: int,
) -> list[Hyperparameters]:
    """Draw the trials of a random search, log-uniformly (§4.2).

    Parameters
    ----------
    n_trials : int
        How many.
    learning_rate, weight_decay : (float, float)
        Range of each.
    seed : int
        Of the draw.

    Returns
    -------
    list of Hyperparameters
        The trials.
    """
    space = {
        "learning_rate": loguniform(*learning_rate),
        "weight_decay": loguniform(*weight_decay),
    }
    sampler = ParameterSampler(space, n_trials, random_state=seed)
    return [Hyperparameters(**{k: float(v) for k, v in trial.items()}) for trial in sampler]


def learning_rates(settings: TrainingSettings, usual: tuple[float, float]) -> tuple[float, float]:
    """Range of learning rates to search, where the optimiser or the features may ask for another.

    Parameters
    ----------
    settings : TrainingSettings
        Optimiser, and whether features are standardised.
    usual : (float, float)
        Range for gradient descent on standardised features.

    Returns
    -------
    (float, float)
        The range.
    """
    if settings.optimiser == "adam":
        return ADAM_RATES
    return usual if settings.standardise else UNSCALED_RATES


def check_pooled(features: np.ndarray, name: str, n_features: int | None = None) -> None:
    """Refuse what is not the pooled features of clips.

    Parameters
    ----------
    features : ndarray of shape (n_clips, n_pooling_windows, n_features)
        Pooled features.
    name : str
        What to call them in an error.
    n_features : int, optional
        Features expected, if that is known.

    Raises
    ------
    ParameterError
        If they are of another shape, or there are none.
    """
    if features.ndim != 3 or len(features) == 0:
        raise ParameterError(
            f"{name}: expected shape (n_clips, n_pooling_windows, n_features), got {features.shape}"
        )
    if n_features is not None and features.shape[2] != n_features:
        raise ParameterError(
            f"{name}: expected {n_features} features, as in train, got {features.shape[2]}"
        )


def best_trial(runs: Runs, hyperparameters: list[Hyperparameters]) -> Hyperparameters:
    """The trial with the highest validation score.

    Parameters
    ----------
    runs : Runs
        The trained trials.
    hyperparameters : list of Hyperparameters
        What they were trained with.

    Returns
    -------
    Hyperparameters
        Of the best.

    Raises
    ------
    ParameterError
        If no trial had a finite score.
    """
    if not np.isfinite(runs.scores).any():
        raise ParameterError(
            f"random search: expected a finite score, got none from {len(hyperparameters)} trials"
        )
    return hyperparameters[int(np.nanargmax(runs.scores))]
