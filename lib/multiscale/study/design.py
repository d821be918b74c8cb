"""What is run (§4.2, §5): the 28 architectures on two tasks, and what the paper's claims need.

Lists only: :class:`~multiscale.study.study.Study` runs an experiment. Words for people
(``str(architecture)``) are no keys: tables carry fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field, model_validator

from multiscale.config import (
    APPROACHES,
    DICTIONARIES,
    EXPLAINED_VARIANCE_RATIO,
    N_LEVELS,
    POOLING_LENGTH,
    REPRESENTATIONS,
    Assignment,
    Dictionary,
    KernelName,
    ParameterError,
    Pooling,
    RepresentationName,
    Settings,
    check_architecture,
)

TASKS = ("tagging", "similarity")
"""The tasks of §4.2 and §4.3."""


def in_words(changes: Iterable[tuple[str, object]]) -> str:
    """Names and values: ``pooling=mean, budget=3``."""
    return ", ".join(f"{n}={v:g}" if isinstance(v, float) else f"{n}={v}" for n, v in changes)


class Architecture(Settings):
    """A feature learning architecture: the paper's three choices, and those it leaves open."""

    representation: RepresentationName = "laplacian"
    window_length: int = 1
    dictionary: Dictionary = 500
    n_levels: int = N_LEVELS
    pooling_length: int = POOLING_LENGTH
    pooling: Pooling = "max"
    explained_variance_ratio: float = Field(EXPLAINED_VARIANCE_RATIO, gt=0, lt=1)
    whiten: bool = True
    whitening_damping: float | None = Field(None, ge=0, description="None: the profile's")
    assign: Assignment = "abs"
    kernel: KernelName = "binomial"
    double_hop: bool = False
    log_constant: float = Field(10_000.0, gt=0)
    window_share: float = Field(1.0, gt=0, le=1, description="of the profile's sampled windows")
    iteration_factor: int = Field(1, ge=0, description="times the profile's K-means iterations")
    draw: int = Field(0, ge=0, description="of the windows sampled and of the initial means")

    @model_validator(mode="after")
    def _can_be_built(self) -> Architecture:
        check_architecture(
            self.representation,
            self.window_length,
            self.dictionary,
            self.n_levels,
            self.pooling_length,
            self.double_hop,
        )
        return self

    @property
    def changes(self) -> str:
        """What differs from our choices, beside the three of the paper: ``pooling=mean``, ..."""
        changed = self.model_dump(
            exclude={"representation", "window_length", "dictionary"}, exclude_defaults=True
        )
        return in_words(changed.items())

    def __str__(self) -> str:
        """Words such as ``laplacian, 1 frame, 500 means``; changes from our choices follow."""
        frames = "1 frame" if self.window_length == 1 else f"{self.window_length} frames"
        words = {"pca": "PCA", "mel": "mel components", "mfcc": "MFCC"}
        learned = words.get(self.dictionary, f"{self.dictionary} means")
        return ", ".join(filter(None, [self.representation, frames, learned, self.changes]))


class Experiment(Settings):
    """An architecture on a task, from all levels or one, with the training as the profile says.

    ``training`` changes that: pairs of a field of TrainingSettings and its value; "budget" stands
    for trials, epochs and patience, all so many times what the profile says.
    """

    task: Literal["tagging", "similarity"]
    architecture: Architecture
    level: int | None = None
    training: tuple[tuple[str, str | bool | int | float], ...] = ()

    @model_validator(mode="after")
    def _has_that_level(self) -> Experiment:
        check_level(self.level, self.architecture.n_levels)
        return self

    def __str__(self) -> str:
        """Words such as ``tagging: laplacian, 1 frame, 500 means, level 3 alone``."""
        parts = [f"{self.task}: {self.architecture}"]
        if self.level is not None:
            parts.append(f"level {self.level} alone")
        return ", ".join(filter(None, [*parts, in_words(self.training)]))


def check_level(level: int | None, n_levels: int) -> None:
    """Refuse a level that an architecture does not have; None is all of them."""
    if level is not None and not 0 <= level < n_levels:
        raise ParameterError(
            f"level: expected from 0 up to n_levels - 1 = {n_levels - 1}, got {level}"
        )


ARCHITECTURES = tuple(
    Architecture(representation=name, window_length=length, dictionary=dictionary)
    for name, length in APPROACHES
    for dictionary in DICTIONARIES
)
"""The 28 architectures of §4.2."""

PAPERS_BEST = Architecture(representation="laplacian", window_length=1, dictionary=500)
"""The best for tags (§5.1), and what Figure 6 is drawn from (§5.2)."""

SIMILARITY_BEST = Architecture(representation="gaussian", window_length=2, dictionary=500)
"""The best for similarity (§5.1); of the dictionaries, the paper names 500 as better than 1000."""

NOT_WHITENED = PAPERS_BEST.model_copy(update={"whiten": False})
DOUBLED_HOP = Architecture(representation="multiresolution", double_hop=True)
POOLED = {name: PAPERS_BEST.model_copy(update={"pooling": name}) for name in ("mean", "min", "var")}
"""What §2.1, §3.1 and §2.3 say was tried, and found worse."""

_ONE_LEVEL = {"representation": "gaussian", "n_levels": 1}
BASELINES = {
    "MFCC statistics": Architecture(dictionary="mfcc", pooling="mean_std", **_ONE_LEVEL),
    "log-mel statistics": Architecture(dictionary="mel", pooling="mean_std", **_ONE_LEVEL),
    "one level, 3000 means": Architecture(dictionary=3000, **_ONE_LEVEL),
    "six levels, random means": PAPERS_BEST.model_copy(update={"iteration_factor": 0}),
}
"""What learning at several timescales has to beat: mean and deviation, per pooling window, of what
anyone would try first; as many features as six levels of 500, from one; nothing learned."""

SINGLE_TIMESCALE = Experiment(
    task="tagging", architecture=Architecture(representation="gaussian"), level=0
)
"""The pipeline of §2 on the mel-spectrogram alone, which is level 0 of the Gaussian pyramid."""

OPEN_CHOICES: dict[str, tuple[dict, dict]] = {
    "log constant 1,000,000": ({"log_constant": 1e6}, {}),
    "log constant 100": ({"log_constant": 100.0}, {}),
    "log constant 1": ({"log_constant": 1.0}, {}),
    "pyramid kernel (1, 2, 1)": ({"kernel": "triangle"}, {}),
    "pyramid kernel of 7 taps": ({"kernel": "wide"}, {}),
    "K-means assigns by the signed projection": ({"assign": "signed"}, {}),
    "a tenth of the windows sampled": ({"window_share": 0.1}, {}),
    "twice the K-means iterations": ({"iteration_factor": 2}, {}),
    "90 % of the variance": ({"explained_variance_ratio": 0.9}, {}),
    "damped whitening": ({"whitening_damping": 1.0}, {}),
    "features not standardised": ({}, {"standardise": False}),
    "gradient descent without momentum": ({}, {"optimiser": "plain"}),
    "Adam": ({}, {"optimiser": "adam"}),
    "the last weights, not their average": ({}, {"averaging": 0.0}),
    "gradients as they are": ({}, {"clipping": 0.0}),
}
"""Change -> fields of Architecture and of TrainingSettings: what the decision register measures."""

BUDGETS = (1 / 3, 1, 3)
"""Of training, in times the profile's: more should change nothing."""

SCALED = ("n_trials", "max_epochs", "patience", "patience_steps")
"""Training settings that a budget multiplies."""

DRAWS = (0, 1, 2)
"""Draws of the windows sampled and of the initial means, the usual one first: what chance does to
a dictionary."""


def grid(tasks: Sequence[str] = TASKS) -> list[Experiment]:
    """The 28 architectures on each task (§5.1)."""
    return [Experiment(task=task, architecture=a) for task in tasks for a in ARCHITECTURES]


def single_levels(architecture: Architecture) -> list[Experiment]:
    """Tag prediction from each level alone (§5.2)."""
    return [
        Experiment(task="tagging", architecture=architecture, level=level)
        for level in range(architecture.n_levels)
    ]


def baselines(task: str) -> dict[str, Experiment]:
    """What learning at several timescales has to beat; with the three ways to have them."""
    mel = SINGLE_TIMESCALE.model_copy(update={"task": task})
    ways = {f"{r}, 500 means": Architecture(representation=r) for r in REPRESENTATIONS}
    others = {n: Experiment(task=task, architecture=a) for n, a in {**BASELINES, **ways}.items()}
    return {"mel-spectrogram alone, 500 means": mel, **others}


def budgets(task: str) -> dict[Architecture, dict[float, Experiment]]:
    """Two architectures of a task, each with less and with more training."""
    best = {"tagging": PAPERS_BEST, "similarity": SIMILARITY_BEST}[task]
    other = best.model_copy(update={"dictionary": {"tagging": "pca", "similarity": 1000}[task]})
    return {
        a: {
            budget: Experiment(
                task=task, architecture=a, training=() if budget == 1 else (("budget", budget),)
            )
            for budget in BUDGETS
        }
        for a in (best, other)
    }


def asides() -> dict[str, Experiment]:
    """What the paper mentions in passing: whitening, hop, pooling, and one timescale alone."""
    tried = {"not whitened": NOT_WHITENED, "hop doubled with the window": DOUBLED_HOP}
    tried |= {f"pooled by {name}": architecture for name, architecture in POOLED.items()}
    others = {name: Experiment(task="tagging", architecture=a) for name, a in tried.items()}
    return {"level 0 alone: the mel-spectrogram": SINGLE_TIMESCALE, **others}


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
    """The paper's best architecture for a task, and the same with dictionaries drawn anew."""
    best = {"tagging": PAPERS_BEST, "similarity": SIMILARITY_BEST}[task]
    return [
        Experiment(task=task, architecture=best.model_copy(update={"draw": draw})) for draw in DRAWS
    ]


def everything(tasks: Sequence[str] = TASKS) -> list[Experiment]:
    """All experiments of the book, on these tasks, that are known before any has run."""
    others = [*asides().values(), *sensitivities().values()]
    for task in TASKS:
        others += baselines(task).values()
        others += redraws(task)
        others += [e for by_budget in budgets(task).values() for e in by_budget.values()]
    made = [*grid(), *single_levels(PAPERS_BEST), *others]
    return [e for e in dict.fromkeys(made) if e.task in tasks]
