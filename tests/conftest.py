"""What several test modules share: short made-up music, and a data home of their own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

from multiscale.config import ParameterError

SAMPLE_RATE = 16_000

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("steady")


def make_clip(seed: int, seconds: float = 9.0) -> np.ndarray:
    """Three notes that are struck again and again, over a little noise, (n_samples,) float32."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    signal = 0.01 * rng.standard_normal(len(time))
    for pitch in rng.uniform(100, 3000, 3):
        since_struck = time % rng.uniform(0.2, 1.5)
        signal += 0.2 * np.sin(2 * np.pi * pitch * time) * np.exp(-4 * since_struck)
    return signal.astype(np.float32)


def outcome(function, *arguments):
    """What a function returns, or else the message of its ParameterError."""
    try:
        return function(*arguments), ""
    except ParameterError as error:
        return None, str(error)


@pytest.fixture(scope="session")
def clips() -> np.ndarray:
    """Six clips of 9 s: two pooling windows each."""
    return np.stack([make_clip(seed) for seed in range(6)])


@pytest.fixture(scope="session", autouse=True)
def _no_home_of_the_users(tmp_path_factory):
    """No test reads or writes the data home of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MULTISCALE_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A data home of the test's own."""
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
