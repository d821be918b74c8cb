"""The whole pipeline against one written out in steps, alone, in company, and in pipelines."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from multiscale.config import APPROACHES, REPRESENTATIONS, AudioError, ParameterError
from multiscale.config import SpectrogramSettings as Spectrogram
from multiscale.encoding import frame_windows
from multiscale.features import MultiscaleFeatures, fit_many, transform_many
from multiscale.representations import Representation
from multiscale.tagging import TagClassifier


def small(
    representation="laplacian", window_length=1, dictionary=12, **changes
) -> MultiscaleFeatures:
    """Six levels at two iterations on few windows; the CPU, whatever the machine has."""
    options = {"n_iter": 2, "n_windows": 300, "device": "cpu", **changes}
    return MultiscaleFeatures(representation, window_length, dictionary, **options)


class Counted:
    """A sequence of clips that counts how often it is asked for one."""

    def __init__(self, clips):
        self.clips, self.asked = clips, 0

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        self.asked += 1
        return self.clips[index]


def reference(clip: np.ndarray, learner: MultiscaleFeatures) -> np.ndarray:
    """Fig. 1 at every level: whiten windows, encode, pool; (n_pooling_windows, n_features)."""
    representation = Representation(learner.representation, learner.n_levels)
    pooled = []
    for level, encoder in zip(representation.levels(clip), learner.encoders_, strict=True):
        length = 128 * len(level) // 256
        windows = frame_windows(level, learner.window_length, length).numpy()
        whitened = (windows - encoder.mean) @ encoder.components.T
        whitened /= np.sqrt(encoder.explained_variance)
        code = whitened if encoder.means is None else whitened @ encoder.means.T
        pooled.append(code.max(axis=1))
    return np.concatenate(pooled, axis=1)


@pytest.mark.parametrize("dictionary", ["pca", 12])
@pytest.mark.parametrize(("representation", "window_length"), APPROACHES)
def test_every_approach_against_a_reference(clips, representation, window_length, dictionary):
    n_levels = 3 if representation == "multiresolution" else 6
    learner = small(representation, window_length, dictionary, n_levels=n_levels).fit(clips)
    features = learner.transform(clips[:2])
    assert features.dtype == np.float32
    assert features.shape == (2, 2, sum(learner.n_features_))
    if dictionary == 12:
        assert learner.n_features_ == [12] * n_levels
    expected = reference(clips[1], learner)
    # A pyramid's rounding is scaled up by whitening, so compare to the size of the features.
    error = np.abs(features[1] - expected).max() / np.abs(expected).max()
    assert error < 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dictionary": "pca", "pooling": "mean"},
        {"clip_summary": "max", "representation": "gaussian", "window_length": 4},
        {"spectrogram": Spectrogram(n_mels=40), "whitening_damping": 0.1, "n_levels": np.int64(2)},
    ],
)
def test_saved_and_loaded_bit_for_bit(clips, tmp_path, changes):
    learner = small(**changes).fit(clips)
    learner.save(tmp_path / "it.safetensors")  # which holds no pickle
    loaded = MultiscaleFeatures.load(tmp_path / "it.safetensors")
    assert loaded.get_params() == learner.get_params()
    assert loaded.sampled_ == learner.sampled_
    np.testing.assert_array_equal(loaded.transform(clips), learner.transform(clips))


def test_an_unfitted_learner_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        small().save(tmp_path / "a")


@pytest.mark.parametrize("fit", [MultiscaleFeatures.fit, lambda one, X: fit_many([one], X)])
def test_half_a_fit_is_none(clips, fit):
    learner, silence = small(n_levels=2), np.zeros_like(clips)
    with pytest.raises(ParameterError, match="windows: expected at least 2 that differ"):
        fit(learner, silence)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        learner.transform(clips)
    features = learner.fit(clips).transform(clips)
    with pytest.raises(ParameterError, match="windows: expected at least 2 that differ"):
        fit(learner, silence)
    np.testing.assert_array_equal(learner.transform(clips), features)


def test_clone_and_seed(clips):
    learner = small(random_state=4).fit(clips)
    same = clone(learner)
    assert not hasattr(same, "encoders_")
    np.testing.assert_array_equal(same.fit(clips).transform(clips), learner.transform(clips))
    other = small(random_state=5).fit(clips)
    assert not np.allclose(other.transform(clips), learner.transform(clips))


@pytest.mark.parametrize("representation", ["laplacian", "multiresolution"])
def test_batch_size_does_not_matter(clips, representation):
    one, four, all_ = (
        small(representation, batch_size=size, n_levels=2).fit(clips) for size in (1, 4, 100)
    )
    features = one.transform(clips)
    for learner in (four, all_):
        np.testing.assert_allclose(learner.encoders_[1].mean, one.encoders_[1].mean, atol=1e-5)
        one.set_params(batch_size=learner.batch_size)
        np.testing.assert_allclose(one.transform(clips), features, atol=1e-3)


def company() -> list[MultiscaleFeatures]:
    """Learners of one representation, some of which whiten alike."""
    return [
        small(window_length=window_length, dictionary=dictionary, n_levels=3, **changes)
        for window_length, dictionary, changes in [
            (2, "pca", {}),
            (1, 12, {}),
            (1, "pca", {}),
            (1, 12, {"whiten": False, "pooling": "mean"}),
            (1, 7, {"explained_variance_ratio": 0.9, "clip_summary": "max"}),
            (1, 12, {"whitening_damping": 0.5}),
        ]
    ]


def test_many_end_as_if_fitted_alone(clips):
    fitted = fit_many(company(), clips)
    for learner, features in zip(fitted, transform_many(fitted, clips), strict=True):
        alone = clone(learner).fit(clips)
        assert (alone.n_features_, alone.sampled_) == (learner.n_features_, learner.sampled_)
        np.testing.assert_array_equal(alone.transform(clips), features)


def test_many_pass_over_the_audio_once(clips):
    counted = Counted(clips)
    fitted = fit_many(company(), counted)
    # Each asks for the first, for its length, and so does their sample.
    assert counted.asked == len(clips) + len(fitted) + 1
    counted.asked = 0
    transform_many(fitted, counted)
    assert counted.asked == len(clips)


@pytest.mark.parametrize(
    "change", [{"representation": "gaussian"}, {"n_levels": 2}, {"random_state": 1}]
)
def test_many_must_share_the_audio(clips, change):
    (name, value), learners = *change.items(), company()
    learners[1].set_params(**change)
    with pytest.raises(ParameterError, match=f"{name}: expected the same for all .*{value}"):
        fit_many(learners, clips)


def test_transform_learns_nothing(clips):
    learner = small().fit(clips[:4])
    before = deepcopy(learner.encoders_)
    apart = np.concatenate([learner.transform(clips[4:5]), learner.transform(clips[5:])])
    np.testing.assert_allclose(learner.transform(clips[4:]), apart, atol=1e-3)
    for encoder, same in zip(learner.encoders_, before, strict=True):
        for part in ("components", "explained_variance", "mean", "means"):
            np.testing.assert_array_equal(getattr(encoder, part), getattr(same, part))


def test_damping_weakens_weak_components_most(clips):
    plain = small("gaussian", dictionary="pca", n_levels=1).fit(clips)
    damped = clone(plain).set_params(whitening_damping=0.1).fit(clips)
    variance, encoder = plain.encoders_[0].explained_variance, damped.encoders_[0]
    shrunk = np.sqrt(variance / (variance + 0.1 * variance.mean()))
    np.testing.assert_allclose(encoder.explained_variance, variance + 0.1 * variance.mean())
    np.testing.assert_allclose(
        damped.transform(clips), plain.transform(clips) * shrunk, rtol=1e-3, atol=1e-4
    )


def test_poolings_and_summaries_of_one_fit(clips):
    learner = small().fit(clips)
    largest = learner.transform(clips)
    for summary in ("mean", "max"):
        learner.set_params(clip_summary=summary)
        expected = getattr(largest, summary)(axis=1)
        np.testing.assert_array_equal(learner.transform(clips), expected)
    smallest = learner.set_params(pooling="min", clip_summary=None).transform(clips)
    assert (smallest <= largest).all()
    assert (smallest < largest).any()


def test_in_pipelines_and_searches(clips):
    """Bright noise against dull noise, by a linear classifier on clip means, and by the MLP."""
    noise = np.random.default_rng(0).standard_normal((16, 9 * 16_000))
    high = np.arange(16) % 2 == 1
    music = [
        0.1 * (one if bright else np.convolve(one, np.hanning(20) / 10, mode="same"))
        for one, bright in zip(noise, high, strict=True)
    ]
    linear = make_pipeline(small(clip_summary="mean", n_levels=2), RidgeClassifier())
    assert linear.fit(music[:10], high[:10]).score(music[10:], high[10:]) > 0.8
    search = GridSearchCV(linear, {"multiscalefeatures__dictionary": [4, "pca"]}, cv=2)
    assert search.fit(music[:10], high[:10]).best_score_ > 0.7
    tags = np.stack([high, ~high], axis=1)
    classifier = TagClassifier(n_hidden=20, max_epochs=15, validation_fraction=0.4, device="cpu")
    mlp = make_pipeline(small(n_levels=2), classifier)
    assert mlp.fit(music[:10], tags[:10]).score(music[10:], tags[10:]) > 0.9


def test_pcm_and_stereo_are_repaired(clips):
    learner = small(n_levels=2).fit(clips)
    features = learner.transform(clips[:1])
    # A step of 16-bit audio is small beside the clips' noise.
    pcm = np.round(clips[:1] * 32768).astype(np.int16)
    np.testing.assert_allclose(learner.transform(pcm), features, atol=0.05)
    stereo = np.stack([clips[0] * 2, clips[0] * 0], axis=1)
    np.testing.assert_allclose(learner.transform([stereo]), features, atol=1e-3)


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_clips_that_are_refused(clips, method):
    use = getattr(small(n_levels=2).fit(clips), method)
    least = 127 * 512
    with pytest.raises(AudioError, match=f"expected at least {least} samples, got {least - 1}"):
        use(clips[:, : least - 1])
    assert use(clips[:, :least]) is not None
    with pytest.raises(AudioError, match=r"clip 0: expected time first.*got \(2, 144000\)"):
        use(np.stack([clips[:3], clips[:3]], axis=1))  # channels first


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_unequal_clips_are_refused_whatever_the_batch(clips, method, batch_size):
    learner = small(n_levels=2, batch_size=batch_size).fit(clips)
    unequal = [*clips[:5], np.tile(clips[5], 2)]
    with pytest.raises(AudioError, match=r"clip 5: expected 144000 samples, .*got 288000"):
        getattr(learner, method)(unequal)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_levels": 9}, "n_levels: expected pooling_length=128 to be divisible"),
        ({"window_length": 3, "pooling_length": 64}, "window_length: expected at most 2 .*got 3"),
        ({"dictionary": 49}, "dictionary: expected at most 48 means .*level 5.* got 49"),
        ({"dictionary": 301, "n_levels": 1}, "dictionary: expected at most 300 means"),
    ],
)
def test_parameters_are_refused_before_the_work(clips, changes, message):
    counted = Counted(clips)
    with pytest.raises(ParameterError, match=message):
        small(**changes).fit(counted)
    assert counted.asked <= 1  # the first clip, for its length


def test_as_many_means_as_windows_are_enough(clips):
    learner = small(dictionary=48).fit(clips)  # 6 clips x 2 pooling windows x 4 frames
    assert learner.sampled_ == [300, 300, 300, 192, 96, 48]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_gpu_gives_what_the_cpu_gives(clips, representation):
    learner = small(representation).fit(clips)
    expected = learner.transform(clips)
    ours = learner.set_params(device="cuda").transform(clips)
    assert np.abs(ours - expected).max() / np.abs(expected).max() < 1e-3
