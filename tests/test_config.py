"""The paper's numbers; profiles and parameters that are refused, by name."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from multiscale import config, similarity
from multiscale.config import ParameterError, Profile, check_architecture
from multiscale.features import MultiscaleFeatures
from multiscale.parameters import check_parameters
from multiscale.scales import pooling_lengths


def test_numbers_of_the_paper():
    spectrogram = config.SpectrogramSettings()
    assert spectrogram.sample_rate == 16_000
    assert (spectrogram.n_fft, spectrogram.hop_length, spectrogram.n_mels) == (1024, 512, 200)
    assert spectrogram.n_fft / spectrogram.sample_rate == 0.064
    assert spectrogram.hop_length / spectrogram.sample_rate == 0.032
    assert config.DICTIONARIES == ("pca", 200, 500, 1000)
    assert config.DatasetSettings().n_tags == 50
    assert config.DatasetSettings().clip_seconds == 29
    assert config.TrainingSettings().n_runs == 10
    assert config.TrainingSettings().n_hidden == 1000
    assert similarity.N_COMPONENTS == 50
    learner = MultiscaleFeatures()
    assert (learner.n_levels, learner.pooling_length, learner.variance) == (6, 128, 0.99)
    assert learner.pooling == "max"


def test_frames_of_the_highest_level_span_2_s_and_are_1_s_apart():
    settings = config.SpectrogramSettings()
    assert settings.n_fft * 2**5 / settings.sample_rate == pytest.approx(2, rel=0.05)
    assert settings.hop_length * 2**5 / settings.sample_rate == pytest.approx(1, rel=0.05)
    assert pooling_lengths("laplacian", 6, 128) == [128, 64, 32, 16, 8, 4]
    assert pooling_lengths("multiresolution", 6, 128) == [128] * 6


def test_the_28_architectures_are_accepted():
    architectures = [
        (scale, length, dictionary)
        for scale in config.SCALES
        for length in config.WINDOW_LENGTHS[scale]
        for dictionary in config.DICTIONARIES
    ]
    assert len(architectures) == 28
    for scale, length, dictionary in architectures:
        check_architecture(scale, length, dictionary, 6, 128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": "gauss"}, "scale: expected one of multiresolution, .*got 'gauss'"),
        ({"n_levels": 0}, "n_levels: expected an integer of at least 1, got 0"),
        ({"n_levels": 2.5}, r"n_levels: expected an integer .*got 2\.5"),
        ({"n_levels": True}, "n_levels: expected an integer .*got True"),
        ({"n_levels": 9}, "n_levels: expected pooling_length=128 to be divisible"),
        ({"n_levels": 5000}, "got (n_levels=)?5000|got 1$"),
        ({"pooling_length": 0}, "pooling_length: expected an integer of at least 1"),
        ({"pooling_length": 100}, "pooling_length=100 to be divisible"),
        ({"window_length": 0}, "window_length: expected an integer of at least 1"),
        ({"window_length": 5}, "window_length: expected at most 4 .*level 5.*got 5"),
        ({"window_length": 129, "scale": "multiresolution"}, "window_length: expected at most 128"),
        ({"window_length": 3, "pooling_length": 64}, "window_length: expected at most 2"),
        ({"dictionary": "kmeans"}, "dictionary: expected 'pca' or a number of means"),
        ({"dictionary": 0}, "dictionary: .*got 0"),
        ({"dictionary": True}, "dictionary: .*got True"),
    ],
)
def test_architectures_that_cannot_be_built(change, message):
    values = {"scale": "laplacian", "window_length": 1, "dictionary": 500, "n_levels": 6}
    with pytest.raises(ParameterError, match=message):
        check_architecture(**{**values, "pooling_length": 128, **change})


def test_numpy_integers_are_integers():
    check_architecture("gaussian", np.int64(2), np.int64(200), np.int32(6), np.int64(128))


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper"])
def test_profiles_load(name):
    profile = config.load_profile(name)
    assert profile.name == name
    assert profile.description


def test_the_paper_profile_is_the_papers():
    profile = config.load_profile("paper")
    assert profile.dataset.name == "magnatagatune"
    assert profile.dataset.n_clips is None
    assert profile.dataset.n_tags == 50
    assert profile.tagging.n_runs == profile.similarity.n_runs == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description: d\nclips: 3", "mine: clips: extra inputs are not permitted, got 3"),
        ("description: d\nlearning: {n_iters: 3}", r"learning\.n_iters: extra inputs"),
        ("description: d\nlearning: {n_iter: 0}", r"learning\.n_iter: .*greater.*1, got 0"),
        ("description: d\ntagging: {n_runs: many}", r"tagging\.n_runs: .*integer.*got 'many'"),
        ("description: d\ndataset: {clip_seconds: 1}", r"dataset\.clip_seconds: .*5, got 1"),
        ("learning: {n_iter: 3}", "description: field required"),
        ("description: [", "expected YAML"),
        ("- a\n- b", r"expected keys and values, got \['a', 'b'\]"),
        ("", "expected keys and values, got None"),
    ],
)
def test_bad_profiles_are_refused(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        config.load_profile(path)


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("description: d\nlearning: {n_iter: 7}")
    profile = config.load_profile(path)
    assert (profile.name, profile.learning.n_iter) == ("mine", 7)
    assert profile.tagging == config.TrainingSettings()


@pytest.mark.parametrize("name", ["nope", "nope.yaml", "", "laptop.yml"])
def test_missing_profiles_name_those_there_are(name):
    with pytest.raises(ParameterError, match=r"expected one of laptop, paper, smoke or a \.yaml"):
        config.load_profile(name)


def test_settings_are_frozen():
    profile = Profile(name="a", description="b")
    with pytest.raises(ValidationError, match="frozen"):
        profile.name = "c"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"profile": "smoke", "n_levels": 4, "seed": 1},
        {"dictionary": "pca", "scale": "gaussian", "window_length": 4},
        {"variance": 0.9, "n_components": 10, "n_iter": 3, "n_windows": 1000, "level": 5},
    ],
)
def test_parameters_that_can_work(parameters):
    check_parameters(parameters)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_level": 4}, "n_level: extra inputs are not permitted"),
        ({"n_levels": 0}, "n_levels: .*greater than or equal to 1, got 0"),
        ({"n_levels": 9}, "n_levels: .*less than or equal to 8"),
        ({"n_levels": "4"}, "n_levels: .*integer, got '4'"),
        ({"n_levels": 4.0}, r"n_levels: .*integer, got 4\.0"),
        ({"seed": True}, "seed: .*integer, got True"),
        ({"seed": -1}, "seed: .*got -1"),
        ({"seed": 2**32}, "seed: .*got 4294967296"),
        ({"scale": "Laplacian"}, "scale: .*'multiresolution', 'gaussian' or 'laplacian'"),
        ({"dictionary": "kmeans"}, "dictionary.*'pca'.*got 'kmeans'"),
        ({"dictionary": "500"}, "dictionary.*got '500'"),
        ({"variance": 1}, "variance: .*less than 1"),
        ({"n_iter": 0}, "n_iter: "),
        ({"n_windows": 99}, "n_windows: "),
        ({"n_components": 0}, "n_components: "),
        ({"clip": -1}, "clip: "),
        ({"level": 8}, "level: .*got 8"),
        ({"level": 4, "n_levels": 4}, "level: expected less than n_levels=4, got 4"),
        ({"window_length": 8}, "window_length: expected at most 4"),
        ({"pooling_length": 100}, "pooling_length=100 to be divisible"),
        ({"profile": "big"}, "profile: expected one of laptop"),
    ],
)
def test_parameters_that_cannot(parameters, message):
    with pytest.raises(ParameterError, match=message):
        check_parameters(parameters)


def test_every_bad_parameter_is_named():
    with pytest.raises(ParameterError, match=r"(?=.*n_levels)(?=.*seed)(?=.*colour)"):
        check_parameters({"n_levels": 0, "seed": -1, "colour": "red"})


def test_data_home(monkeypatch, tmp_path):
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path))
    assert config.data_home() == tmp_path
    monkeypatch.setenv("MULTISCALE_HOME", "")
    assert config.data_home() == config.PROJECT_ROOT / "_data"
    monkeypatch.delenv("MULTISCALE_HOME")
    assert config.data_home() == config.PROJECT_ROOT / "_data"


def test_select_device(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert config.select_device("auto").type == "cpu"
    with pytest.raises(ParameterError, match="expected a machine with a CUDA GPU"):
        config.select_device("cuda")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert config.select_device("auto").type == "cuda"
    for name in ("gpu", "meta", "mps"):
        with pytest.raises(ParameterError, match=f"expected auto, cpu or cuda, got '{name}'"):
            config.select_device(name)
