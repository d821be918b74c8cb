"""The command line on made-up music."""

from __future__ import annotations

import json

import made_up
import pytest
import yaml
from typer.testing import CliRunner

from multiscale import experiments, grid
from multiscale.architectures import Architecture
from multiscale.cli import app
from multiscale.experiments import Experiment

WANTED = [
    Experiment(
        task=task, architecture=Architecture(dictionary="pca", n_levels=2, pooling_length=16)
    )
    for task in experiments.TASKS
]


@pytest.fixture
def profile(home, tmp_path, monkeypatch) -> str:
    """A profile's path, on which two small experiments are all there are."""
    for name in ("architectures_on", "everything", "known"):
        monkeypatch.setattr(grid, name, lambda *_: WANTED)
    path = tmp_path / "made_up.yaml"
    values = made_up.PROFILE.model_dump(exclude={"name"})
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_run_status_results(profile):
    assert "missing  4 of 4" in call("status", "--profile", profile)
    call("run", "--profile", profile, "--workers", "0")
    assert "done     4 of 4" in call("status", "--profile", profile)
    rows = json.loads(call("results", "--profile", profile, "--format", "json"))
    assert [row["task"] for row in rows] == ["tagging"] * 2 + ["similarity"] * 2
    assert all(0 <= row["test"] <= 1 for row in rows)
    csv = call("results", "--profile", profile, "--task", "tagging", "--format", "csv")
    assert csv.splitlines()[0].startswith("task,scale,window_length,dictionary,level,change,run")
    assert len(csv.splitlines()) == 3
    assert "average_precision" in call("results", "--profile", profile, "--tags")


def test_a_failure_is_reported_with_its_error(profile, monkeypatch):
    def fail(*_, **__):
        raise FloatingPointError("loss is not a number")

    monkeypatch.setattr(experiments.tagging, "search", fail)
    message = call("run", "--profile", profile, "--workers", "0", code=1)
    assert "loss is not a number" in message
    status = call("status", "--profile", profile)
    assert "failed   1 of 4" in status
    assert "FloatingPointError: loss is not a number" in status


def test_plan_and_claims(profile):
    assert "on 3 workers:" in call("plan", "--profile", profile, "--workers", "3")
    assert "cannot be told at this size" in call("claims", "--profile", profile)


def test_a_bad_profile_is_named():
    assert "profile: expected one of" in call("run", "--profile", "nowhere", code=2)
