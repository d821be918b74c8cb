"""Every benchmark runs, at a tiny size; nothing is timed, and nothing kept."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("bench_*.py")), ids=lambda path: path.stem)
def test_a_benchmark_runs_and_keeps_nothing_at_a_tiny_size(path, monkeypatch, capfd):
    results = FOLDER / "results.csv"
    before = results.read_bytes()
    device = ["--device", "cpu"] if path.stem == "bench_device" else []
    monkeypatch.setattr(sys, "argv", [str(path), "--tiny", *device])
    monkeypatch.syspath_prepend(str(FOLDER))
    runpy.run_path(str(path), run_name="__main__")
    assert " s " in capfd.readouterr().out, "seconds of a way"
    assert results.read_bytes() == before
