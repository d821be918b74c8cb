"""Our log-mel spectrogram is librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from multiscale import spectrogram
from multiscale.config import ParameterError, SpectrogramSettings
from multiscale.spectrogram import log_mel, mel_filter_bank, mel_frequencies


def reference(signal: np.ndarray, settings: SpectrogramSettings, n_fft: int) -> np.ndarray:
    """What librosa gives, (n_frames, n_mels)."""
    mel = librosa.feature.melspectrogram(
        y=signal,
        sr=settings.sample_rate,
        n_fft=n_fft,
        hop_length=settings.hop_length,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.fmax,
        power=1.0,
        pad_mode="constant",
    )
    return np.log1p(settings.log_constant * mel).T


OTHERS = {
    "sample_rate": 22_050,
    "hop_length": 300,
    "n_mels": 40,
    "fmin": 50,
    "fmax": 8000,
    "log_constant": 7,
}


@pytest.mark.parametrize("changes", [{}, OTHERS], ids=["the paper's", "others"])
@pytest.mark.parametrize("n_fft", [1024, 1023, 32768])
def test_equals_librosa(clips, n_fft, changes):
    settings = SpectrogramSettings(**changes)
    ours = log_mel(clips[0], settings, n_fft).numpy()
    expected = reference(clips[0], settings, n_fft)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours[: len(expected)], expected, rtol=2e-4, atol=2e-4)


def test_a_batch_is_its_clips(clips):
    batch = log_mel(clips[:3])
    for clip, expected in zip(clips[:3], batch, strict=True):
        torch.testing.assert_close(log_mel(clip), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_fft", [1024, 32768])
def test_chunks_change_nothing(clips, n_fft, monkeypatch):
    whole = log_mel(clips[:2], n_fft=n_fft)
    monkeypatch.setitem(spectrogram.CHUNK_SAMPLES, "cpu", 1)  # one frame at a time
    torch.testing.assert_close(log_mel(clips[:2], n_fft=n_fft), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n_samples", [1, 511, 512, 513, 5000, 5120])
@pytest.mark.parametrize("n_fft", [1024, 1023, 4096])
def test_frame_count_does_not_depend_on_the_window(n_samples, n_fft):
    """Librosa has one frame less where n_fft is odd and the hop divides n_samples."""
    assert log_mel(np.ones(n_samples), n_fft=n_fft).shape == (1 + n_samples // 512, 200)


@pytest.mark.parametrize("n_fft", [1024, 1023, 8192])
def test_frames_are_centred(n_fft):
    click = np.zeros(16_000, np.float32)
    click[20 * 512] = 1
    assert int(log_mel(click, n_fft=n_fft).sum(1).argmax()) == 20


def test_silence_is_zero():
    assert not log_mel(np.zeros(5000)).any()


def test_a_tone_lights_up_its_own_component():
    time = np.arange(16_000) / 16_000
    for frequency in (300, 1000, 4000):
        strongest = log_mel(np.sin(2 * np.pi * frequency * time))[15].argmax()
        assert mel_frequencies()[strongest] == pytest.approx(frequency, rel=0.03)


def test_mel_frequencies_are_the_peaks_of_the_filters():
    settings = SpectrogramSettings(n_mels=30)
    bank = mel_filter_bank(settings, 32768)
    peaks = bank.argmax(axis=1) * 16_000 / 32768
    np.testing.assert_allclose(mel_frequencies(settings), peaks, atol=1)


def test_more_mels_than_bins_works_as_in_librosa(clips):
    settings = SpectrogramSettings(n_fft=64, hop_length=512, n_mels=200)
    with pytest.warns(UserWarning, match="Empty filters"):
        expected = reference(clips[0], settings, 64)
    with pytest.warns(UserWarning, match="Empty filters"):
        ours = log_mel(clips[0], settings).numpy()
    np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=2e-4)
    assert not ours.all(axis=0).all()


def test_mel_edges_that_are_refused():
    for edges in ({"fmin": 100, "fmax": 50}, {"fmin": 8000}, {"fmax": 8001}):
        with pytest.raises(ParameterError, match=r"fmax: expected more than fmin=.* 8000\.0"):
            SpectrogramSettings(**edges)


@pytest.mark.parametrize("frames", [[18], [-1], [0.5], "a"])
def test_frames_that_are_not_there(frames):
    with pytest.raises(ParameterError, match="chosen: expected frames from 0 to 17, got"):
        log_mel(np.zeros(9000), chosen=frames)
