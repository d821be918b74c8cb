"""What is to be run (§4.2, §5): the 28 architectures on two tasks, and what the claims need.

Lists only, those of the decision register among them: :mod:`multiscale.experiments` runs one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multiscale.architectures import (
    ARCHITECTURES,
    DOUBLED_HOP,
    NOT_WHITENED,
    PAPERS_BEST,
    POOLED,
    SIMILARITY_BEST,
    Architecture,
)
from multiscale.config import Profile
from multiscale.experiments import TASKS, Experiment, stored_result

OPEN_CHOICES: dict[str, tuple[dict, dict]] = {
    "log constant 100": ({"log_constant": 100.0}, {}),
    "log constant 1": ({"log_constant": 1.0}, {}),
    "pyramid kernel (1, 2, 1)": ({"kernel": "triangle"}, {}),
    "pyramid kernel of 7 taps": ({"kernel": "wide"}, {}),
    "K-means assigns by the signed projection": ({"signed": True}, {}),
    "a tenth of the windows sampled": ({"window_share": 0.1}, {}),
    "twice the K-means iterations": ({"iteration_factor": 2}, {}),
    "features not standardised": ({}, {"standardise": False}),
    "gradient descent without momentum": ({}, {"optimiser": "plain"}),
    "Adam": ({}, {"optimiser": "adam"}),
}
"""Change -> fields of Architecture and of TrainingSettings: what the decision register measures."""

SINGLE_TIMESCALE = Experiment(task="tagging", architecture=Architecture(scale="gaussian"), level=0)
"""The pipeline of §2 on the mel-spectrogram alone, which is level 0 of the Gaussian pyramid."""

DRAWS = (1, 2)
"""Other draws of the windows sampled and of the initial means: what chance does to a dictionary."""


def architectures_on(tasks: Sequence[str] = TASKS) -> list[Experiment]:
    """The 28 architectures on each task (§5.1)."""
    return [Experiment(task=task, architecture=a) for task in tasks for a in ARCHITECTURES]


def single_levels(architecture: Architecture) -> list[Experiment]:
    """Tag prediction from each level alone (§5.2)."""
    return [
        Experiment(task="tagging", architecture=architecture, level=level)
        for level in range(architecture.n_levels)
    ]


def asides() -> list[Experiment]:
    """What the paper mentions in passing: no whitening, doubled hop, other pooling, one scale."""
    tried = [NOT_WHITENED, DOUBLED_HOP, *POOLED.values()]
    others = [Experiment(task="tagging", architecture=architecture) for architecture in tried]
    return [SINGLE_TIMESCALE, *others]


def sensitivities() -> dict[str, Experiment]:
    """The paper's best architecture with one open choice changed at a time."""
    return {
        name: Experiment(
            task="tagging",
            architecture=PAPERS_BEST.model_copy(update=architecture),
            training=tuple(training.items()),
        )
        for name, (architecture, training) in OPEN_CHOICES.items()
    }


def redraws(task: str) -> list[Experiment]:
    """The paper's best architecture for a task, with dictionaries drawn anew."""
    best = {"tagging": PAPERS_BEST, "similarity": SIMILARITY_BEST}[task]
    return [
        Experiment(task=task, architecture=best.model_copy(update={"draw": draw})) for draw in DRAWS
    ]


def everything(tasks: Sequence[str] = TASKS) -> list[Experiment]:
    """All experiments of the book, on these tasks, that are known before any has run."""
    others = [*asides(), *sensitivities().values()]
    others += [experiment for task in TASKS for experiment in redraws(task)]
    made = [*architectures_on(), *single_levels(PAPERS_BEST), *others]
    return [experiment for experiment in made if experiment.task in tasks]


def best_architecture(profile: Profile, task: str, seed: int = 0) -> Architecture | None:
    """The architecture with the highest mean validation score among those computed, or None."""
    scored = {
        experiment.architecture: np.nanmean(result.valid_scores)
        for experiment in architectures_on([task])
        if (result := stored_result(profile, experiment, seed)) is not None
    }
    return max(scored, key=scored.get) if scored else None


def known(profile: Profile, seed: int = 0, tasks: Sequence[str] = TASKS) -> list[Experiment]:
    """Everything, and the levels of the architecture that this profile's grid favours (§5.2)."""
    best = best_architecture(profile, "tagging", seed)
    return list(dict.fromkeys([*everything(tasks), *(single_levels(best) if best else [])]))
