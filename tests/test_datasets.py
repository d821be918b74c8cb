"""What all data sets have in common, and ``multiscale data``."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from multiscale import datasets
from multiscale.config import ParameterError, data_home
from multiscale.datasets import DatasetSettings, magnatagatune_files
from multiscale.study.cli import app


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stderr if code == 2 else result.stdout


def test_unknown_names():
    for function in (datasets.load, datasets.identity, datasets.n_clips, datasets.check):
        with pytest.raises(ParameterError, match=r"dataset: expected one of .*, got 'x'"):
            function(DatasetSettings(name="x"))


@pytest.mark.parametrize("part", [-1, 3])
def test_shares_that_are_not_there(part):
    with pytest.raises(ParameterError, match=f"part: .* from 0 up to n_parts - 1 = 2, got {part}"):
        datasets.prepare_part(DatasetSettings(), part, 3)


@pytest.mark.parametrize("name", ["cover_bands", "magnatagatune"])
def test_identities_can_be_stored_and_tell_settings_and_code_apart(home, monkeypatch, name):
    settings = DatasetSettings(name=name)
    identity = datasets.identity(settings)
    assert json.loads(json.dumps(identity)) == identity == datasets.identity(settings)
    assert identity != datasets.identity(settings.model_copy(update={"n_tags": 7}))
    monkeypatch.setattr(datasets.module(name), "code_digest", lambda *_: "other code")
    assert identity != datasets.identity(settings)
    assert not home.exists()


def test_list():
    assert [line.split()[0] for line in call("list").splitlines()] == list(datasets.NAMES)


def test_prepare_check_describe(music):
    (music / "words.mp3").write_bytes(b"words")
    options = ("folder", "--path", music, "--seconds", 5)
    first, second = call("prepare", *options).splitlines()
    assert first == "folder: 16 clips, 1 files skipped"
    assert second.startswith("  words.mp3: expected audio that libsndfile")
    assert call("check", *options) == "folder: nothing is wrong\n"
    text = call("describe", *options, "--split-by", "artist")
    assert "artists in more than one split: 0" in text
    assert "skipped files: 1\n  words.mp3: expected audio" in text
    assert "tags: none" in text
    assert "levels, dB of full scale: lowest -" in text
    dataset = datasets.load(DatasetSettings(name="folder", path=str(music), clip_seconds=5))
    (dataset.folder / dataset.clips["path"].iloc[0]).write_bytes(b"words")
    assert "expected a clip, got" in call("check", *options, code=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "nope"), "dataset: expected one of cover_bands, magnatagatune, folder"),
        (("prepare", "folder"), "path: expected a folder of audio or a table"),
        (("describe", "magnatagatune", "--from", "nowhere"), "path: expected a folder with annot"),
        (("check", "cover_bands", "--clips", "30"), "n_clips: expected at least"),
        (("check", "cover_bands", "--seconds", "1"), "clip_seconds: "),
    ],
)
def test_errors_are_one_line(home, arguments, message):
    output = call(*arguments, code=2)
    assert output.startswith(message)
    assert len(output.splitlines()) == 1


def test_no_source_is_one_line(home, monkeypatch):
    monkeypatch.setattr(magnatagatune_files, "RETRIES", 0)
    monkeypatch.setattr(magnatagatune_files, "SOURCES", {"http://127.0.0.1:9/": ("mp3.zip",)})
    output = call("prepare", "magnatagatune", code=2)
    assert "expected MagnaTagATune from some source, got http://127.0.0.1:9/annot" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("cover_bands", {"path": "music"}),
        ("magnatagatune", {"split_by": "artist"}),
        ("folder", {"merge_synonyms": True}),
    ],
)
def test_an_option_that_a_data_set_does_not_have_is_refused(name, option):
    with pytest.raises(ParameterError, match=f"{next(iter(option))}: expected it of .* alone, got"):
        DatasetSettings(name=name, **option)


def test_paths_mean_the_same_in_every_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("music", "~/music", str(tmp_path / "music")):
        assert DatasetSettings(name="folder", path=path).path == str(tmp_path / "music")
    monkeypatch.setenv("MULTISCALE_HOME", "here")
    with pytest.raises(ParameterError, match="MULTISCALE_HOME: expected a whole path, got 'here'"):
        data_home()
