"""Where jobs run: in this process, in several on this machine, or on a Dask cluster.

Kinds go one after the other: data, learn, extract, train.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from joblib import parallel_config

from multiscale.commands import processes
from multiscale.config import data_home
from multiscale.progress import hidden, progress
from multiscale.study import forecast
from multiscale.study.jobs import KINDS, Job, jobs, needed

if TYPE_CHECKING:
    from multiscale.study.design import Experiment
    from multiscale.study.study import Study

REFRESH = 2.0
"""Seconds after which the progress is shown again, whatever happens."""


def compute(
    study: Study,
    experiments: Sequence[Experiment],
    scheduler: str | None = None,
    n_workers: int | None = None,
    retry: bool = True,
) -> dict[str, str]:
    """What :meth:`multiscale.study.study.Study.compute` does; no experiments: the data alone."""
    todo = needed(jobs(study, experiments), retry)
    if not todo:
        return {}
    data_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".jobs-", dir=data_home()) as folder:
        run = _Run(study, todo, Path(folder))
        while run.left:  # once more in a new pool whenever one has lost a worker
            n_before = len(run.left)
            try:
                with _pool(scheduler, n_workers) as (pool, n_at_once):
                    run.do(pool, n_at_once)
            except BrokenExecutor:
                run.give_up()
                if len(run.left) == n_before:
                    raise  # it cannot even begin
    return run.close()


class _Run:
    """Jobs still to do, what came of those that are over, and a bar that tells how they stand.

    In its folder lies a file for every job under way, so that those are known that a killed
    process had begun.
    """

    def __init__(self, study: Study, todo: Sequence[Job], folder: Path):
        self.study, self.folder = study, folder
        self.time_left = forecast.TimeLeft(forecast.costs(study, todo, forecast.speed()))
        seconds = self.time_left.jobs["seconds"]
        # The longest first: no worker is left with a long one when all others are done.
        self.left = sorted(todo, key=lambda job: (KINDS.index(job.kind), -seconds[job.label]))
        self.files = {job.label: folder / str(number) for number, job in enumerate(self.left)}
        self.why: dict[str, tuple[str, str]] = {}  # not done -> what failed, and its error
        self.started = time.monotonic()
        self.bar = progress(
            total=1.0,
            bar_format="{percentage:3.0f}%|{bar:20}|{postfix}",
            mininterval=REFRESH / 2,
            miniters=0,
        )

    def do(self, pool: Executor, n_at_once: int) -> None:
        """Do what is left, kind after kind, until all is over or the pool breaks."""
        while self.left:
            wave = [job for job in self.left if job.kind == self.left[0].kind]
            # In this process the bar can only move between jobs.
            futures = self._begin(wave if n_at_once else wave[:1], pool)
            while futures:
                self._show(max(1, n_at_once))
                for future in wait(futures, REFRESH, FIRST_COMPLETED).done:
                    self._end(futures.pop(future), future)

    def give_up(self) -> None:
        """Count jobs as over that were under way when their pool broke: failed, unless done."""
        begun = self._begun()
        for job in [job for job in self.left if job.label in begun]:
            error = ChildProcessError("a worker process ended: it was killed, or out of memory")
            self._over(job, None if job.is_done else (job.label, job.note_failure(error)))
            self.files[job.label].unlink()

    def close(self) -> dict[str, str]:
        """End the bar; label -> message of what was not done."""
        failures = f", {len(self.why)} failed" if self.why else ""
        gone = _words(time.monotonic() - self.started)
        took = self.time_left.jobs.groupby("kind", sort=False)["took"].sum()
        spent = ", ".join(f"{kind} {_words(seconds)}" for kind, seconds in took.items())
        self.bar.set_postfix_str(f"done in {gone}{failures}; workers' time: {spent}", refresh=False)
        self.bar.n = self.bar.total
        self.bar.close()
        return {
            label: error if label == cause else f"not begun: {cause}: {error}"
            for label, (cause, error) in self.why.items()
        }

    def _begin(self, wave: Sequence[Job], pool: Executor) -> dict[Future, Job]:
        futures = {}
        for job in wave:
            if why := next((self.why[label] for label in job.needs if label in self.why), None):
                self._over(job, why)
            else:
                futures[pool.submit(_do, self.study, job, self.files[job.label])] = job
        return futures

    def _end(self, job: Job, future: Future) -> None:
        try:
            error, seconds = future.result()
        except BrokenExecutor:
            raise
        except Exception as lost:  # Dask gives up a job that has cost it workers
            error, seconds = job.note_failure(lost), None
        self._over(job, (job.label, error) if error else None, seconds)

    def _over(self, job: Job, why: tuple[str, str] | None, seconds: float | None = None) -> None:
        self.left.remove(job)
        self.time_left.finished(job.label, seconds)
        if why:
            self.why[job.label] = why

    def _begun(self) -> dict[str, float]:
        """Labels of the jobs under way, and for how long."""
        labels = {path: label for label, path in self.files.items()}
        found = {}
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # it has just ended
                found[labels[path]] = max(0.0, time.time() - path.stat().st_mtime)
        return found

    def _show(self, n_workers: int) -> None:
        under_way = self._begun()
        gone = time.monotonic() - self.started
        left = self.time_left.seconds(under_way, n_workers)
        ends = datetime.now() + timedelta(seconds=left)
        n_left = f"{len(self.left)} job{'s' * (len(self.left) > 1)} left"
        words = f"{_words(gone)} gone, about {_words(left)} left, ends {ends:%H:%M}; {n_left}"
        names = " | ".join(under_way)
        self.bar.set_postfix_str(f"{words}: {names}"[:160] if names else words, refresh=False)
        self.bar.n = max(self.bar.n, gone / (gone + left))
        self.bar.update(0)


def _do(study: Study, job: Job, begun: Path) -> tuple[str | None, float | None]:
    """Do a job: its error, or its seconds. A file ``begun`` tells that it is under way."""
    started = time.perf_counter()
    begun.write_text(str(os.getpid()), encoding="ascii")
    try:
        # One process to a job: joblib would begin others of its own in it.
        with forecast.limited(), hidden(), parallel_config("sequential"):
            if not job.is_done:
                job.do(study)
        if job.kind == "train" and not job.is_done:
            raise RuntimeError("its result is not where it was to be: code or data have changed")
        job.forget_failure()
        return None, time.perf_counter() - started
    except Exception as error:
        return job.note_failure(error), None
    finally:
        begun.unlink(missing_ok=True)


@contextmanager
def _pool(scheduler: str | None, n_workers: int | None) -> Iterator[tuple[Executor, int]]:
    """What does jobs, and how many at a time; 0 for this process."""
    if scheduler is not None:
        from distributed import Client

        with Client(scheduler) as client:
            yield client.get_executor(pure=False), max(1, sum(client.nthreads().values()))
    elif n_workers == 0:
        yield _Here(), 0
    else:
        n_workers = n_workers or os.cpu_count() or 1
        with processes(n_workers, env={"OMP_NUM_THREADS": "1"}) as pool:
            yield pool, n_workers


class _Here(Executor):
    """Does what is submitted, at once."""

    def submit(self, function, /, *arguments) -> Future:
        """Call it."""
        future = Future()
        future.set_result(function(*arguments))
        return future


def _words(seconds: float) -> str:
    """Such as 45 s, 12 min, 3 h 10 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
