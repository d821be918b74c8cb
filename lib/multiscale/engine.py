"""Where cells run: in this process, in several on this machine, or on a Dask cluster."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from multiscale import cells, datasets, experiments, grid, plan
from multiscale.cells import Cell, run_cell
from multiscale.config import Profile

REFRESH = 2.0
"""Seconds after which the progress bar is drawn again, whatever happens."""


def run_all(
    profile: Profile,
    seed: int = 0,
    scheduler: str | None = None,
    n_workers: int | None = None,
    retry: bool = True,
) -> dict[str, str]:
    """Every experiment of the book: the grid, then the levels of the architecture it favours.

    Tasks for which the data set has not what it takes, tags or artists, are left out.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    seed : int, default=0
        Of all randomness.
    scheduler, n_workers, retry
        As :func:`run`.

    Returns
    -------
    dict of str to str
        As :func:`run`.
    """
    if scheduler is not None:  # else what follows prepares them, with all cores
        run(cells.data_cells(profile, seed), scheduler)
    tasks = experiments.possible_tasks(datasets.load(profile.dataset))
    failed = run(cells.of(profile, grid.everything(tasks), seed), scheduler, n_workers, retry)
    # What failed is not tried twice in one call.
    work = cells.of(profile, grid.known(profile, seed, tasks), seed)
    return failed | run(work, scheduler, n_workers, retry=False)


def run(
    work: Sequence[Cell],
    scheduler: str | None = None,
    n_workers: int | None = None,
    retry: bool = True,
) -> dict[str, str]:
    """Do what is not done, and tell what failed.

    Parameters
    ----------
    work : sequence of Cell
        As :func:`multiscale.cells.of` gives them.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the same data folder; by default a cluster
        of processes on this machine is started, and ended afterwards.
    n_workers : int, optional
        Processes of that cluster, by default one for each core; 0 works in this process.
    retry : bool, default=True
        Whether to try again what failed in an earlier call.

    Returns
    -------
    dict of str to str
        Name -> message of the cells that failed, or that needed one that did. The errors, with
        settings and traceback, are in the store too.
    """
    todo = cells.needed(work, retry)
    if not todo:
        return {}
    if n_workers == 0 and scheduler is None:
        return _run_here(todo)
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler) as client:
            return _run_on(client, todo)
    # In place of Dask's own, which has the C library give memory back after every step of
    # training, and slows that by a quarter.
    environment = {"OMP_NUM_THREADS": str(cells.THREADS)}
    with (
        dask.config.set({"distributed.nanny.pre-spawn-environ": environment}),
        LocalCluster(
            n_workers=n_workers or os.cpu_count(),
            threads_per_worker=1,
            dashboard_address=None,
            memory_limit=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        return _run_on(client, todo)


class _Progress:
    """A bar over the expected time of cells: what runs, what is left, and when it will end."""

    def __init__(self, todo: Sequence[Cell]):
        calibration = plan.calibrate(todo[0].profile.dataset.clip_seconds)
        table = plan.costs(todo, calibration)
        self.seconds = dict(zip(table["cell"], table["seconds"], strict=True))
        self.left = len(todo)
        self.bar = tqdm(
            total=sum(self.seconds.values()),
            bar_format="{percentage:3.0f}%|{bar:20}| {elapsed} gone, {remaining} left, "
            "ends {eta:%H:%M}{postfix}",
            mininterval=REFRESH / 2,
        )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def show(self, running: Iterable[str]) -> None:
        """Name the cells under way."""
        unit = "cell" if self.left == 1 else "cells"
        self.bar.set_postfix_str(f"{self.left} {unit} left; {' | '.join(running)}"[:160])

    def finished(self, name: str) -> None:
        """Count a cell as done, or failed."""
        self.left -= 1
        self.bar.update(min(self.seconds[name], self.bar.total - self.bar.n))


def _run_here(todo: list[Cell]) -> dict[str, str]:
    messages: dict[str, str] = {}
    with _Progress(todo) as progress:
        for cell in todo:
            progress.show([cell.name])
            before = [messages[name] for name in cell.needs if name in messages]
            messages[cell.name] = run_cell(cell, *before)
            progress.finished(cell.name)
    return {name: message for name, message in messages.items() if message != "done"}


def _run_on(client, todo: list[Cell]) -> dict[str, str]:
    from distributed import wait

    failed = {}
    with _Progress(todo) as progress:
        # The longest training first: no worker is left with a long one when all others are done.
        order = sorted(
            todo,
            key=lambda cell: progress.seconds[cell.name] if cell.kind == "train" else math.inf,
            reverse=True,
        )
        futures = {}
        for priority, cell in enumerate(order):
            before = [futures[name] for name in cell.needs if name in futures]
            futures[cell.name] = client.submit(
                run_cell,
                cell,
                *before,
                key=f"multiscale-{cell.name}",
                priority=-priority,
                pure=False,
            )
        cell_of = {futures[cell.name]: cell for cell in order}
        pending = set(cell_of)
        while pending:
            progress.show(_under_way(client))
            try:
                done, pending = wait(pending, REFRESH, return_when="FIRST_COMPLETED")
            except TimeoutError:
                continue
            for future in done:
                cell = cell_of[future]
                if (message := _outcome(cell, future)) != "done":
                    failed[cell.name] = message
                progress.finished(cell.name)
    return failed


def _under_way(client) -> list[str]:
    """Names of the cells that workers are at."""
    keys = client.run_on_scheduler(
        lambda dask_scheduler: [
            task.key for worker in dask_scheduler.workers.values() for task in worker.executing
        ]
    )
    return [key.removeprefix("multiscale-") for key in keys]


def _outcome(cell: Cell, future) -> str:
    """What a finished cell says of itself."""
    if future.status == "finished":
        return future.result()
    # A worker that died too often on a cell gives an exception in place of a message.
    error = future.exception()
    cells.note_failure(cell, error)
    return f"{cell.name}: {type(error).__name__}: {error}"
