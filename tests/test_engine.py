"""Cells: their order, what survives a kill, what a failure stops, and a real Dask cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import made_up
import numpy as np
import pytest

from multiscale import architectures, cells, engine, experiments, grid
from multiscale.architectures import Architecture
from multiscale.experiments import Experiment

HERE = Path(__file__).parent
SMALL = {"n_levels": 2, "pooling_length": 16}
WANTED = [
    Experiment(task=task, architecture=Architecture(scale=scale, dictionary=dictionary, **SMALL))
    for task in experiments.TASKS
    for scale in ("laplacian", "multiresolution")
    for dictionary in ("pca", 6)
]


@pytest.fixture(autouse=True)
def _home(home):
    """Every test starts with an empty store."""


def all_scores() -> dict[str, np.ndarray]:
    results = {str(e): experiments.stored_result(made_up.PROFILE, e) for e in WANTED}
    return {name: result.scores for name, result in results.items() if result is not None}


def stored(home: Path) -> dict[Path, int]:
    """Artefacts and when they were written."""
    return {path: path.stat().st_mtime_ns for path in home.rglob("*.safetensors")}


def test_cells_come_after_what_they_need():
    work = cells.of(made_up.PROFILE, WANTED)
    names = [cell.name for cell in work]
    assert len(set(names)) == len(names)
    for index, cell in enumerate(work):
        assert set(cell.needs) <= set(names[:index])
    assert {cell.kind for cell in work} == {"data", "learn", "extract", "train"}


def test_the_grid_needs_one_pass_per_representation():
    work = cells.of(made_up.PROFILE, grid.architectures_on())
    assert sum(cell.kind == "train" for cell in work) == 2 * 28
    learn = [cell for cell in work if cell.kind == "learn"]
    assert [len(cell.architectures) for cell in learn] == [4, 12, 12]


def test_done_once(home):
    assert engine.run(cells.of(made_up.PROFILE, WANTED), n_workers=0) == {}
    before = stored(home)
    work = cells.of(made_up.PROFILE, WANTED)
    assert {cell.state for cell in work if cell.kind != "data"} == {"done"}
    assert cells.needed(work) == []
    assert engine.run(work, n_workers=0) == {}
    assert stored(home) == before


def test_a_failure_stops_only_what_needs_it(monkeypatch):
    def fail(*_, **__):
        raise FloatingPointError("loss is not a number")

    monkeypatch.setattr(experiments.similarity, "search", fail)
    work = cells.of(made_up.PROFILE, WANTED)
    failed = engine.run(work, n_workers=0)
    assert set(failed) == {str(e) for e in WANTED if e.task == "similarity"}
    assert all("loss is not a number" in message for message in failed.values())
    states = {cell.name: cell.state for cell in work}
    assert all(states[str(e)] == ("failed" if e.task == "similarity" else "done") for e in WANTED)
    report = next(cell for cell in work if cell.name in failed).failure
    assert report["error"] == "FloatingPointError: loss is not a number"
    assert report["settings"]["architecture"]["n_levels"] == 2
    monkeypatch.undo()
    monkeypatch.setenv("MULTISCALE_HOME", str(work[-1].outputs[0].parents[2]))
    assert engine.run(cells.of(made_up.PROFILE, WANTED), n_workers=0) == {}


def test_what_failed_is_left_alone_if_asked(monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(architectures, "learn", fail)
    work = cells.of(made_up.PROFILE, WANTED[:1])
    engine.run(work, n_workers=0)
    assert cells.needed(work, retry=False) == []
    assert {cell.kind for cell in cells.needed(work)} == {"data", "learn", "extract", "train"}
    monkeypatch.undo()
    monkeypatch.setenv("MULTISCALE_HOME", str(work[-1].outputs[0].parents[2]))
    assert engine.run(work, n_workers=0, retry=False) == {}
    assert not work[-1].is_done
    assert engine.run(work, n_workers=0) == {}
    assert work[-1].is_done


def test_a_dictionary_that_is_too_large_leaves_the_others_alone():
    small = WANTED[0].architecture
    large = small.model_copy(update={"dictionary": 200})  # the profile samples 300 windows
    larger = small.model_copy(update={"dictionary": 301})
    wanted = [Experiment(task="tagging", architecture=a) for a in (small, large, larger)]
    failed = engine.run(cells.of(made_up.PROFILE, wanted), n_workers=0)
    assert set(failed) == {str(wanted[-1])}
    assert "expected at most" in failed[str(wanted[-1])]


def test_what_needs_a_failed_cell_is_not_begun(monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr(architectures, "learn", fail)
    failed = engine.run(cells.of(made_up.PROFILE, WANTED[:1]), n_workers=0)
    assert failed[str(WANTED[0])].startswith("not begun: ")
    assert "no room" in failed[str(WANTED[0])]


def test_killed_and_begun_again(home, monkeypatch, tmp_path):
    engine.run(cells.of(made_up.PROFILE, WANTED), n_workers=0)
    expected = all_scores()
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "killed"))
    process = in_subprocess("engine.run(cells.of(made_up.PROFILE, WANTED), n_workers=0)")
    wait_for(lambda: list((tmp_path / "killed").rglob("tagging/*.safetensors")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    survived = stored(tmp_path / "killed")
    assert 0 < len(all_scores()) < len(WANTED)
    assert engine.run(cells.of(made_up.PROFILE, WANTED), n_workers=0) == {}
    after = stored(tmp_path / "killed")
    assert {path: after[path] for path in survived} == survived
    same(all_scores(), expected)


def test_a_cluster_that_loses_a_worker(home, monkeypatch, tmp_path):
    pytest.importorskip("distributed")
    engine.run(cells.of(made_up.PROFILE, WANTED), n_workers=0)
    expected = all_scores()
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "cluster"))
    engine.run(cells.of(made_up.PROFILE, WANTED[:2]), n_workers=0)
    before = stored(tmp_path / "cluster")
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = dask("scheduler", "--host", address, "--no-dashboard")
    workers = [worker(address) for _ in range(2)]
    try:
        run = in_subprocess(
            f"assert engine.run(cells.of(made_up.PROFILE, WANTED), {address!r}) == {{}}"
        )
        wait_for(lambda: len(stored(tmp_path / "cluster")) > len(before) + 1, run)
        workers[0].send_signal(signal.SIGKILL)
        assert run.wait(timeout=120) == 0
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()
    after = stored(tmp_path / "cluster")
    assert {path: after[path] for path in before} == before
    same(all_scores(), expected)


def same(scores: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert scores.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(scores[name], values)


def in_subprocess(statement: str) -> subprocess.Popen:
    code = f"import made_up; from test_engine import *; {statement}"
    return subprocess.Popen([sys.executable, "-c", code], cwd=HERE, env=environment())


def dask(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, cwd=HERE, env=environment(), stderr=subprocess.DEVNULL)


def worker(address: str) -> subprocess.Popen:
    return dask(
        "worker", address, "--nthreads", "1", "--preload", "made_up.py", "--no-dashboard",
        "--memory-limit", "0", "--no-nanny",
    )  # fmt: skip


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path}


def wait_for(condition, process: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
