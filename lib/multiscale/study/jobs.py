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
from typing import TYPE_CHECKING

from multiscale import datasets
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

_DO = {
    "data": lambda study, dataset, share: datasets.prepare_part(dataset, share, N_SHARES),
    # Architectures for which there are not windows enough leave the others alone.
    "learn": lambda study, group: study.learn(study.learnable(group)),
    "extract": lambda study, group, shard: study.extract(study.learnable(group), shard),
    "train": lambda study, experiment: study.model(experiment),  # and with it the result
}

KINDS = tuple(_DO)
"""Of jobs, in the order in which they are done."""


@dataclass(frozen=True)
class Job:
    """A piece of work, the labels of those that go before, and the files that it leaves."""

    kind: str
    label: str  # in words, unique among the jobs of a study
    subject: tuple  # dataset and share, architectures (and shard), or experiment
    needs: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = ()  # none of data, since data sets keep their own files

    def do(self, study: Study) -> None:
        """Do it, with the data and the store of a study."""
        _DO[self.kind](study, *self.subject)

    @property
    def is_done(self) -> bool:
        """Whether all its files are there and whole; of data that is not known, and soon seen."""
        return bool(self.outputs) and all(store.is_whole(path) for path in self.outputs)

    @property
    def state(self) -> str:
        """Of a job with files: "done", "running" (on this machine), "failed" or "missing"."""
        if self.is_done:
            return "done"
        if store.is_being_made(self.outputs[0]):
            return "running"
        return "failed" if self.failure else "missing"

    @property
    def failure(self) -> dict | None:
        """Error and settings of its last failure, if it has not been done since."""
        if not self.outputs or self.is_done or not self._failure_path.is_file():
            return None
        return json.loads(self._failure_path.read_text(encoding="utf-8"))

    def note_failure(self, error: BaseException) -> str:
        """Write an error beside where the results would be, and give it in words."""
        words = f"{type(error).__name__}: {error}"
        if self.outputs:
            report = {
                "job": self.label,
                "error": words,
                "settings": repr(self),
                "traceback": "".join(traceback.format_exception(error)),
            }
            self._failure_path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._failure_path) as temporary:
                temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
        return words

    def forget_failure(self) -> None:
        """Remove what :meth:`note_failure` wrote."""
        if self.outputs:
            self._failure_path.unlink(missing_ok=True)

    @property
    def _failure_path(self) -> Path:
        return self.outputs[0].with_suffix(".failed.json")


def jobs(study: Study, experiments: Iterable[Experiment]) -> list[Job]:
    """Data; for each representation one "learn" and some "extract"; a "train" per experiment."""
    experiments = list(experiments)
    wanted = {"data set": study.profile.dataset}
    if study.profile.dictionary_from:
        wanted["data set of the dictionaries"] = study.profile.dictionary_from
    made = [
        Job("data", f"{words} {dataset.name}, share {i + 1} of {N_SHARES}", (dataset, i))
        for words, dataset in wanted.items()
        for i in range(N_SHARES)
    ]
    prepared = _labels(made)
    extracted: dict[Architecture, tuple[str, ...]] = {}
    n_shards = study.n_shards if experiments else 0
    for shared, group in _passes([experiment.architecture for experiment in experiments]).items():
        title = f"{shared.representation} {shared.changes}".strip()
        files = tuple(study.dictionary_file(a).path for a in group)
        learn = Job("learn", f"dictionaries of {title}", (group,), prepared, files)
        extract = []
        for i in range(n_shards):
            label = f"features of {title}, shard {i + 1} of {n_shards}"
            files = tuple(study.feature_file(a, i).path for a in group)
            extract.append(Job("extract", label, (group, i), (learn.label,), files))
        made += [learn, *extract]
        extracted |= dict.fromkeys(group, _labels(extract))
    for experiment in experiments:
        files = tuple(file.path for file in study.result_files(experiment))
        needs = extracted[experiment.architecture]
        made.append(Job("train", str(experiment), (experiment,), needs, files))
    return made


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


def _labels(work: Sequence[Job]) -> tuple[str, ...]:
    return tuple(job.label for job in work)


def _passes(architectures: Sequence[Architecture]) -> dict[Architecture, tuple[Architecture, ...]]:
    """What architectures share -> those that one pass over the audio serves."""
    groups: dict[Architecture, tuple[Architecture, ...]] = {}
    for architecture in dict.fromkeys(architectures):
        shared = Architecture(**architecture.model_dump(exclude=OWN))
        groups[shared] = (*groups.get(shared, ()), architecture)
    return groups
