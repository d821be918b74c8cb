"""Playing: an arrangement through a General MIDI soundfont, then through a band's production.

Parts are rendered one by one and balanced by role, so that a chapter can play each apart. The
production chain is drive, filters and tilt, reverb, level, noise and a limiter, in that order.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

from coverbands.arranging import Arrangement, Part
from coverbands.bands import instruments

SAMPLE_RATE = 16_000
"""Of the clips, in Hz (§4.1)."""

BLOCK = 128
"""Samples between which notes may start or end: 4 ms at the rate of the synthesiser."""

OVERSAMPLING = 2
"""The synthesiser runs at this multiple of SAMPLE_RATE: it interpolates without a filter."""

ROLE_DB = {"part": -20, "bass": -21, "drums": -21, "chord": -27, "arp": -27, "drone": -29}
"""Level of a part while it sounds, in dB of full scale, by role."""

BALANCE_DB, LEVEL_DB, TILT_DB, NOISE_DB = 4.0, 5.0, 7.0, 8.0
"""How far a part's level, and a band's level, tilt and noise stray from clip to clip, in dB.

Without this the tags would be too easy: a band would be known by its sound alone."""

HIGH_CUT = (0.6, 1.1)
"""Factor on a band's upper cut-off, from clip to clip."""

CEILING = 0.9
"""Where the limiter bends towards, as a share of full scale."""


@cache
def _soundfont() -> bytes:
    import pretty_midi  # for its soundfont alone; slow to import

    return (Path(pretty_midi.__file__).parent / "TimGM6mb.sf2").read_bytes()


def play(part: Part, seconds: float) -> np.ndarray:
    """Audio of one part, (n_samples,), float32, as loud as the soundfont gives it."""
    import tinysoundfont

    rate = SAMPLE_RATE * OVERSAMPLING
    # A fresh synthesiser for every part: no voice or setting is left over from the one before.
    synth = tinysoundfont.Synth(samplerate=rate)
    font = synth.sfload(_soundfont())
    drums = part.role == "drums"
    program = int(instruments().loc[part.instrument, "program"])
    synth.program_select(0, font, 128 if drums else 0, program, drums)
    n_blocks = int(np.ceil(seconds * rate / BLOCK))
    audio = bytearray(n_blocks * BLOCK * 8)  # stereo float32
    view, position = memoryview(audio), 0
    for block, is_start, pitch, velocity in _events(part.notes, rate):
        block = min(block, n_blocks)
        if block > position:
            synth.generate_simple(block - position, view[position * BLOCK * 8 : block * BLOCK * 8])
            position = block
        if is_start:
            synth.noteon(0, pitch, velocity)
        else:
            synth.noteoff(0, pitch)
    if position < n_blocks:
        synth.generate_simple(block - position, view[position * BLOCK * 8 :])
    left, right = np.frombuffer(audio, np.float32).reshape(-1, 2).T
    mono = (left + right) / 2  # several times as fast as a mean over so short an axis
    mono = soxr.resample(mono, rate, SAMPLE_RATE)[: round(seconds * SAMPLE_RATE)]
    return np.pad(mono, (0, round(seconds * SAMPLE_RATE) - len(mono)))


def _events(notes: np.ndarray, rate: int) -> list[tuple[int, bool, int, int]]:
    """Blocks at which notes end and start, ends first: (block, is_start, pitch, velocity)."""
    starts = (notes[:, 0] * rate / BLOCK).round().astype(int)
    ends = np.maximum((notes[:, 1] * rate / BLOCK).round().astype(int), starts + 1)
    pitches = notes[:, 2].round().astype(int)
    velocities = (notes[:, 3] * 127).round().astype(int)
    rows = zip(starts, ends, pitches, velocities, strict=True)
    events = []
    for start, end, pitch, velocity in rows:
        events += [(int(start), True, int(pitch), int(velocity)), (int(end), False, int(pitch), 0)]
    return sorted(events)


def balanced(arrangement: Arrangement, seconds: float, rng) -> dict[str, np.ndarray]:
    """Audio of every part by its name, its level drawn round its role's; their sum is the mix."""
    stems = {}
    for part in arrangement.parts:
        stem = play(part, seconds)
        level = ROLE_DB[part.role] + rng.uniform(-BALANCE_DB, BALANCE_DB)
        stems[part.name] = (stem * (_amplitude(level) / _active_rms(stem))).astype(np.float32)
    return stems


def produced(dry: np.ndarray, band: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """The sum of the parts as a band produces it, (n_samples,), float32, below full scale."""
    # Of a band, level and noise are in dB of full scale, tilt in dB from low to high, cuts in Hz,
    # reverb in s, and wet is a share.
    signal = dry / _active_rms(dry)
    if band["drive"] > 0:
        signal = np.tanh(band["drive"] * signal) / band["drive"]
    tilt = band["tilt"] + rng.uniform(-TILT_DB, TILT_DB)
    signal = _filtered(signal, band["low_cut"], band["high_cut"] * rng.uniform(*HIGH_CUT), tilt)
    signal = _reverberated(signal, band["reverb"], band["wet"] * rng.uniform(0.6, 1.4), rng)
    level = _amplitude(band["level"] + rng.uniform(-LEVEL_DB, LEVEL_DB))
    signal = signal * (level / _active_rms(signal))
    noise = _amplitude(band["noise"] + rng.uniform(-NOISE_DB, NOISE_DB))
    signal += rng.normal(0, noise, len(signal))
    # Linear up to half the ceiling, then bending: soft clips stay untouched, no clip clips.
    knee = CEILING / 2
    over = np.maximum(np.abs(signal) - knee, 0)
    limited = np.minimum(np.abs(signal), knee) + knee * np.tanh(over / knee)
    return (np.sign(signal) * limited).astype(np.float32)


def _filtered(signal: np.ndarray, low_cut: float, high_cut: float, tilt: float) -> np.ndarray:
    nyquist = SAMPLE_RATE / 2
    low = butter(2, low_cut / nyquist, "highpass", output="sos")
    high = butter(2, min(high_cut / nyquist, 0.99), "lowpass", output="sos")
    signal = sosfilt(np.concatenate([low, high]), signal)
    # The signal below 1 kHz and the rest, weighted apart: a first-order shelf.
    bass = sosfilt(butter(1, 1000 / nyquist, output="sos"), signal)
    return _amplitude(-tilt / 2) * bass + _amplitude(tilt / 2) * (signal - bass)


def _reverberated(signal: np.ndarray, seconds: float, wet: float, rng) -> np.ndarray:
    """Exponentially decaying noise as a room: down by 60 dB after ``seconds``."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    room = rng.normal(size=len(time)) * 10 ** (-3 * time / seconds)
    room = sosfilt(butter(1, 3000 / (SAMPLE_RATE / 2), output="sos"), room)
    echo = fftconvolve(signal, room / np.sqrt((room**2).sum()))[: len(signal)]
    return (1 - wet) * signal + wet * echo


def _amplitude(decibels: float) -> float:
    return 10 ** (decibels / 20)


def _active_rms(signal: np.ndarray) -> float:
    """Root mean square of the louder half of the 0.1 s frames, so that rests do not count."""
    frames = signal[: len(signal) // 1600 * 1600].reshape(-1, 1600)
    power = np.sort((frames.astype(np.float64) ** 2).mean(axis=1))
    return float(np.sqrt(power[len(power) // 2 :].mean()) + 1e-9)
