"""Jobs: what survives a kill, what a failure stops, several processes, and a real Dask cluster."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import made_up
import numpy as np
import pytest
import yaml

from multiscale import training
from multiscale.study import Study, design, protocol, workers
from multiscale.study.design import Experiment
from multiscale.study.jobs import jobs, needed

HERE = Path(__file__).parent
WANTED = [
    Experiment(task=task, architecture=made_up.SMALL.model_copy(update=changes))
    for task in design.TASKS
    for changes in (
        {"dictionary": "pca"},
        {},
        {"representation": "multiresolution", "dictionary": "pca"},
        {"representation": "multiresolution"},
    )
]
SIMILARITY = [str(experiment) for experiment in WANTED if experiment.task == "similarity"]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Of a profile whose jobs take long enough to be killed, all on the same music."""
    folder = tmp_path_factory.mktemp("music")
    sizes = made_up.SIZES.model_copy(update={"max_epochs": 60, "patience": 60, "n_hidden": 200})
    profile = made_up.profile(folder, tagging=sizes, similarity=sizes)
    values = profile.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    path = folder / "made_up.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture
def study(path, home) -> Study:
    """With an empty store."""
    return Study(path)


@pytest.fixture(scope="module")
def expected(path, tmp_path_factory) -> dict[str, np.ndarray]:
    """Scores of all experiments, computed in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("expected")))
        study = Study(path)
        assert study.compute(WANTED, n_workers=0) == {}
        return scores(study)


def scores(study: Study) -> dict[str, np.ndarray]:
    found = {str(e): study.result(e) for e in WANTED}
    return {name: result.scores for name, result in found.items() if result is not None}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def stored(home: Path) -> dict[Path, int]:
    """Artefacts and when they were written."""
    return {path: path.stat().st_mtime_ns for path in home.rglob("[!.]*.safetensors")}


def fail(*_, **__):
    raise FloatingPointError("loss is not a number")


def test_done_once(study, home, capsys):
    assert study.compute(WANTED[:2], n_workers=0) == {}
    told = capsys.readouterr().err
    assert re.search(r"workers' time: .*learn \d+ s, extract \d+ s, train \d+ s", told)
    before = stored(home)
    assert needed(jobs(study, WANTED[:2])) == []
    assert study.compute(WANTED[:2], n_workers=0) == {}
    assert stored(home) == before


def test_what_is_broken_is_done_again(study, home, expected):
    assert study.compute(WANTED[:1], n_workers=0) == {}
    path = study.result_files(WANTED[0])[0].path
    for broken in (b"", path.read_bytes()[:-1], bytes(99)):
        path.write_bytes(broken)
        assert [job.kind for job in needed(jobs(study, WANTED[:1]))] == ["train"]
    assert study.compute(WANTED[:1], n_workers=0) == {}
    np.testing.assert_array_equal(study.result(WANTED[0]).scores, expected[str(WANTED[0])])


def test_a_result_under_another_key_is_not_taken_for_done(study, monkeypatch):
    monkeypatch.setattr(Study, "model", lambda *_: None)
    (message,) = study.compute(WANTED[:1], n_workers=0).values()
    assert "code or data have changed" in message


def test_processes_find_what_one_finds(study, home, expected):
    assert study.compute(WANTED, n_workers=2) == {}
    same(scores(study), expected)
    assert not list(home.glob(".jobs-*"))


def test_a_failure_stops_only_what_needs_it(study, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(protocol, "search", lambda task, *a, **k: _only_tagging(task, *a, **k))
        failed = study.compute(WANTED, n_workers=0)
    assert sorted(failed) == sorted(SIMILARITY)
    assert set(failed.values()) == {"FloatingPointError: loss is not a number"}
    work = {job.label: job for job in jobs(study, WANTED)}
    assert all(work[str(e)].is_done == (e.task == "tagging") for e in WANTED)
    assert work[SIMILARITY[0]].failure["error"] == "FloatingPointError: loss is not a number"
    assert "n_levels=2" in str(work[SIMILARITY[0]].failure["settings"])
    assert study.compute(WANTED, n_workers=0, retry=False) == {}
    assert len(study.missing(WANTED)) == len(SIMILARITY)
    assert study.compute(WANTED, n_workers=0) == {}
    assert work[SIMILARITY[0]].failure is None
    assert study.missing(WANTED) == []


def _only_tagging(task, *arguments, **options):
    return fail() if task.name == "similarity" else training.search(task, *arguments, **options)


def test_what_needs_a_failed_job_is_not_begun(study, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Study, "learn", fail)
        failed = study.compute(WANTED[:1], n_workers=0)
    cause = "dictionaries of laplacian n_levels=2, pooling_length=16"
    assert failed.pop(cause) == "FloatingPointError: loss is not a number"
    assert len(failed) == 2
    message = f"not begun: {cause}: FloatingPointError: loss is not a number"
    assert set(failed.values()) == {message}
    assert study.compute(WANTED[:1], n_workers=0, retry=False) == {}
    assert study.compute(WANTED[:1], n_workers=0) == {}


def test_killed_and_begun_again(study, home, expected):
    process = in_subprocess(f"Study({str(study_path(study))!r}).compute(WANTED, n_workers=0)")
    wait_for(lambda: list(home.rglob("tagging/[!.]*.safetensors")), process.poll)
    process.send_signal(signal.SIGKILL)
    process.wait()
    survived = stored(home)
    assert 0 < len(scores(study)) < len(WANTED)
    assert study.compute(WANTED, n_workers=0, retry=False) == {}
    after = stored(home)
    assert {path: after[path] for path in survived} == survived
    same(scores(study), expected)


def test_a_killed_worker_costs_what_was_under_way_and_no_more(study, home, expected):
    failed: dict[str, str] = {}
    run = threading.Thread(target=lambda: failed.update(study.compute(WANTED, n_workers=2)))
    run.start()
    trained = home / "store" / "tagging"
    wait_for(lambda: list(trained.glob("[!.]*.safetensors")), lambda: None if run.is_alive() else 0)
    begun = wait_for(lambda: list(home.glob(".jobs-*/*")), lambda: None if run.is_alive() else 0)
    os.kill(int(begun[0].read_text()), signal.SIGKILL)
    run.join(120)
    assert 1 <= len(failed) <= 2
    assert all("a worker process ended" in message for message in failed.values())
    undone = [job for job in jobs(study, WANTED) if job.kind == "train" and not job.is_done]
    assert sorted(job.label for job in undone) == sorted(failed)
    assert all(job.failure for job in undone)
    assert study.compute(WANTED, n_workers=0) == {}
    same(scores(study), expected)


def test_workers_that_cannot_start_are_no_job_s_failure(study, monkeypatch):
    monkeypatch.setattr(workers._Here, "submit", _broken)
    with pytest.raises(workers.BrokenExecutor, match="no memory at all"):
        study.compute(WANTED[:1], n_workers=0)


def _broken(*_):
    raise workers.BrokenExecutor("no memory at all")


def test_a_cluster_that_loses_a_worker(study, home, expected):
    pytest.importorskip("distributed")
    study.compute(WANTED[:2], n_workers=0)
    before = stored(home)
    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = dask("scheduler", "--host", address, "--no-dashboard")
    options = ("--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--no-nanny")
    two = [dask("worker", address, *options) for _ in range(2)]
    try:
        code = f"Study({str(study_path(study))!r}).compute(WANTED, {address!r}) == {{}}"
        run = in_subprocess(f"assert {code}")
        wait_for(lambda: len(stored(home)) > len(before) + 1, run.poll)
        two[0].send_signal(signal.SIGKILL)
        assert run.wait(timeout=120) == 0
    finally:
        for process in (*two, scheduler):
            process.kill()
            process.wait()
    after = stored(home)
    assert {path: after[path] for path in before} == before
    same(scores(study), expected)


def study_path(study: Study) -> Path:
    return Path(study.profile.dataset.path).with_name("made_up.yaml")


def in_subprocess(statement: str) -> subprocess.Popen:
    code = f"from test_workers import *; {statement}"
    return subprocess.Popen([sys.executable, "-c", code], cwd=HERE, env=dict(os.environ))


def dask(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "dask", *arguments]
    return subprocess.Popen(command, cwd=HERE, stderr=subprocess.DEVNULL)


def wait_for(condition, ended, seconds: float = 120):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert ended() is None, "it ended before it could be killed"
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.01)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
