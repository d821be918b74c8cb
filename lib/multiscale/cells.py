"""Cells: the pieces of work that make up a profile's experiments, and how one is done.

A *cell* is a piece of work whose results are files of the store: a share of the data set,
dictionaries of a representation, the features of a shard of clips, or an experiment's search and
runs. Cells depend on each other through those files alone, so it does not matter which process, or
which machine that sees the same folder, does one; and what has been stored is never done again.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from multiscale import architectures, datasets, experiments, store
from multiscale.architectures import Architecture
from multiscale.config import DatasetSettings, ParameterError, Profile
from multiscale.datasets import ClipDataset
from multiscale.experiments import Experiment

OWN = {"window_length", "dictionary", "pooling", "whiten", "signed", "iteration_factor"}
"""Fields in which architectures may differ that one pass over the audio serves."""

N_SHARES = 8
"""Shares in which a data set is prepared."""

THREADS = 1
"""Threads of a cell. Fixed, since the order of additions, and so the last bits of a result, may
depend on it."""


@dataclass(frozen=True)
class Cell:
    """A piece of work, and the files that it leaves.

    Attributes
    ----------
    kind : {"data", "learn", "extract", "train"}
        What is done.
    name : str
        In words, unique among the cells of a profile.
    profile : Profile
        Data set and sizes.
    seed : int
        Of all randomness.
    needs : tuple of str
        Names of the cells that go before.
    architectures : tuple of Architecture
        Of "learn" and "extract": one representation.
    shard : int
        Of "extract", clips; of "data", a share of :data:`N_SHARES`.
    experiment : Experiment or None
        Of "train".
    outputs : tuple of Path
        Files that are there when the cell is done.
    """

    kind: Literal["data", "learn", "extract", "train"]
    name: str
    profile: Profile
    seed: int
    needs: tuple[str, ...] = ()
    architectures: tuple[Architecture, ...] = ()
    shard: int = 0
    experiment: Experiment | None = None
    outputs: tuple[Path, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether all its files are there."""
        return self.kind != "data" and all(path.is_file() for path in self.outputs)

    @property
    def state(self) -> Literal["done", "running", "failed", "missing"]:
        """Where it stands."""
        if self.is_done:
            return "done"
        if self.is_running:
            return "running"
        return "failed" if self.failure else "missing"

    @property
    def failure_path(self) -> Path:
        """Where its error is noted if it fails."""
        return self.outputs[0].with_suffix(".failed.json")

    @property
    def failure(self) -> dict | None:
        """Error and settings of its last failure, if it has not been done since."""
        if self.kind == "data" or self.is_done or not self.failure_path.is_file():
            return None
        return json.loads(self.failure_path.read_text(encoding="utf-8"))

    @property
    def is_running(self) -> bool:
        """Whether some process on this machine is at it."""
        if self.kind == "data" or self.is_done or not self.outputs[0].parent.is_dir():
            return False
        lock = FileLock(store.lock_path(self.outputs[0]))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


def of(profile: Profile, wanted: Sequence[Experiment], seed: int = 0) -> list[Cell]:
    """The cells of some experiments, in an order in which they can be done.

    Parameters
    ----------
    profile : Profile
        Data set and sizes.
    wanted : sequence of Experiment
        What is to be known.
    seed : int, default=0
        Of all randomness.

    Returns
    -------
    list of Cell
        Data first; one "learn" and some "extract" cells for each representation; then one
        "train" cell for each experiment.
    """
    n_shards = -(-datasets.n_clips(profile.dataset) // architectures.SHARD)
    made = data_cells(profile, seed)
    data = tuple(cell.name for cell in made)
    extracted: dict[Architecture, tuple[str, ...]] = {}
    for group in _representations([experiment.architecture for experiment in wanted]):
        title = _title(group)
        learn = Cell(
            "learn",
            f"dictionaries of {title}",
            profile,
            seed,
            data,
            group,
            outputs=tuple(architectures.dictionary_path(profile, a, seed) for a in group),
        )
        extract = [
            Cell(
                "extract",
                f"features of {title}, shard {shard + 1} of {n_shards}",
                profile,
                seed,
                (learn.name,),
                group,
                shard,
                outputs=tuple(architectures.feature_path(profile, a, shard, seed) for a in group),
            )
            for shard in range(n_shards)
        ]
        made += [learn, *extract]
        extracted.update(dict.fromkeys(group, tuple(cell.name for cell in extract)))
    made += [
        Cell(
            "train",
            str(experiment),
            profile,
            seed,
            extracted[experiment.architecture],
            experiment=experiment,
            outputs=(experiments.result_path(profile, experiment, seed),),
        )
        for experiment in wanted
    ]
    return made


def data_cells(profile: Profile, seed: int = 0) -> list[Cell]:
    """The cells that prepare a profile's data set, each a share."""
    name = f"data set {profile.dataset.name}, share"
    return [
        Cell("data", f"{name} {share + 1} of {N_SHARES}", profile, seed, shard=share)
        for share in range(N_SHARES)
    ]


def needed(work: Sequence[Cell], retry: bool = True) -> list[Cell]:
    """The cells still to be done: missing results, and what those need that is missing too.

    Parameters
    ----------
    work : sequence of Cell
        As :func:`of` gives them.
    retry : bool, default=True
        Whether that includes cells that failed, and those that need one that did.

    Returns
    -------
    list of Cell
        In the order of ``work``.
    """
    by_name = {cell.name: cell for cell in work}
    hopeless: set[str] = set()
    for cell in work if not retry else ():
        if not cell.is_done and (cell.failure or hopeless & set(cell.needs)):
            hopeless.add(cell.name)
    for_others = {name for cell in work for name in cell.needs}
    wanted = {c.name for c in work if c.name not in for_others and not c.is_done} - hopeless
    for cell in reversed(work):
        if cell.name in wanted:
            wanted.update(name for name in cell.needs if not by_name[name].is_done)
    return [cell for cell in work if cell.name in wanted]


def run_cell(cell: Cell, *needs: str) -> str:
    """Do a cell; ``needs`` are the results of the cells before it, for Dask to wait for.

    Returns
    -------
    str
        "done", or a message that says what went wrong: the cells that do not depend on this one
        go on.
    """
    if failed := [message for message in needs if message != "done"]:
        return f"not begun: {failed[0]}"
    try:
        with threads(THREADS):
            _do(cell)
    except Exception as error:
        if cell.outputs:
            note_failure(cell, error)
        return f"{cell.name}: {type(error).__name__}: {error}"
    if cell.outputs:
        cell.failure_path.unlink(missing_ok=True)
    return "done"


@lru_cache(maxsize=1)
def _dataset(settings: DatasetSettings, home: Path) -> ClipDataset:
    """The data set, looked for once by a process that does many cells."""
    return datasets.load(settings)


def _do(cell: Cell) -> None:
    if cell.is_done:
        return
    if cell.kind == "data":
        datasets.prepare_part(cell.profile.dataset, cell.shard, N_SHARES)
        return
    dataset = _dataset(cell.profile.dataset, store.data_home())
    if cell.kind == "learn":
        possible = _learnable(cell, dataset)
        architectures.learn(cell.profile, possible, dataset, cell.seed, progress=False)
    elif cell.kind == "extract":
        possible = _learnable(cell, dataset)
        architectures.extract(
            cell.profile, possible, cell.shard, dataset, cell.seed, progress=False
        )
    elif cell.kind == "train":
        experiments.run(cell.profile, cell.experiment, dataset, cell.seed)


def _learnable(cell: Cell, dataset: ClipDataset) -> list[Architecture]:
    """Those architectures of a cell for which its profile has windows enough.

    The others are left to fail by themselves, when they are asked for.
    """
    profile, possible = cell.profile, []
    source = datasets.load(profile.dictionary_from) if profile.dictionary_from else dataset
    train = source.split("train")
    for architecture in cell.architectures:
        try:
            architectures.feature_learner(profile, architecture, cell.seed).check_windows(train)
        except ParameterError:
            continue
        possible.append(architecture)
    # Where none is possible, the error of the first tells why.
    return possible or list(cell.architectures)


def _representations(architectures: Sequence[Architecture]) -> list[tuple[Architecture, ...]]:
    """Architectures that one pass over the audio serves, grouped."""
    groups: dict[str, list[Architecture]] = {}
    for architecture in dict.fromkeys(architectures):
        groups.setdefault(architecture.model_dump_json(exclude=OWN), []).append(architecture)
    return [tuple(group) for group in groups.values()]


def _title(group: tuple[Architecture, ...]) -> str:
    shared = Architecture(**group[0].model_dump(exclude=OWN))
    scale, _, _, *changes = str(shared).split(", ")
    return " ".join([scale, *changes])


def note_failure(cell: Cell, error: BaseException) -> None:
    """Write the error of a cell, with its settings, beside where its result would be."""
    path = cell.failure_path
    path.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "cell": cell.name,
        "error": f"{type(error).__name__}: {error}",
        "settings": cell.experiment.model_dump() if cell.experiment else {},
        "traceback": "".join(traceback.format_exception(error)),
    }
    with store.atomic_write(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Limit torch, and the libraries beneath numpy, to a number of threads."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)
