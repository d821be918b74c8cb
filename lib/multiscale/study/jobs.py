"""Jobs: the pieces of work that make up a study's experiments.

A *job* is a piece of work whose results are files of the store: a share of the data set,
dictionaries of a representation, the features of a shard of clips, or an experiment's search and
runs. Jobs depend on each other through those files alone, so it does not matter which process, or
which machine that sees the same folder, does one; and what has been stored is never done again.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from multiscale import datasets
from multiscale.datasets import DatasetSettings
from multiscale.identity import atomic_write
from multiscale.study import store
from multiscale.study.design import Architecture, Experiment

if TYPE_CHECKING:
    from multiscale.study.study import Study

OWN = {
    "window_length",
    "dictionary",
    "pooling",
    "explained_variance_ratio",
    "whiten",
    "whitening_damping",
    "assign",
    "iteration_factor",
}
"""Fields in which architectures may differ that one pass over the audio serves."""

N_SHARES = 8
"""Shares in which a data set is prepared."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A piece of work, the labels of those that go before, and the files that it leaves."""

    kind: ClassVar[str]
    label: str  # in words, unique among the jobs of a study
    needs: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()

    def do(self, study: Study) -> None:
        """Do it, with the data and the store of a study."""
        raise NotImplementedError

    @property
    def is_done(self) -> bool:
        """Whether all its files are there; of data that is not known, and soon seen."""
        return bool(self.outputs) and all(path.is_file() for path in self.outputs)

    @property
    def is_running(self) -> bool:
        """Whether some process on this machine is at it."""
        return bool(self.outputs) and not self.is_done and store.is_being_made(self.outputs[0])

    @property
    def failure(self) -> dict | None:
        """Error and settings of its last failure, if it has not been done since."""
        if not self.outputs or self.is_done or not self._failure_path.is_file():
            return None
        return json.loads(self._failure_path.read_text(encoding="utf-8"))

    def note_failure(self, error: BaseException) -> None:
        """Write an error beside where the results would be."""
        if not self.outputs:
            return
        self._failure_path.parent.mkdir(parents=True, exist_ok=True)
        report = {
            "job": self.label,
            "error": f"{type(error).__name__}: {error}",
            "settings": repr(self),
            "traceback": "".join(traceback.format_exception(error)),
        }
        with atomic_write(self._failure_path) as temporary:
            temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")

    def forget_failure(self) -> None:
        """Remove what :meth:`note_failure` wrote."""
        if self.outputs:
            self._failure_path.unlink(missing_ok=True)

    @property
    def _failure_path(self) -> Path:
        return self.outputs[0].with_suffix(".failed.json")


@dataclass(frozen=True, kw_only=True)
class Data(Job):
    """A share of a data set; without outputs, since data sets keep their own files."""

    kind = "data"
    dataset: DatasetSettings
    share: int

    def do(self, study: Study) -> None:
        """Prepare the share."""
        datasets.prepare_part(self.dataset, self.share, N_SHARES)


@dataclass(frozen=True, kw_only=True)
class Learn(Job):
    """Dictionaries of architectures of one representation, in one pass over the audio."""

    kind = "learn"
    architectures: tuple[Architecture, ...]

    def do(self, study: Study) -> None:
        """Learn those for which there are windows enough."""
        study.learn(study.learnable(self.architectures))


@dataclass(frozen=True, kw_only=True)
class Extract(Job):
    """Features of a shard of clips, with dictionaries of one representation."""

    kind = "extract"
    architectures: tuple[Architecture, ...]
    shard: int

    def do(self, study: Study) -> None:
        """Extract those of which there are dictionaries."""
        study.extract(study.learnable(self.architectures), self.shard)


@dataclass(frozen=True, kw_only=True)
class Train(Job):
    """Search and runs of an experiment."""

    kind = "train"
    experiment: Experiment

    def do(self, study: Study) -> None:
        """Search, run and score."""
        study.model(self.experiment)  # with the result: both files are wanted


def jobs(study: Study, experiments: Iterable[Experiment]) -> list[Job]:
    """Data; for each representation one "learn" and some "extract"; a "train" per experiment."""
    experiments = list(experiments)
    made: list[Job] = [*data_jobs(study)]
    data = tuple(job.label for job in made)
    extracted: dict[Architecture, tuple[str, ...]] = {}
    n_shards = study.n_shards if experiments else 0
    for group in _passes([experiment.architecture for experiment in experiments]):
        title = _title(group)
        learn = Learn(
            label=f"dictionaries of {title}",
            needs=data,
            outputs=tuple(study.dictionary_file(a).path for a in group),
            architectures=group,
        )
        extract = [
            Extract(
                label=f"features of {title}, shard {shard + 1} of {n_shards}",
                needs=(learn.label,),
                outputs=tuple(study.feature_file(a, shard).path for a in group),
                architectures=group,
                shard=shard,
            )
            for shard in range(n_shards)
        ]
        made += [learn, *extract]
        extracted.update(dict.fromkeys(group, tuple(job.label for job in extract)))
    made += [
        Train(
            label=str(experiment),
            needs=extracted[experiment.architecture],
            outputs=tuple(file.path for file in study.result_files(experiment)),
            experiment=experiment,
        )
        for experiment in experiments
    ]
    return made


def data_jobs(study: Study) -> list[Data]:
    """The jobs that prepare a study's data set, and that of its dictionaries, in shares."""
    wanted = {"data set": study.profile.dataset}
    if study.profile.dictionary_from:
        wanted["data set of the dictionaries"] = study.profile.dictionary_from
    return [
        Data(
            label=f"{words} {dataset.name}, share {share + 1} of {N_SHARES}",
            dataset=dataset,
            share=share,
        )
        for words, dataset in wanted.items()
        for share in range(N_SHARES)
    ]


def needed(work: Sequence[Job], retry: bool = True) -> list[Job]:
    """Those still to be done; without ``retry`` neither what failed nor what needs it."""
    done = {job.label: job.is_done for job in work}
    hopeless: set[str] = set()
    for job in work if not retry else ():
        if not done[job.label] and (job.failure or hopeless & set(job.needs)):
            hopeless.add(job.label)
    for_others = {label for job in work for label in job.needs}
    wanted = {label for label in done if label not in for_others and not done[label]} - hopeless
    for job in reversed(work):
        if job.label in wanted:
            wanted.update(label for label in job.needs if not done[label])
    return [job for job in work if job.label in wanted]


def _passes(architectures: Sequence[Architecture]) -> list[tuple[Architecture, ...]]:
    """Architectures that one pass over the audio serves, grouped."""
    groups: dict[str, list[Architecture]] = {}
    for architecture in dict.fromkeys(architectures):
        groups.setdefault(architecture.model_dump_json(exclude=OWN), []).append(architecture)
    return [tuple(group) for group in groups.values()]


def _title(group: tuple[Architecture, ...]) -> str:
    shared = Architecture(**group[0].model_dump(exclude=OWN))
    return f"{shared.representation} {shared.changes}".strip()
