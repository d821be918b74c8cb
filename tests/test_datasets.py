"""What all data sets have in common, and ``multiscale data``."""

from __future__ import annotations

import json

import pytest
import soundfile
from conftest import SAMPLE_RATE, make_clip
from typer.testing import CliRunner

from multiscale import datasets
from multiscale.cli import app
from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import cover_bands, downloading, magnatagatune_files, planning

COVERS = DatasetSettings(n_clips=80, clip_seconds=5)


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stderr if code == 2 else result.stdout


@pytest.fixture
def music(home, tmp_path, monkeypatch):
    """Three artists with two songs each, and a file that is none."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    for artist in range(3):
        folder = tmp_path / "music" / f"artist {artist}"
        folder.mkdir(parents=True)
        for song in range(2):
            soundfile.write(folder / f"{song}.ogg", make_clip(song, 10.5), SAMPLE_RATE)
    (tmp_path / "music" / "words.mp3").write_bytes(b"words")
    return tmp_path / "music"


@pytest.mark.parametrize("name", datasets.MODULES)
def test_every_data_set_has_the_same_functions(name):
    module = datasets.MODULES[name]
    assert datasets.PREPARERS[name] is module.prepare
    assert {"prepare_part", "identity"} <= set(vars(module))


def test_unknown_names():
    for function in (datasets.load, datasets.identity, datasets.n_clips, datasets.check):
        with pytest.raises(ParameterError, match=r"dataset: expected one of .*, got 'x'"):
            function(DatasetSettings(name="x"))


def test_identities_can_be_stored_and_tell_settings_apart(home):
    identity = datasets.identity(COVERS)
    assert json.loads(json.dumps(identity)) == identity
    assert identity["rendering"] == cover_bands._fingerprint(COVERS)
    assert identity != datasets.identity(COVERS.model_copy(update={"seed": 1}))
    paper = DatasetSettings(name="magnatagatune")
    merged = paper.model_copy(update={"merge_synonyms": True})
    assert datasets.identity(paper) == datasets.identity(paper) != datasets.identity(merged)
    assert not home.exists()


def test_parts_of_the_cover_bands_are_all_of_them_once(home, monkeypatch):
    rendered: list[list[str]] = []
    monkeypatch.setattr(
        cover_bands, "_render_piece", lambda plan, *_: rendered[-1].extend(plan.index)
    )
    for part in range(3):
        rendered.append([])
        datasets.prepare_part(COVERS, part, 3)
        assert len(rendered[-1]) > 10
    assert sorted(clip for part in rendered for clip in part) == sorted(planning.plan(COVERS).index)


def test_a_part_renders_what_prepare_finds_done(home, monkeypatch):
    plan = planning.plan(COVERS)
    few = plan[plan["piece"].isin(sorted(plan["piece"].unique())[:2])]
    monkeypatch.setattr(planning, "plan", lambda _: few)
    monkeypatch.setattr(cover_bands, "_fingerprint", lambda _: "few")
    for part in range(2):
        datasets.prepare_part(COVERS, part, 2)
    monkeypatch.setattr(cover_bands, "_render_piece", None)
    dataset = datasets.load(COVERS)
    assert [len(signal) for signal in dataset] == [5 * SAMPLE_RATE] * len(few)
    assert list(dataset.skipped.columns) == ["path", "reason"]
    assert len(dataset.skipped) == 0


def test_list():
    lines = call("list").splitlines()
    assert [line.split()[0] for line in lines] == list(datasets.MODULES)


def test_prepare_check_describe(music):
    options = ("folder", "--path", music, "--seconds", 5)
    first, second = call("prepare", *options).splitlines()
    assert first == "folder: 12 clips, 1 files skipped"
    assert second.startswith("  words.mp3: expected audio that libsndfile")
    assert call("check", *options) == "folder: nothing is wrong\n"
    text = call("describe", *options, "--split-by", "artist")
    assert "artists in more than one split: 0" in text
    assert "skipped files: 1\n  words.mp3: expected audio" in text
    assert "tags: none" in text
    assert "levels, dB of full scale: lowest -" in text


def test_check_tells_what_is_wrong(music):
    options = ("folder", "--from", music, "--seconds", 5)
    call("prepare", *options)
    settings = DatasetSettings(name="folder", path=str(music), clip_seconds=5)
    dataset = datasets.load(settings)
    (dataset.folder / dataset.clips["path"].iloc[0]).write_bytes(b"words")
    assert "expected a clip, got" in call("check", *options, code=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prepare", "nope"), "dataset: expected one of cover_bands, magnatagatune, folder"),
        (("prepare", "folder"), "path: expected a folder of audio or a table"),
        (("describe", "magnatagatune", "--from", "nowhere"), "path: expected a folder with annot"),
        (("check", "cover_bands", "--clips", "30"), "n_clips: expected at least"),
        (("check", "cover_bands", "--seconds", "1"), "data: clip_seconds: input should be greater"),
    ],
)
def test_errors_are_one_line(home, arguments, message):
    output = call(*arguments, code=2)
    assert output.startswith(message)
    assert len(output.splitlines()) == 1


def test_a_full_disk_is_one_line(home, music, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiscale.datasets.preparing.write_clip", full)
    output = call("prepare", "folder", "--path", music, "--seconds", 5, code=2)
    assert "the disk is full; what is done is kept: make room" in output.splitlines()[-1]


def test_no_source_is_one_line(home, monkeypatch):
    monkeypatch.setattr(downloading, "ATTEMPTS", 1)
    sources = [
        s.model_copy(update={"base": "http://127.0.0.1:9/"}) for s in magnatagatune_files.SOURCES
    ]
    monkeypatch.setattr(magnatagatune_files, "SOURCES", tuple(sources))
    monkeypatch.setattr(downloading, "PAUSE_SECONDS", 0)
    output = call("prepare", "magnatagatune", code=2)
    assert "annotations_final.csv: expected it from some source" in output
    assert len(output.splitlines()) == 1


def test_identity_follows_the_code_that_a_data_set_uses_and_no_other():
    used = {path.stem for path in datasets._sources(datasets.cover_bands.__file__)}
    assert {"cover_bands", "base", "planning", "arranging", "scores"} <= used
    assert not {"folder", "magnatagatune", "soundtracks"} & used
    settings = DatasetSettings()
    assert datasets.identity(settings) == datasets.identity(settings)
    assert datasets.identity(settings) != datasets.identity(DatasetSettings(seed=1))
