"""Decoding, mixing down, resampling, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from multiscale import audio
from multiscale.config import AudioError


def sine(frequency: float, rate: int) -> np.ndarray:
    """A second of it."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(rate) / rate)).astype(np.float32)


def loudest_frequency(signal: np.ndarray, rate: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    return np.argmax(spectrum) * rate / len(signal)


@pytest.mark.parametrize(
    ("suffix", "tolerance"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.05), ("mp3", 0.05)]
)
def test_round_trip(tmp_path, suffix, tolerance):
    signal = sine(440, 16_000)
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, signal, 16_000)
    loaded = audio.load(path)
    assert (loaded.dtype, loaded.shape) == (np.float32, signal.shape)
    inside = slice(2000, -2000)  # lossy codecs may ring at the ends
    assert np.abs(loaded[inside] - signal[inside]).max() < tolerance


def test_stereo_is_mixed_down(tmp_path):
    left, right = sine(440, 16_000), sine(1000, 16_000)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], 1), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(audio.load(tmp_path / "a.wav"), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_pitch_length_and_level(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", sine(1000, rate), rate, subtype="FLOAT")
    loaded = audio.load(tmp_path / "a.wav")
    assert len(loaded) == pytest.approx(16_000, abs=1)
    assert loudest_frequency(loaded) == pytest.approx(1000, abs=1)
    assert np.abs(loaded[1000:-1000]).max() == pytest.approx(0.5, abs=0.01)


def test_what_lies_above_nyquist_does_not_fold_back():
    resampled = audio.resample(sine(10_000, 44_100), 44_100, 16_000)
    assert np.abs(resampled[1000:-1000]).max() < 1e-3


def test_equal_rates_change_nothing():
    signal = sine(440, 16_000)
    assert audio.resample(signal, 16_000, 16_000) is signal


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.wav", None, r"gone\.wav: expected an audio file, got nothing there"),
        (".", None, "expected an audio file, got nothing there"),
        ("a.mp3", b"", r"a\.mp3: expected audio that libsndfile can read"),
        ("a.mp3", np.random.default_rng(0).bytes(5000), r"a\.mp3: expected"),
        ("a.wav", [], r"a\.wav: expected at least 1 samples, got 0"),
        ("a.wav", [0, np.nan, 0], r"a\.wav: expected finite samples, got 1"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        soundfile.write(path, np.array(content, np.float32), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=message):
        audio.load(path)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8])
def test_pcm_is_scaled_to_one(dtype):
    signal, info = sine(440, 16_000), np.iinfo(dtype)
    middle = (info.max + info.min + 1) / 2
    checked = audio.check(np.round(signal * (info.max - middle) + middle).astype(dtype))
    assert checked.dtype == np.float32
    np.testing.assert_allclose(checked, signal, atol=0.01 if dtype == np.uint8 else 1e-4)


def test_pcm_is_scaled_as_libsndfile_scales_it(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(440, 16_000), 16_000, subtype="PCM_16")
    pcm, _ = soundfile.read(tmp_path / "a.wav", dtype="int16")
    np.testing.assert_array_equal(audio.check(pcm), audio.load(tmp_path / "a.wav"))


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (np.zeros(0), "it: expected at least 5 samples, got 0"),
        (np.zeros(4), "it: expected at least 5 samples, got 4"),
        (np.zeros((5, 2, 1)), r"it: expected shape .*got \(5, 2, 1\)"),
        (np.float32(1), "it: expected shape .*got one number"),
        (np.zeros(9, bool), "it: expected real numbers, or PCM .* 32 bits, got dtype bool"),
        (np.zeros(9, int), "it: expected real numbers, or PCM .* 32 bits, got dtype int64"),
        (np.full(9, -32768.0), r"it: expected samples in \[-1, 1\], got magnitudes up to 32768"),
        (np.array([0, np.nan, 0, np.inf, 0]), "it: expected finite samples, got 2"),
        (np.full(5, 1e300), "it: expected finite samples, got 5"),
        (np.zeros((2, 100)), r"it: expected time first.*got \(2, 100\)"),
    ],
)
def test_signals_that_are_refused(signal, message):
    with pytest.raises(AudioError, match=message):
        audio.check(signal, 5, "it")
