"""One object for a profile's data, dictionaries, features, runs and comparisons; all stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from multiscale import datasets
from multiscale.config import ParameterError, TrainingSettings, data_home
from multiscale.datasets import ClipDataset, DatasetSettings
from multiscale.features import MultiscaleFeatures
from multiscale.study import (
    claims,
    decisions,
    design,
    evidence,
    learning,
    protocol,
    results,
    workers,
)
from multiscale.study.design import Architecture, Experiment
from multiscale.study.profiles import Profile, load_profile
from multiscale.study.protocol import Result
from multiscale.study.store import Artefact, is_whole, obtain
from multiscale.training import Model, Task

if TYPE_CHECKING:
    import pandas as pd

LEARNING, PROTOCOL = "multiscale.study.learning", "multiscale.study.protocol"
"""Modules that make dictionaries and features, and results."""


class _Source:
    """A data set, with the identity that stands in keys for these clips and no others."""

    def __init__(self, settings: DatasetSettings):
        self.settings = settings

    @cached_property
    def identity(self) -> dict:
        return datasets.identity(self.settings)

    @cached_property
    def clips(self) -> ClipDataset:
        before, clips = self.identity, datasets.load(self.settings)
        if datasets.identity(self.settings) != before:
            raise ParameterError(
                f"dataset: expected {self.settings.name} as it was when this study first looked, "
                "got changed files; a new Study takes them"
            )
        return clips

    @property
    def n_clips(self) -> int:
        return len(self.clips) if "clips" in vars(self) else datasets.n_clips(self.settings)


class Study:
    """A profile's experiments: what is asked for is read from the store, or computed and stored.

    Parameters
    ----------
    profile : str, Path or Profile, default="laptop"
        Data set and sizes; see :func:`~multiscale.study.profiles.load_profile`.
    seed : int, default=0
        Of dictionaries, search and runs.

    Raises
    ------
    ParameterError
        If there is no such profile.

    Examples
    --------
    >>> from multiscale.study import Architecture, Experiment, Study
    >>> laplacian = Experiment(task="tagging", architecture=Architecture(dictionary=200))
    >>> Study("smoke").run(laplacian).scores.shape  # doctest: +SKIP
    (2,)
    """

    def __init__(self, profile: str | Path | Profile = "laptop", seed: int = 0):
        self.profile = profile if isinstance(profile, Profile) else load_profile(profile)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ParameterError(f"seed: expected an integer of at least 0, got {seed!r}")
        self.seed = int(seed)
        self._own = _Source(self.profile.dataset)
        elsewhere = self.profile.dictionary_from
        self._learned_from = _Source(elsewhere) if elsewhere else self._own

    def __repr__(self) -> str:
        """``Study('laptop', seed=0)``."""
        return f"Study({self.profile.name!r}, seed={self.seed})"

    def __reduce__(self):
        """Pickle as what it is made from: a process opens it, and finds its music, once."""
        return _opened, (self.profile, self.seed, data_home())

    def borrowing(self, source: DatasetSettings) -> Study:
        """The same study with dictionaries learned on another data set."""
        return Study(self.profile.model_copy(update={"dictionary_from": source}), self.seed)

    @property
    def music(self) -> ClipDataset:
        """All clips of the profile, prepared where they are not there yet."""
        return self._own.clips

    @property
    def source(self) -> ClipDataset:
        """The clips that dictionaries are learned on: the profile's, unless they are borrowed."""
        return self._learned_from.clips

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks for which the data have the labels, in each split."""
        return _accepted(design.TASKS, self.labels)

    def labels(self, task: str) -> dict[str, np.ndarray]:
        """What a task is to learn, by split; a ParameterError if the data have not what it needs.

        Tags of shape (n_clips, n_tags), bool, or artists of shape (n_clips,).
        """
        return protocol.labels(_task(task), self.music)

    def dictionary(self, architecture: Architecture) -> MultiscaleFeatures:
        """The transformer of an architecture, fitted on the training clips."""
        return self.learn([architecture])[0]

    def features(
        self, architecture: Architecture, level: int | None = None
    ) -> dict[str, np.ndarray]:
        """Features of every clip, of all levels or of one, by split.

        Of shape (n_clips, n_pooling_windows, n_features). A ParameterError if there is no such
        level, or there are not windows enough to learn from.
        """
        design.check_level(level, architecture.n_levels)
        shards = (self.extract([architecture], shard)[0] for shard in range(self.n_shards))
        return learning.by_split(shards, self.music, level)

    def learn(self, architectures: Sequence[Architecture]) -> list[MultiscaleFeatures]:
        """Dictionaries of architectures of one representation; the missing ones in one pass."""

        def compute(missing: list[int]) -> list[MultiscaleFeatures]:
            learners = [self._learner(architectures[i]) for i in missing]
            learning.learn(learners, self.source)
            return learners

        return obtain([self.dictionary_file(a) for a in architectures], compute)

    def extract(
        self, architectures: Sequence[Architecture], shard: int
    ) -> list[dict[str, np.ndarray]]:
        """Features of a shard of clips, for architectures of one representation, in one pass."""

        def compute(missing: list[int]) -> list[dict[str, np.ndarray]]:
            learners = self.learn([architectures[i] for i in missing])
            return learning.extract(learners, self.music, shard)

        return obtain([self.feature_file(a, shard) for a in architectures], compute)

    def learnable(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        """Those for which there are windows enough; all, to fail and tell why, if none has."""
        train = self.source.split("train")
        possible = _accepted(architectures, lambda a: self._learner(a).check_windows(train))
        return possible or list(architectures)

    @property
    def n_shards(self) -> int:
        """Shards in which features are extracted."""
        return -(-self._own.n_clips // learning.SHARD)

    def run(self, experiment: Experiment) -> Result:
        """Search, runs and scores of an experiment; computed if they are missing.

        A ParameterError if the data have not what the task needs, or the architecture asks for too
        much.
        """
        found = self.result(experiment)
        return self._obtain(experiment)[0] if found is None else found

    def result(self, experiment: Experiment) -> Result | None:
        """The result of an experiment if it has been computed, else None."""
        return self.result_files(experiment)[0].read()

    def model(self, experiment: Experiment) -> Model:
        """The runs that an experiment trained, whose scores :meth:`run` tells."""
        return self._obtain(experiment)[1]

    def compute(
        self,
        experiments: Iterable[Experiment] | None = None,
        scheduler: str | None = None,
        n_workers: int | None = None,
        retry: bool = True,
    ) -> dict[str, str]:
        """Compute what is missing, in several processes, and tell what failed.

        Parameters
        ----------
        experiments : iterable of Experiment, optional
            By default all of the book, then the levels of the architecture that validation favours.
        scheduler : str, optional
            Address of a Dask scheduler whose workers see the same data home.
        n_workers : int, optional
            Processes on this machine, one for each core by default; 0 works in this one.
        retry : bool, default=True
            Whether to try again what failed in an earlier call.

        Returns
        -------
        dict of str to str
            Label -> message of what failed, or needed what did.
        """
        if experiments is not None:
            return workers.compute(self, list(experiments), scheduler, n_workers, retry)
        if scheduler is not None:  # else what follows prepares the data, with all cores
            workers.compute(self, [], scheduler)
        if not (wanted := self.experiments()):
            return {}  # data that have no labels
        failed = workers.compute(self, wanted, scheduler, n_workers, retry)
        # What failed is not tried twice in one call.
        return failed | workers.compute(self, self.experiments(), scheduler, n_workers, False)

    def experiments(self, tasks: Sequence[str] | None = None) -> list[Experiment]:
        """All of the book, and the levels of the architecture that validation favours (§5.2).

        ``tasks`` are those that the data have labels for; to name them spares preparing the data.
        """
        tasks = self.tasks if tasks is None else tasks
        best = self.best_architecture("tagging")
        favoured = design.single_levels(best) if best and "tagging" in tasks else []
        return list(dict.fromkeys([*design.everything(tasks), *favoured]))

    def missing(self, experiments: Iterable[Experiment] | None = None) -> list[Experiment]:
        """Those, of all by default, that have no result yet."""
        asked = self.experiments() if experiments is None else experiments
        return [e for e in asked if not is_whole(self.result_files(e)[0].path)]

    def best_architecture(self, task: str) -> Architecture | None:
        """The one of the 28 with the highest mean validation score so far; None before any."""
        scored = {
            experiment.architecture: np.nanmean(result.valid_scores)
            for experiment in design.grid([task])
            if (result := self.result(experiment)) is not None
        }
        return max(scored, key=scored.get) if scored else None

    def table(self, experiments: Sequence[Experiment]) -> pd.DataFrame:
        """One row per run: see :func:`multiscale.study.results.results_table`."""
        return results.results_table(self, experiments)

    def tag_table(self, experiments: Sequence[Experiment]) -> pd.DataFrame:
        """One row per run and tag: see :func:`multiscale.study.results.tag_table`."""
        return results.tag_table(self, experiments)

    def by_level(self, architecture: Architecture) -> pd.DataFrame:
        """AUC of every tag from each level: see :func:`multiscale.study.results.by_level`."""
        return results.by_level(self, architecture)

    def evidence(self) -> evidence.Evidence:
        """Results with resamples of the test clips, for rules and intervals."""
        return evidence.gather(self)

    def compare(self, changed: Experiment, reference: Experiment) -> evidence.Effect | None:
        """By how much the score of one exceeds another's, with its interval; None if missing."""
        return evidence.gather(self, [changed, reference]).change(changed, reference)

    def ledger(self) -> pd.DataFrame:
        """The paper's claims with effect, interval and verdict."""
        return claims.ledger(self.evidence())

    def sensitivities(self) -> pd.DataFrame:
        """By how much each open choice changes the score of the paper's best architecture."""
        return decisions.sensitivities(self.evidence())

    def dictionary_file(self, architecture: Architecture) -> Artefact:
        """Where the dictionaries of an architecture are, or would be."""
        settings, form = self._learned(architecture), MultiscaleFeatures
        return self._artefact("dictionaries", settings, (LEARNING,), form.save, form.load)

    def feature_file(self, architecture: Architecture, shard: int) -> Artefact:
        """Where the features of a shard are, or would be."""
        settings = {**self._extracted(architecture), "shard": shard}
        return self._artefact("features", settings, (LEARNING,))

    def result_files(self, experiment: Experiment) -> tuple[Artefact, Artefact]:
        """Where the result of an experiment and the trained runs are, or would be."""
        task = experiment.task
        settings = {
            **self._extracted(experiment.architecture),
            "level": experiment.level,
            "training": self.training(experiment).model_dump(mode="json"),
        }
        makers = (LEARNING, PROTOCOL, f"multiscale.{task}")
        return (
            self._artefact(task, settings, makers, Result.save, Result.load),
            self._artefact(f"{task}_models", settings, makers, Model.save, Model.load),
        )

    def training(self, experiment: Experiment) -> TrainingSettings:
        """The training settings of an experiment: the profile's, with its changes."""
        usual = getattr(self.profile, experiment.task).model_dump()
        changes = dict(experiment.training)
        budget = changes.pop("budget", 1)
        scaled = {name: max(1, round(budget * usual[name])) for name in design.SCALED}
        return TrainingSettings(**{**usual, **scaled, **changes})

    def _artefact(self, kind: str, settings: dict, makers: tuple[str, ...], *form) -> Artefact:
        """One whose header tells the code of the data sets as well."""
        names = {source.settings.name for source in (self._own, self._learned_from)}
        about = tuple(f"multiscale.datasets.{name}" for name in sorted(names))
        return Artefact(kind, settings, makers, about, *form)

    def _obtain(self, experiment: Experiment) -> tuple[Result, Model]:
        labels = self.labels(experiment.task)  # refused before any work

        def compute(missing: list[int]) -> list[object]:
            features = self.features(experiment.architecture, experiment.level)
            settings = self.training(experiment)
            made = protocol.run(_task(experiment.task), features, labels, settings, self.seed)
            return [made[i] for i in missing]

        return tuple(obtain(self.result_files(experiment), compute))

    def _learner(self, architecture: Architecture) -> MultiscaleFeatures:
        return learning.learner(architecture, self.profile.on_its_data, self.seed)

    def _learned(self, architecture: Architecture) -> dict:
        """What determines dictionaries."""
        return {
            "dataset": self._learned_from.identity,
            "learning": self.profile.on_its_data.model_dump(mode="json"),
            "architecture": architecture.model_dump(mode="json"),
            "seed": self.seed,
        }

    def _extracted(self, architecture: Architecture) -> dict:
        """What determines features: the clips, and what the dictionaries were learned from."""
        return {"dataset": self._own.identity, "learned": self._learned(architecture)}


@lru_cache(maxsize=2)
def _opened(profile: Profile, seed: int, home: Path) -> Study:
    return Study(profile, seed)


def _task(name: str) -> Task:
    if name not in design.TASKS:
        raise ParameterError(f"task: expected one of {', '.join(design.TASKS)}, got {name!r}")
    return getattr(import_module(f"multiscale.{name}"), name.upper())


def _accepted(values: Iterable, check: Callable) -> list:
    """Those that a check does not refuse."""
    found = []
    for value in values:
        with suppress(ParameterError):
            check(value)
            found.append(value)
    return found
