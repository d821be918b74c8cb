"""The paper's numbers; settings and architectures that are refused, by name."""

from __future__ import annotations

import pickle
from itertools import product

import pytest
from pydantic import ValidationError, model_validator

from multiscale import config, similarity
from multiscale.config import ParameterError, check_architecture
from multiscale.features import MultiscaleFeatures
from multiscale.representations import pooling_lengths


def test_numbers_of_the_paper():
    spectrogram = config.SpectrogramSettings()
    assert spectrogram.sample_rate == 16_000
    assert (spectrogram.n_fft, spectrogram.hop_length, spectrogram.n_mels) == (1024, 512, 200)
    assert spectrogram.n_fft / spectrogram.sample_rate == 0.064
    assert spectrogram.hop_length / spectrogram.sample_rate == 0.032
    assert config.DICTIONARIES == ("pca", 200, 500, 1000)
    assert config.TrainingSettings().n_runs == 10
    assert config.TrainingSettings().n_hidden == 1000
    assert similarity.N_COMPONENTS == 50
    learner = MultiscaleFeatures()
    assert (learner.n_levels, learner.pooling_length) == (6, 128)
    assert (learner.explained_variance_ratio, learner.pooling) == (0.99, "max")


def test_frames_of_the_highest_level_span_2_s_and_are_1_s_apart():
    settings = config.SpectrogramSettings()
    assert settings.n_fft * 2**5 / settings.sample_rate == pytest.approx(2, rel=0.05)
    assert settings.hop_length * 2**5 / settings.sample_rate == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("representation", "double_hop", "lengths"),
    [
        ("laplacian", False, [128, 64, 32, 16, 8, 4]),
        ("multiresolution", False, [128] * 6),
        ("multiresolution", True, [128, 64, 32, 16, 8, 4]),
    ],
)
def test_frames_of_a_pooling_window(representation, double_hop, lengths):
    assert pooling_lengths(representation, 6, 128, double_hop) == lengths


def test_the_28_architectures_are_accepted():
    assert len(config.APPROACHES) == 7
    assert len(config.APPROACHES) * len(config.DICTIONARIES) == 28
    for (representation, length), dictionary in product(config.APPROACHES, config.DICTIONARIES):
        check_architecture(representation, length, dictionary, 6, 128)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_levels": 9}, "n_levels: expected pooling_length=128 to be divisible"),
        ({"n_levels": 5000}, "n_levels: .*got n_levels=5000"),
        ({"pooling_length": 100}, "pooling_length=100 to be divisible"),
        ({"window_length": 5}, "window_length: expected at most 4 .*level 5.*got 5"),
        (
            {"window_length": 129, "representation": "multiresolution"},
            "window_length: expected at most 128",
        ),
        ({"window_length": 3, "pooling_length": 64}, "window_length: expected at most 2"),
        (
            {"dictionary": "kmeans", "n_levels": 2.5},
            r"dictionary: expected pca, mel, mfcc or .* means, got 'kmeans'; n_levels: .*got 2\.5",
        ),
    ],
)
def test_architectures_that_cannot_be_built(change, message):
    values = {"representation": "laplacian", "window_length": 1, "dictionary": 500, "n_levels": 6}
    with pytest.raises(ParameterError, match=message):
        check_architecture(**{**values, "pooling_length": 128, **change})


class Recipe(config.Settings):
    """Settings within settings, and a check of two fields together."""

    name: str
    training: config.TrainingSettings = config.TrainingSettings()
    window_length: int = 1
    n_levels: int = 6

    @model_validator(mode="after")
    def _fits(self):
        check_architecture("laplacian", self.window_length, "pca", self.n_levels, 128)
        return self


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "^name: field required, got {}$"),
        ({"name": "a", "colour": 3}, "^colour: extra inputs are not permitted, got 3$"),
        ({"name": "a", "window_length": 8}, "^window_length: expected at most 4 .*got 8$"),
        ({"name": "a", "training": {"n_run": 3}}, r"^training\.n_run: extra inputs .*, got 3$"),
        (
            {"name": 1, "training": {"n_runs": 0, "patience": "x"}},
            r"^name: .*string, got 1; training\.n_runs: .*got 0; training\.patience: .*got 'x'$",
        ),
    ],
)
def test_settings_are_refused_with_one_error_for_all(values, message):
    with pytest.raises(ParameterError, match=message):
        Recipe(**values)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        config.TrainingSettings().n_runs = 3


def test_settings_may_be_given_as_they_are_or_as_values():
    training = config.TrainingSettings(n_runs=3)
    assert Recipe(name="a", training=training) == Recipe(name="a", training={"n_runs": 3})
    assert pickle.loads(pickle.dumps(training)) == training


def test_data_home(monkeypatch, tmp_path):
    monkeypatch.setenv("MULTISCALE_HOME", str(tmp_path))
    assert config.data_home() == tmp_path
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, **_: tmp_path / name)
    monkeypatch.setenv("MULTISCALE_HOME", "")
    assert config.data_home() == tmp_path / "multiscale"
    monkeypatch.delenv("MULTISCALE_HOME")
    assert config.data_home() == tmp_path / "multiscale"


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
