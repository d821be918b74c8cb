"""The command line on made-up music."""

from __future__ import annotations

import json
import subprocess
import sys

import made_up
import pytest
import yaml
from typer.testing import CliRunner

from multiscale.study import design
from multiscale.study.cli import app
from multiscale.study.design import Experiment
from multiscale.study.study import Study

WANTED = [
    Experiment(task=task, architecture=made_up.SMALL.model_copy(update={"dictionary": "pca"}))
    for task in design.TASKS
]


@pytest.fixture
def profile(home, tmp_path, monkeypatch) -> str:
    """A profile's path, on which two small experiments are all there are."""
    for name in ("grid", "everything"):
        monkeypatch.setattr(design, name, lambda tasks=(): WANTED)
    monkeypatch.setattr(Study, "experiments", lambda *_: WANTED)
    values = made_up.profile(tmp_path / "music").model_dump(
        mode="json", exclude={"name"}, exclude_none=True
    )
    path = tmp_path / "made_up.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return str(path)


def call(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_run_status_results(profile):
    asked = call("status", "--profile", profile, "--why")
    assert "missing  4 of 4" in asked
    assert "1 experiment: no tagging stored yet" in asked
    call("run", "--profile", profile, "--workers", "0")
    assert "done     4 of 4" in call("status", "--profile", profile)
    rows = json.loads(call("results", "--profile", profile, "--format", "json"))
    assert [row["task"] for row in rows] == ["tagging"] * 2 + ["similarity"] * 2
    assert all(0 <= row["test"] <= 1 for row in rows)
    csv = call("results", "--profile", profile, "--task", "tagging", "--format", "csv")
    assert csv.startswith("task,representation,window_length,dictionary,level,change,draw,run")
    assert len(csv.splitlines()) == 3
    assert "average_precision" in call("results", "--profile", profile, "--tags")
    seeded = call("status", "--profile", profile, "--why", "--seed", "1")
    assert "the nearest stored differs in" in seeded


def test_a_failure_is_reported_with_its_error(profile, monkeypatch):
    def fail(*_, **__):
        raise FloatingPointError("loss is not a number")

    monkeypatch.setattr("multiscale.study.protocol.search", fail)
    message = call("run", "--profile", profile, "--workers", "0", code=1)
    assert "loss is not a number" in message
    status = call("status", "--profile", profile)
    assert "failed   2 of 4" in status
    assert "FloatingPointError: loss is not a number" in status


def test_plan_and_claims(profile):
    planned = call("plan", "--profile", profile, "--workers", "3")
    assert "on 3 workers:" in planned
    assert "core_minutes" in planned
    assert "cannot be told at this size" in call("claims", "--profile", profile)


def test_dictionaries_may_come_from_elsewhere(profile, tmp_path):
    elsewhere = made_up.folder(tmp_path / "other", n_clips=12, seed=1)
    for source in (elsewhere.path, str(tmp_path / "other"), profile, "cover_bands"):
        assert "missing  4 of 4" in call(
            "status", "--profile", profile, "--dictionary-from", source
        )
    wrong = call("status", "--profile", profile, "--dictionary-from", "nowhere", code=2)
    assert "expected one of cover_bands" in wrong
    assert len(wrong.splitlines()) == 1


def test_data(home, tmp_path):
    music = made_up.folder(tmp_path / "music", n_clips=12)
    options = ("folder", "--path", music.path, "--seconds", "5")
    assert "folder: 12 clips, 0 files skipped" in call("data", "prepare", *options)
    assert "folder: nothing is wrong" in call("data", "check", *options)
    assert "tags: 2" in call("data", "describe", *options)
    assert all(name in call("data", "list") for name in ("cover_bands", "magnatagatune", "folder"))


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from multiscale.study import cli; "
        "assert not {'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
