"""What several test modules share: a data home of their own, and short made-up music."""

from __future__ import annotations

import ast
from pathlib import Path

import made_up
import numpy as np
import pytest
from hypothesis import settings

from multiscale.config import data_home

USERS_HOME = str(data_home())
"""The data home of whoever runs the tests, before it is hidden from them."""

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("steady")


def imported(source: str) -> set[str]:
    """Dotted names that Python source imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{ast.unparse(node)}: write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.fixture(scope="session", autouse=True)
def _no_home_of_the_users(tmp_path_factory):
    """No test reads or writes the data home of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A data home of the test's own."""
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_ffmpeg(monkeypatch):
    """None, whatever lies on this machine."""
    monkeypatch.setenv("PATH", "")


@pytest.fixture(scope="session")
def clips() -> np.ndarray:
    """Six clips of 9 s: two pooling windows each."""
    return np.stack([made_up.clip(seed) for seed in range(6)])


@pytest.fixture
def music(home, tmp_path, monkeypatch) -> Path:
    """Three artists with four songs each; two clips of each song of the first artist."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # processes take longer to start than to work
    for artist in range(3):
        for song in range(4):
            path = tmp_path / f"music/artist {artist}/album/{song}.wav"
            made_up.song(path, 5.2 if artist else 10.5, song)
    return tmp_path / "music"
