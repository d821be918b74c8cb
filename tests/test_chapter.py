"""How a chapter begins: parameters refused alike wherever it runs; numbers handed over."""

from __future__ import annotations

import subprocess
import sys

import made_up
import nbformat
import numpy as np
import pytest
import torch

from companion import chapter, elsewhere, example, say
from multiscale.config import ParameterError, SpectrogramSettings
from multiscale.study.study import Study

BEGINS = """
from companion import chapter
study, say = chapter(profile, n_levels=n_levels)
say(levels=n_levels)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(made_up.profile(tmp_path_factory.mktemp("music")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_level": 4}, "n_level: .* not permitted, got 4"),
        ({"n_levels": 0}, "n_levels: .* got 0"),
        ({"n_levels": "4"}, "n_levels: .* integer, got '4'"),
        ({"n_levels": 8, "pooling_length": 96}, "n_levels: expected pooling_length=96"),
        ({"seed": True}, "seed: .* integer, got True"),
        ({"dictionary": 2.5}, r"dictionary: .* or a number of means, got 2\.5"),
        ({"representation": "wavelet"}, "representation: .* got 'wavelet'"),
        ({"explained_variance_ratio": 1.0}, r"explained_variance_ratio: .* got 1\.0"),
        ({"profile": "none"}, "profile: expected one of .* got 'none'"),
    ],
)
def test_what_cannot_work_is_refused_by_name(given, message):
    with pytest.raises(ParameterError, match=message):
        chapter(**{"profile": "smoke", **given})


def test_a_chapter_gets_the_study_that_it_asks_for(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(Study, "compute", lambda self, **how: asked.append(how) or {"a": "a: lost"})
    study, voice = chapter("smoke", seed=3, n_levels=4)
    assert repr(study) == "Study('smoke', seed=3)"
    assert voice is say
    chapter("smoke", compute=False)
    assert asked == []
    chapter("smoke", compute=True)
    assert asked == [{"retry": False}]
    assert capsys.readouterr().err == "missing in this chapter: a: lost\n"


def test_papermill_alone_runs_a_chapter_and_is_refused_a_misspelt_name(tmp_path):
    made_up.chapter(tmp_path / "in.ipynb", 'profile = "smoke"\nn_levels = 6', BEGINS)

    def papermill(name: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "-p", name, "4"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert papermill("n_levels").returncode == 0
    glued = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs[0]
    assert glued.metadata.scrapbook.name == "levels"
    assert list(glued.data.values()) == ["4"]
    refused = papermill("n_level")
    assert refused.returncode
    assert "expected one of profile, n_levels, got 'n_level'" in refused.stderr


def test_what_is_said_is_plain(monkeypatch):
    glued = {}
    monkeypatch.setattr("myst_nb.glue", lambda name, value, display: glued.update({name: value}))
    say(a=np.float64(0.5), b=np.int64(3), c=np.bool_(True), d="x", e=2, f=made_up.SMALL)
    assert glued == {"a": 0.5, "b": 3, "c": True, "d": "x", "e": 2, "f": str(made_up.SMALL)}
    assert [type(value) for value in glued.values()] == [float, int, bool, str, int, str]


def test_an_example_is_a_training_clip_and_its_spectrogram(study):
    signal, level, frame = example(study, 0, frames=50)
    settings = SpectrogramSettings()
    assert frame == settings.hop_length / settings.sample_rate
    assert isinstance(level, torch.Tensor)
    assert level.shape == (50, settings.n_mels)
    train = study.music.split("train")
    assert any(np.array_equal(signal, train[index]) for index in range(len(train)))
    assert not np.array_equal(signal, example(study, -1)[0])


def test_music_from_elsewhere_is_a_folder(tmp_path, home):
    assert elsewhere(str(tmp_path), 20).path == str(tmp_path)
    with pytest.raises(ParameterError, match=r"source: expected the tracks that .*soundtracks-20"):
        elsewhere(n_clips=20)
    table = home / "soundtracks-20" / "tracks.csv"
    table.parent.mkdir(parents=True)
    table.touch()
    settings = elsewhere(n_clips=20)
    assert (settings.name, settings.path, settings.n_clips) == ("folder", str(table), 20)
