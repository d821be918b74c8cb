"""Minibatch gradient descent with weight decay and early stopping (§4.2, §4.3).

Several *runs* are trained side by side: every parameter has a leading axis of runs, which differ
in their initialisation (§5.1) or, in a random search, in learning rate and weight decay. All see
the same minibatches, so that one matrix product serves them all. What is scored and kept is a
running average of the weights over the last steps (Polyak and Juditsky, 1992): the steps of a
constant learning rate leave noise in the weights, which their average does not have. Gradients
are clipped by their norm (Pascanu et al., 2013): a rate at the edge of stability would otherwise
leap away from what it has learned, in some runs and not in others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.stats import loguniform
from sklearn.model_selection import ParameterSampler

from multiscale import config
from multiscale.config import ParameterError

Parameters = dict[str, torch.Tensor]

BATCH_SIZE = 128
"""Examples per minibatch (open in the paper)."""

MOMENTUM = 0.9
"""Momentum of the descent (open in the paper)."""


FIRST_HALVING = 100
"""Steps after which a search gives up the worse half of its trials; again after twice as many."""


@dataclass(frozen=True)
class Hyperparameters:
    """What the random search of §4.2 optimises; a value out of range is a ParameterError."""

    learning_rate: config.Positive
    weight_decay: config.NotNegative

    def __post_init__(self) -> None:
        config.check_parameters(Hyperparameters, vars(self))


def sample_hyperparameters(
    n_trials: int, learning_rate: tuple[float, float], weight_decay: tuple[float, float], seed: int
) -> list[Hyperparameters]:
    """Draw the trials of a random search log-uniformly from two ranges (§4.2)."""
    space = {"learning_rate": loguniform(*learning_rate), "weight_decay": loguniform(*weight_decay)}
    sampler = ParameterSampler(space, n_trials, random_state=seed)
    return [Hyperparameters(**{k: float(v) for k, v in trial.items()}) for trial in sampler]


@dataclass
class Runs:
    """Trained runs.

    Attributes
    ----------
    parameters : dict of str to Tensor
        Each of shape (n_runs, ...): the averages with the best validation score.
    scores : ndarray of shape (n_runs,)
        Best validation score; NaN for a run that never had a finite one.
    epochs : ndarray of shape (n_runs,), int
        Epoch of that score, from 1; 0 for a run that has none.
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
    patience_steps: int = 0,
    averaging: float = 0.0,
    clipping: float = 0.0,
    halving: bool = False,
    batch_size: int = BATCH_SIZE,
    optimiser: str = "momentum",
) -> Runs:
    """Train runs side by side until none gets better on the validation set.

    Parameters
    ----------
    parameters : dict of str to Tensor
        Initial values, each of shape (n_runs, ...). Those named ``bias...`` do not decay.
    loss : callable
        ``loss(parameters, batch)``: (n_runs,), on the examples whose indices are in ``batch``.
    score : callable
        ``score(parameters)``: (n_runs,), on the validation set; higher is better.
    n_examples : int
        Training examples.
    hyperparameters : list of Hyperparameters
        One per run.
    max_epochs : int
        Epochs after which all runs end.
    patience, patience_steps : int
        A run stops after so many epochs, and so many steps, without a better score: where there
        are few examples, an epoch is but a few steps.
    seed : int
        Of the order of the examples.
    averaging : float, default=0
        What the average of the weights keeps of itself at each step: 0.99 averages about the last
        100 steps, 0 takes the weights as they are.
    clipping : float, default=0
        Norm that a run's gradient is shortened to if it is longer, as a share of its first one's,
        which makes it the same for any task; 0 takes gradients as they are.
    halving : bool, default=False
        Successive halving, for a search (Jamieson and Talwalkar, 2016): after
        :data:`FIRST_HALVING` steps the worse half of the runs ends, again after twice as many,
        and so on, until one is left.
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
    descent = _Descent(parameters, hyperparameters, optimiser, averaging, clipping)
    active = np.arange(len(hyperparameters))
    next_halving = FIRST_HALVING
    for epoch in range(1, max_epochs + 1):
        order = torch.as_tensor(rng.permutation(n_examples), device=device)
        for batch in order.split(batch_size):
            descent.step(lambda values, batch=batch: loss(values, batch))
        scores = score(descent.averages)
        _record(runs, descent.averages, active, scores, epoch)
        stale = epoch - runs.epochs[active]
        going = (stale < patience) | (stale * descent.n_steps < patience_steps * epoch)
        going &= np.isfinite(scores)
        if halving and descent.n_steps >= next_halving:
            next_halving *= 2
            going &= _better_half(runs.scores[active])
        if not going.any() or (halving and going.sum() == 1):
            break
        if not going.all():
            active = active[going]
            descent.keep(np.flatnonzero(going))
    return runs


def _better_half(scores: np.ndarray) -> np.ndarray:
    """Whether each score is of the better half, the larger half of an odd number."""
    return np.argsort(np.argsort(-scores, kind="stable")) < (len(scores) + 1) // 2


def _start(parameters: Parameters, n_runs: int) -> Runs:
    kept = {name: value.clone() for name, value in parameters.items()}
    return Runs(kept, np.full(n_runs, np.nan), np.zeros(n_runs, int), np.empty((0, n_runs)))


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
            runs.parameters[name][run] = value[position]


class _Descent:
    """Gradient descent with a learning rate and a weight decay per run."""

    def __init__(
        self,
        parameters: Parameters,
        hyperparameters: list[Hyperparameters],
        optimiser: str,
        averaging: float,
        clipping: float,
    ):
        self.update, self.n_steps = OPTIMISERS[optimiser], 0
        self.averaging, self.clipping = averaging, clipping
        self.parameters = {name: value.clone() for name, value in parameters.items()}
        # Without averaging the same tensors, which are changed in place.
        self.averages = {n: v.clone() if averaging else v for n, v in self.parameters.items()}
        self.longest = next(iter(parameters.values())).new_zeros(len(hyperparameters))
        self.state: dict[str, Parameters] = {}
        for name, value in parameters.items():
            each = (-1, *[1] * (value.ndim - 1))  # (n_runs, 1, ...), to multiply its values with
            decays = [0 if name.startswith("bias") else h.weight_decay for h in hyperparameters]
            rates = [h.learning_rate for h in hyperparameters]
            self.state[name] = {
                "rate": value.new_tensor(rates).reshape(each),
                "decay": value.new_tensor(decays).reshape(each),
            }

    def step(self, loss: Callable[[Parameters], torch.Tensor]) -> None:
        watched = {name: value.detach().requires_grad_() for name, value in self.parameters.items()}
        # Runs do not share parameters, so the gradient of the sum holds each run's own.
        gradients = torch.autograd.grad(loss(watched).sum(), list(watched.values()))
        self.n_steps += 1
        if self.clipping:
            self._clip(gradients)
        for (name, weights), gradient in zip(self.parameters.items(), gradients, strict=True):
            self.update(weights, gradient, self.state[name])
            if self.averaging:  # a plain mean, until there are steps enough to forget some
                new = max(1 - self.averaging, 1 / self.n_steps)
                self.averages[name].lerp_(weights, new)

    def _clip(self, gradients: tuple[torch.Tensor, ...]) -> None:
        """Shorten each run's gradient, in place, to its longest allowed norm."""
        norm = torch.stack([some.flatten(1).norm(dim=1) for some in gradients]).norm(dim=0)
        # The first that is not 0, as a batch without neighbours has it.
        self.longest = torch.where(self.longest > 0, self.longest, self.clipping * norm)
        shorter = (self.longest / norm.clamp(min=torch.finfo(norm.dtype).tiny)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(shorter.reshape(-1, *[1] * (gradient.ndim - 1)))

    def keep(self, runs: np.ndarray) -> None:
        """Go on with some of the runs only: the others have stopped."""
        self.parameters = {name: value[runs] for name, value in self.parameters.items()}
        self.longest = self.longest[runs]
        averages = self.averages if self.averaging else {}
        self.averages = self.parameters | {n: value[runs] for n, value in averages.items()}
        for name, state in self.state.items():
            self.state[name] = {part: value[runs] for part, value in state.items()}


def _momentum(
    weights: torch.Tensor, gradient: torch.Tensor, state: Parameters, momentum: float = MOMENTUM
) -> None:
    """``v = momentum v + gradient + decay w``, then ``w = w - rate v``, all runs at once."""
    if "velocity" not in state:
        state["velocity"] = torch.zeros_like(weights)
    velocity = state["velocity"]
    torch.add(gradient, velocity, alpha=momentum, out=velocity)  # in place: memory is what it costs
    velocity.addcmul_(state["decay"], weights)
    weights.addcmul_(state["rate"], velocity, value=-1)


def _adam(weights: torch.Tensor, gradient: torch.Tensor, state: Parameters) -> None:
    """Adam with its usual constants; the decay is part of the gradient."""
    if "steps" not in state:
        state["steps"] = torch.zeros_like(state["rate"])
        state["mean"], state["square"] = torch.zeros_like(weights), torch.zeros_like(weights)
    state["steps"] += 1
    gradient = torch.addcmul(gradient, state["decay"], weights)
    state["mean"].lerp_(gradient, 1 - 0.9)
    state["square"].lerp_(gradient.square(), 1 - 0.999)
    mean = state["mean"] / (1 - 0.9 ** state["steps"])
    square = state["square"] / (1 - 0.999 ** state["steps"])
    weights.sub_(state["rate"] * mean / (square.sqrt() + 1e-8))


OPTIMISERS = {"momentum": _momentum, "plain": partial(_momentum, momentum=0.0), "adam": _adam}
"""Gradient descent with momentum, without it, or Adam (open in the paper)."""
