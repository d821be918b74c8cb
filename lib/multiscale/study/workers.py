"""Where jobs run: in this process, in several on this machine, or on a Dask cluster.

Kinds go one after the other: data, learn, extract, train.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from joblib.externals.loky import ProcessPoolExecutor, process_executor

from multiscale.config import data_home
from multiscale.progress import hidden, progress
from multiscale.study import forecast
from multiscale.study.jobs import Job, jobs, needed

if TYPE_CHECKING:
    from multiscale.study.design import Experiment
    from multiscale.study.study import Study

KINDS = ("data", "learn", "extract", "train")
"""Of jobs, in the order in which they are done."""

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
    run = _Run(study, todo)
    data_home().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".jobs-", dir=data_home()) as folder:
        while run.left:  # once more in a new pool whenever one has lost a worker
            with _pool(scheduler, n_workers) as (pool, n_side_by_side):
                run.do(pool, n_side_by_side, Path(folder))
            if run.left:
                run.give_up(Path(folder))
    run.close()
    return run.failed


class _Run:
    """Jobs still to do, what came of those that are over, and a bar that tells how they stand."""

    def __init__(self, study: Study, todo: Sequence[Job]):
        table = forecast.costs(study, todo, forecast.speed())
        seconds = dict(zip(table["job"], table["seconds"], strict=True))
        self.study = study
        # The longest first: no worker is left with a long one when all others are done.
        self.left = sorted(todo, key=lambda job: (KINDS.index(job.kind), -seconds[job.label]))
        self.numbers = {job.label: str(number) for number, job in enumerate(self.left)}
        self.failed: dict[str, str] = {}
        self.causes: dict[str, str] = {}
        self.time_left = forecast.TimeLeft(table)
        self.started = time.monotonic()
        self.bar = progress(
            total=1.0,
            bar_format="{percentage:3.0f}%|{bar:20}|{postfix}",
            mininterval=REFRESH / 2,
            miniters=0,
        )

    def do(self, pool: Executor, n_side_by_side: int, folder: Path) -> None:
        """Do what is left, kind after kind, until all is over or the pool breaks."""
        n_before = len(self.left)
        try:
            while self.left:
                wave = [job for job in self.left if job.kind == self.left[0].kind]
                # In this process the bar can only move between jobs.
                futures = self._begin(wave if n_side_by_side else wave[:1], pool, folder)
                while futures:
                    self._show(folder, max(1, n_side_by_side))
                    for future in wait(futures, REFRESH, FIRST_COMPLETED).done:
                        self._end(futures.pop(future), future)
        except BrokenExecutor:
            if len(self.left) == n_before and not any(folder.iterdir()):
                raise  # it cannot even begin

    def _begin(self, wave: Sequence[Job], pool: Executor, folder: Path) -> dict[Future, Job]:
        futures = {}
        for job in wave:
            if cause := next((self.causes[n] for n in job.needs if n in self.causes), None):
                self._over(job, f"not begun: {cause}", cause)
            else:
                begun = folder / self.numbers[job.label]
                futures[pool.submit(_do, self.study, job, begun)] = job
        return futures

    def _end(self, job: Job, future: Future) -> None:
        seconds = None
        try:
            message, seconds = future.result()
        except BrokenExecutor:
            raise
        except Exception as error:  # Dask gives up a job that has cost it workers
            job.note_failure(error)
            message = f"{type(error).__name__}: {error}"
        self._over(job, message, f"{job.label}: {message}", seconds)

    def give_up(self, folder: Path) -> None:
        """Count jobs as failed that were under way when their pool broke."""
        begun = self._begun(folder)
        for job in [job for job in self.left if job.label in begun]:
            error = ChildProcessError("a worker process ended: it was killed, or out of memory")
            job.note_failure(error)
            self._over(job, f"{type(error).__name__}: {error}", f"{job.label}: {error}")
        for path in folder.iterdir():
            path.unlink()

    def close(self) -> None:
        """End the bar."""
        failures = f", {len(self.failed)} failed" if self.failed else ""
        gone = _words(time.monotonic() - self.started)
        self.bar.set_postfix_str(f"done in {gone}{failures}", refresh=False)
        self.bar.n = self.bar.total
        self.bar.close()

    def _over(
        self, job: Job, message: str | None, cause: str, seconds: float | None = None
    ) -> None:
        self.left.remove(job)
        self.time_left.finished(job.label, None if message else seconds)
        if message:
            self.failed[job.label], self.causes[job.label] = message, cause

    def _begun(self, folder: Path) -> dict[str, float]:
        """Labels of the jobs under way, and for how long."""
        labels = {number: label for label, number in self.numbers.items()}
        found = {}
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # it has just ended
                found[labels[path.name]] = max(0.0, time.time() - path.stat().st_mtime)
        return found

    def _show(self, folder: Path, n_workers: int) -> None:
        under_way = self._begun(folder)
        gone = time.monotonic() - self.started
        left = self.time_left.seconds(under_way, n_workers)
        ends = datetime.now() + timedelta(seconds=left)
        n_left = f"{len(self.left)} job{'s' * (len(self.left) > 1)} left"
        words = f"{_words(gone)} gone, about {_words(left)} left, ends {ends:%H:%M}; {n_left}"
        names = " | ".join(under_way)
        self.bar.set_postfix_str(f"{words}: {names}"[:160] if names else words, refresh=False)
        self.bar.n = max(self.bar.n, gone / (gone + left))
        self.bar.update(0)


def _do(study: Study, job: Job, begun: Path) -> tuple[str | None, float]:
    """Do a job; what went wrong, and its seconds. A file ``begun`` tells that it is under way."""
    started = time.perf_counter()
    message = None
    try:
        begun.write_text(str(os.getpid()), encoding="ascii")
        with forecast.threads(), hidden():
            if not job.is_done:
                job.do(study)
        if job.kind == "train" and not job.is_done:
            raise RuntimeError("its result is not where it was to be: code or data have changed")
        job.forget_failure()
    except Exception as error:
        job.note_failure(error)
        message = f"{type(error).__name__}: {error}"
    begun.unlink(missing_ok=True)
    return message, time.perf_counter() - started


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
        environment = {"OMP_NUM_THREADS": str(forecast.THREADS)}
        pool = ProcessPoolExecutor(
            n_workers, env=environment, initializer=_settle, initargs=(os.getpid(),)
        )
        try:
            yield pool, n_workers
        except BaseException:
            pool.shutdown(kill_workers=True)
            raise
        pool.shutdown()


def _settle(parent: int) -> None:
    """Keep a process for all its jobs, but not beyond a parent that has been killed."""
    # Loky would begin another process after each job that keeps memory, such as features.
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)  # rather than go on with what is queued

    threading.Thread(target=watch, daemon=True).start()


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
