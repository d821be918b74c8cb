"""Artefacts: keys that follow settings and code, files that are whole or not there."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from multiscale import store
from multiscale.config import ParameterError
from multiscale.store import (
    artefact_path,
    atomic_write,
    cached_file,
    code_digest,
    save_arrays,
)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's source, whose code can be changed."""
    copy = tmp_path / "multiscale"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(store.__file__).parent, copy, ignore=ignored)
    monkeypatch.setattr(store, "__file__", str(copy / "store.py"))
    yield copy
    code_digest.cache_clear()


def digest(made_by: str = "features") -> str:
    code_digest.cache_clear()
    return code_digest(made_by)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def refuse():
    raise AssertionError("computed again")


def cached(settings, compute):
    """Arrays as the pipeline keeps them, under the key of a module."""
    return cached_file(artefact_path("kind", settings, "scales"), compute, save_arrays, load_file)


def test_computed_once_and_the_same_from_disk(home):
    arrays = {
        "floats": np.random.default_rng(0).standard_normal((3, 4)),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "flags": np.array([True, False]),
        "number": np.array(0.25),
        "none": np.zeros((0, 3), np.int64),
    }
    first = cached({"a": 1}, lambda: arrays)
    second = cached({"a": 1}, refuse)
    for loaded in (first, second):
        assert loaded.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(loaded[name], array)
            assert loaded[name].dtype == array.dtype
            assert loaded[name].shape == array.shape


def test_key_follows_name_settings_and_maker_but_not_their_order(home):
    path = artefact_path("kind", {"a": 1, "b": [1, 2]}, "scales")
    assert path == artefact_path("kind", {"b": [1, 2], "a": 1}, "scales")
    assert path.is_relative_to(home)
    others = [
        artefact_path("other", {"a": 1, "b": [1, 2]}, "scales"),
        artefact_path("kind", {"a": 2, "b": [1, 2]}, "scales"),
        artefact_path("kind", {"a": 1, "b": [2, 1]}, "scales"),
        artefact_path("kind", {"a": 1}, "scales"),
        artefact_path("kind", {"a": 1, "b": [1, 2]}, "windows"),
    ]
    assert len({path, *others}) == 6


@pytest.mark.parametrize("module", ["config", "scales", "features"])
def test_key_follows_code_to_the_left(package, module):
    before = digest()
    append(package / f"{module}.py", "\nCHANGED = 1\n")
    assert digest() != before


def test_key_leaves_data_sets_to_their_identity(package):
    before = digest()
    append(package / "datasets" / "folder.py", "\nCHANGED = 1\n")
    assert digest() == before


@pytest.mark.parametrize("module", ["training", "tagging", "experiments"])
def test_key_ignores_code_to_the_right(package, module):
    before = digest()
    append(package / f"{module}.py", "\nCHANGED = 1\n")
    assert digest() == before
    assert digest("experiments") != digest("features")


def test_key_ignores_comments_docstrings_and_layout(package):
    path = package / "windows.py"
    before = digest()
    source = path.read_text()
    changed = source.replace('"""Split a level', '"""Cut a level into pieces, or: split it')
    assert changed != source
    changed = changed.replace("    n_windows = ", "    # A comment.\n\n    n_windows   = ")
    assert "A comment" in changed
    path.write_text(changed)
    assert digest() == before
    path.write_text(source.replace("level.shape[-2] // pooling", "level.shape[-2] % pooling"))
    assert path.read_text() != source
    assert digest() != before


def test_unknown_makers_are_refused():
    with pytest.raises(ParameterError, match=r"made_by: expected .*, got 'nope'"):
        code_digest("nope")


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_truncated_file_is_computed_again(home, keep):
    arrays = {"a": np.arange(100.0)}
    cached({}, lambda: arrays)
    path = artefact_path("kind", {}, "scales")
    path.write_bytes(path.read_bytes()[:keep])
    again = cached({}, lambda: {"a": arrays["a"] + 1})
    np.testing.assert_array_equal(again["a"], arrays["a"] + 1)
    np.testing.assert_array_equal(cached({}, refuse)["a"], arrays["a"] + 1)


def files(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_failed_compute_leaves_nothing(home):
    with pytest.raises(ZeroDivisionError, match="division"):
        cached({}, lambda: 1 / 0)
    assert files(home) == []
    assert cached({}, lambda: {"a": np.ones(2)})["a"].sum() == 2


def test_atomic_write_leaves_the_old_file_and_no_litter_on_failure(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".txt")
            raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        fail()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "old"


def test_atomic_write_replaces(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        written = temporary.stat().st_ino
    assert path.stat().st_ino == written  # moved, which is atomic; a copy is not
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "new"


def test_files_are_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    with atomic_write(tmp_path / "written") as temporary:
        temporary.write_text("")
    plain, written = ((tmp_path / name).stat().st_mode for name in ("plain", "written"))
    assert stat.S_IMODE(written) == stat.S_IMODE(plain)


SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
from multiscale import store
from safetensors.numpy import load_file, save_file

def compute():
    with Path(sys.argv[1]).open("a") as log:
        log.write("computing\\n")
    time.sleep({in_compute})
    return {{"a": np.arange(1000.0)}}

def save(arrays, path):
    path.write_bytes(b"half a file")
    Path(sys.argv[1]).open("a").write("saving\\n")
    time.sleep({in_save})
    save_file(arrays, path)

path = store.artefact_path("kind", {{}}, "scales")
print(store.cached_file(path, compute, save, load_file)["a"].sum())
"""


def start(log: Path, in_compute: float = 0, in_save: float = 0) -> subprocess.Popen:
    code = SCRIPT.format(in_compute=in_compute, in_save=in_save)
    return subprocess.Popen([sys.executable, "-c", code, str(log)], stdout=subprocess.PIPE)


def wait_for(log: Path, word: str) -> None:
    deadline = time.monotonic() + 60
    while not (log.exists() and word in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("stage", ["computing", "saving"])
def test_killed_while_at_it(home, tmp_path, stage):
    log = tmp_path / "log"
    process = start(log, **{"in_compute" if stage == "computing" else "in_save": 60})
    wait_for(log, stage)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    path = artefact_path("kind", {}, "scales")
    assert not path.exists()
    if stage == "computing":
        assert files(home) == []
    arrays = cached({}, lambda: {"a": np.ones(3)})
    np.testing.assert_array_equal(arrays["a"], np.ones(3))
    np.testing.assert_array_equal(cached({}, refuse)["a"], np.ones(3))


def test_two_processes_compute_once(home, tmp_path):
    log = tmp_path / "log"
    first = start(log, in_compute=1)
    wait_for(log, "computing")
    second = start(log, in_compute=1)
    outputs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert outputs[0] == outputs[1] == b"499500.0\n"
    assert log.read_text().count("computing") == 1
