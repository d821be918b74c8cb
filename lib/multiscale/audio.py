"""Audio in: decode, mix down, resample, check (§4.1: 16 kHz; one channel).

Audio is ``(n_samples,)`` float32 in [-1, 1]. What can be repaired is repaired (any rate is
resampled, stereo is mixed down); what cannot is an :class:`~multiscale.config.AudioError`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from multiscale.config import SAMPLE_RATE, AudioError


def load(path: str | Path, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """Decode a file (WAV, FLAC, Ogg, MP3, ...) to mono at ``sample_rate``, (n_samples,) float32."""
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: expected an audio file, got nothing there")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(f"{path}: expected audio that libsndfile can read, got {error}") from error
    return check(resample(samples.mean(axis=1), rate, sample_rate), name=str(path))


def resample(signal: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Resample ``(n_samples,)`` from ``rate`` to ``sample_rate`` Hz; equal rates change nothing."""
    if rate == sample_rate or len(signal) == 0:
        return signal
    return soxr.resample(signal, rate, sample_rate).astype(np.float32)


def check(signal: np.ndarray, min_samples: int = 1, name: str = "audio") -> np.ndarray:
    """A signal (n_samples,) or (n_samples, n_channels) as (n_samples,) float32, if it can be used.

    Channels are averaged, and integers are taken as PCM. What is empty or shorter than
    ``min_samples``, not numeric, of more axes, channels first, or not finite is an AudioError,
    which begins with ``name``: the file or the clip.
    """
    signal = np.asarray(signal)
    if signal.dtype.kind not in "fiu":
        raise AudioError(f"{name}: expected real numbers, got dtype {signal.dtype}")
    if signal.ndim not in (1, 2):
        raise AudioError(
            f"{name}: expected shape (n_samples,) or (n_samples, n_channels), got {signal.shape}"
        )
    if signal.ndim == 2 and signal.shape[1] > len(signal) > 0:
        raise AudioError(
            f"{name}: expected time first, (n_samples, n_channels), got {signal.shape}"
        )
    if len(signal) < min_samples:
        raise AudioError(f"{name}: expected at least {min_samples} samples, got {len(signal)}")
    if signal.dtype.kind != "f":
        # Integers are PCM: scale to [-1, 1]. Unsigned ones have silence in the middle.
        info = np.iinfo(signal.dtype)
        middle, half = (info.max + info.min + 1) / 2, (info.max - info.min + 1) / 2
        signal = (signal - middle) / half
    if signal.ndim == 2:
        signal = signal.mean(axis=1)
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        signal = signal.astype(np.float32, copy=False)
    if not np.isfinite(signal).all():
        count = int((~np.isfinite(signal)).sum())
        raise AudioError(f"{name}: expected finite samples, got {count} that are NaN or infinite")
    return signal
