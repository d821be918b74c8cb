"""Artefacts: keys that follow settings and code, files that are whole and tell of themselves."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from multiscale.study import store
from multiscale.study.store import Artefact, obtain, why_stale


@pytest.fixture(autouse=True)
def _home(home):
    """Every test starts with an empty store."""


def artefact(settings: dict, kind: str = "kind", maker: str = "multiscale.config") -> Artefact:
    return Artefact(kind, settings, (maker,))


def refuse(*_):
    raise AssertionError("computed again")


def cached(settings, compute):
    return obtain([artefact(settings)], lambda missing: [compute()])[0]


def test_computed_once_and_the_same_from_disk():
    arrays = {
        "floats": np.random.default_rng(0).standard_normal((3, 4)),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "flags": np.array([True, False]),
        "number": np.array(0.25),
        "none": np.zeros((0, 3), np.int64),
    }
    assert cached({"a": 1}, lambda: arrays) is arrays
    loaded = cached({"a": 1}, refuse)
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array, strict=True)  # dtype and shape as well


def test_key_follows_kind_settings_and_maker_but_not_their_order(home):
    path = artefact({"a": 1, "b": [1, 2]}).path
    assert path == artefact({"b": [1, 2], "a": 1}).path
    assert path.is_relative_to(home)
    others = [
        artefact({"a": 1, "b": [1, 2]}, kind="other"),
        artefact({"a": 2, "b": [1, 2]}),
        artefact({"a": 1, "b": [2, 1]}),
        artefact({"a": 1}),
        artefact({"a": 1, "b": [1, 2]}, maker="multiscale.kmeans"),
    ]
    assert len({path, *(other.path for other in others)}) == 6


def test_only_what_is_missing_is_computed():
    asked = [artefact({"a": number}) for number in range(3)]
    cached({"a": 1}, lambda: {"a": np.ones(1)})
    seen = []

    def compute(missing):
        seen.extend(missing)
        return [{"a": np.full(1, number)} for number in missing]

    found = obtain(asked, compute)
    assert seen == [0, 2]
    assert [int(content["a"][0]) for content in found] == [0, 1, 2]


def test_a_file_tells_what_it_was_made_from():
    made = artefact({"a": 1, "b": {"c": (1, 2)}})
    made.path.parent.mkdir(parents=True)
    made.write({"x": np.arange(3)})
    told = store.metadata(made.path)
    assert told["settings"] == {"a": 1, "b": {"c": [1, 2]}}
    assert set(told["modules"]) == {"multiscale.config"}
    assert told["made with"]["python"] == platform.python_version()
    assert {"multiscale", "numpy", "torch", "scikit-learn"} < set(told["made with"])
    np.testing.assert_array_equal(made.read()["x"], np.arange(3))


def test_what_was_in_the_header_stays_there(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "a.safetensors"
    save_file({"x": np.arange(5.0), "y": np.ones(3, bool)}, path, metadata={"own": "words"})
    store._add_metadata(path, {"more": "é" * 5})
    with safe_open(path, framework="numpy") as file:
        assert file.metadata() == {"own": "words", "more": "é" * 5}
        np.testing.assert_array_equal(file.get_tensor("x"), np.arange(5.0))
        np.testing.assert_array_equal(file.get_tensor("y"), np.ones(3, bool))


def test_why_something_has_to_be_computed(monkeypatch):
    first = artefact({"data": {"n": 3, "code": "x"}, "draw": 0})
    assert why_stale(first) == "no kind stored yet"
    cached(first.settings, lambda: {"a": np.ones(1)})
    other = artefact({"data": {"n": 3, "code": "y"}, "draw": 1})
    assert why_stale(other).endswith("the nearest stored differs in draw (0 -> 1)")
    other = artefact({"data": {"n": 4, "code": "x"}, "draw": 0})
    assert why_stale(other).endswith("differs in data.n (3 -> 4)")
    monkeypatch.setattr(store, "code_digest", lambda *makers: "changed")
    monkeypatch.setattr(store, "module_digests", lambda maker: {maker: "changed"})
    assert why_stale(first) == "code changed: multiscale.config"
    changed = Artefact("kind", first.settings, (), ("multiscale.datasets.folder",))
    assert "multiscale.datasets.folder" in why_stale(changed)


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_truncated_file_is_computed_again(keep):
    arrays = {"a": np.arange(100.0)}
    cached({}, lambda: arrays)
    path = artefact({}).path
    path.write_bytes(path.read_bytes()[:keep])
    cached({}, lambda: {"a": arrays["a"] + 1})
    np.testing.assert_array_equal(cached({}, refuse)["a"], arrays["a"] + 1)


def test_what_cannot_be_read_is_no_broken_file_and_left_alone():
    """A folder here, as root may read all; safetensors says of both that nothing is there."""
    path = artefact({}).path
    path.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        cached({}, refuse)
    assert path.is_dir()


def test_results_of_other_versions_are_told(monkeypatch, home):
    made = [artefact({"a": number}) for number in range(3)]
    obtain(made, lambda missing: [{"a": np.ones(1)} for _ in missing])
    assert store.other_versions([*made, artefact({"a": 9})]) == ""
    monkeypatch.setattr(store, "made_with", lambda: dict.fromkeys(store.LIBRARIES, "0.1"))
    told = store.other_versions([*made, artefact({"a": 9})])
    assert f"3 by numpy {np.__version__}, " in told
    assert told.endswith(f"anew: rm -r '{home / 'store'}'")


def test_reading_takes_no_lock():
    cached({}, lambda: {"a": np.ones(2)})
    store.lock_path(artefact({}).path).unlink(missing_ok=True)
    cached({}, refuse)
    assert not store.lock_path(artefact({}).path).exists()


def files(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_failed_compute_leaves_nothing(home):
    with pytest.raises(ZeroDivisionError, match="division"):
        cached({}, lambda: 1 / 0)
    assert files(home) == []
    assert cached({}, lambda: {"a": np.ones(2)})["a"].sum() == 2


SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from multiscale.study import store

log, slow, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

def stage(name):
    with log.open("a") as file:
        file.write(name)
    time.sleep(seconds if name == slow else 0)

def compute(missing):
    stage("computing")
    return [{"a": np.arange(1000.0)}]

def save(arrays, path):
    path.write_bytes(b"half a file")
    stage("saving")
    store.save_arrays(arrays, path)

artefact = store.Artefact("kind", {}, ("multiscale.config",), save=save)
print(store.obtain([artefact], compute)[0]["a"].sum())
"""


def start(log: Path, slow: str, seconds: float) -> subprocess.Popen:
    """Obtain an artefact in a process of its own, one of whose stages takes so long."""
    command = [sys.executable, "-c", SCRIPT, str(log), slow, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def wait_for(log: Path, word: str) -> None:
    deadline = time.monotonic() + 60
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < deadline, f"not yet {word}"
        time.sleep(0.02)


@pytest.mark.parametrize("stage", ["computing", "saving"])
def test_killed_while_at_it(home, tmp_path, stage):
    log = tmp_path / "log"
    process = start(log, stage, seconds=60)
    wait_for(log, stage)
    assert store.is_being_made(artefact({}).path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not artefact({}).path.exists()
    assert not store.is_being_made(artefact({}).path)
    if stage == "computing":
        assert files(home) == []
    cached({}, lambda: {"a": np.ones(3)})
    np.testing.assert_array_equal(cached({}, refuse)["a"], np.ones(3))


def test_two_processes_compute_once(tmp_path):
    log = tmp_path / "log"
    first = start(log, "computing", seconds=1)
    wait_for(log, "computing")
    second = start(log, "computing", seconds=1)
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert outputs[0] == outputs[1] == b"499500.0\n"
    assert log.read_text().count("computing") == 1
