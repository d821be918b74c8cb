"""Audio in: decode, mix down, resample, check (§4.1: 16 kHz; one channel).

Audio is ``(n_samples,)`` float32 in [-1, 1]. What can be repaired is repaired (any rate is
resampled, stereo is mixed down); what cannot is an :class:`~multiscale.config.AudioError`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from multiscale import config
from multiscale.config import SAMPLE_RATE, AudioError

FULL_SCALE = 100
"""Magnitude that samples in [-1, 1] do not reach, however loud: 40 dB over full scale."""


def load(path: str | Path, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Decode a file (WAV, FLAC, Ogg, MP3, ...) to mono at ``sample_rate``, (n_samples,) float32."""
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: expected an audio file, got nothing there")
    try:
        with open(path, "rb"):  # libsndfile would not say that it is denied
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: expected audio that libsndfile can read, got {error}") from error
    return check(resample(mono(samples), rate, sample_rate), name=str(path))


def mono(samples: np.ndarray) -> np.ndarray:
    """The average of channels, (n_samples, n_channels) -> (n_samples,)."""
    # Channel by channel: numpy takes several times as long for a mean over so short an axis.
    return sum(samples.T) / samples.shape[1]


def resample(signal: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Resample ``(n_samples,)`` from ``rate`` to ``sample_rate`` Hz; equal rates change nothing."""
    if rate == sample_rate or len(signal) == 0:
        return signal
    return soxr.resample(signal, rate, sample_rate).astype(np.float32)


def check(signal: np.ndarray, min_samples: int = 1, name: str = "audio") -> np.ndarray:
    """A signal (n_samples,) or (n_samples, n_channels) as (n_samples,) float32, if it can be used.

    Channels are averaged. What is empty or shorter than ``min_samples``, of more axes, or channels
    first is an AudioError, which begins with ``name``, the file or the clip; so is what
    :func:`check_samples` refuses.
    """
    signal = check_samples(signal, name)
    if signal.ndim not in (1, 2):
        raise AudioError(
            f"{name}: expected shape (n_samples,) or (n_samples, n_channels), "
            f"got {signal.shape or 'one number'}"
        )
    if signal.ndim == 2 and (signal.shape[1] > len(signal) > 0 or signal.shape[1] == 0):
        raise AudioError(
            f"{name}: expected time first, (n_samples, n_channels), got {signal.shape}"
        )
    if len(signal) < min_samples:
        raise AudioError(f"{name}: expected at least {min_samples} samples, got {len(signal)}")
    return mono(signal) if signal.ndim == 2 else signal


def check_samples(signal: np.ndarray, name: str = "audio") -> np.ndarray:
    """Samples of any shape as float32, contiguous and writable; integers are taken as PCM.

    What is not numeric, wider than PCM's 32 bits, not finite, or far beyond full scale is an
    AudioError.
    """
    with config.named(name):
        signal = np.asarray(signal)
    if signal.dtype.kind not in "fiu" or (signal.dtype.kind != "f" and signal.itemsize > 4):
        raise AudioError(
            f"{name}: expected real numbers, or PCM of at most 32 bits, got dtype {signal.dtype}"
        )
    if signal.dtype.kind != "f":
        # Integers are PCM: scale to [-1, 1]. Unsigned ones have silence in the middle.
        info = np.iinfo(signal.dtype)
        middle, half = (info.max + info.min + 1) / 2, (info.max - info.min + 1) / 2
        signal = (signal - middle) / half
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        signal = np.require(signal, np.float32, "CW")
    loudest = np.abs(signal).max(initial=0)
    if not np.isfinite(loudest):
        count = int((~np.isfinite(signal)).sum())
        raise AudioError(f"{name}: expected finite samples, got {count} that are NaN or infinite")
    if loudest > FULL_SCALE:
        raise AudioError(f"{name}: expected samples in [-1, 1], got magnitudes up to {loudest:g}")
    return signal
