"""From any file, of any length, to mono clips of one length, a block at a time.

A file is cut into consecutive clips from its start. What is left over at its end is dropped; a
file shorter than one clip but at least :data:`SHORTEST` of it goes round, its start following
its end, until the clip is full; a shorter one is refused. No silence is added: whitened, it
would stand out from all music. Clips on disk are known by the code of this module.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from multiscale.config import AudioError
from multiscale.identity import atomic_write

SAMPLE_RATE = 16_000
"""Of the clips, in Hz (§4.1)."""

SHORTEST = 0.5
"""Share of a clip that a file must fill."""

BLOCK_SECONDS = 4
"""Audio that is decoded at a time."""


def cut(path: Path, clip_seconds: float, max_clips: int | None = None) -> Iterator[np.ndarray]:
    """Clips of a file, (n_samples,) float32 at SAMPLE_RATE, of one length, so many at most.

    It may be any file that libsndfile reads, or ffmpeg, where it is installed. An AudioError says
    that it cannot be read, is too short, or holds samples that are not finite.
    """
    n_samples = round(clip_seconds * SAMPLE_RATE)
    held, n_held, n_clips = [], 0, 0
    for block in decode(path):
        held.append(block)
        n_held += len(block)
        while n_held >= n_samples:
            joined = np.concatenate(held)
            yield joined[:n_samples]
            n_clips += 1
            if n_clips == max_clips:
                return
            held, n_held = [joined[n_samples:]], n_held - n_samples
    if n_clips:
        return
    if n_held < SHORTEST * n_samples:
        raise AudioError(
            f"{path}: expected at least {SHORTEST * clip_seconds:g} s of audio, "
            f"got {n_held / SAMPLE_RATE:.1f} s"
        )
    yield np.resize(np.concatenate(held), n_samples)


def decode(path: Path) -> Iterator[np.ndarray]:
    """Mono blocks of a file at SAMPLE_RATE, (n_samples,) float32; channels are averaged."""
    if not os.path.isfile(path):
        raise AudioError(f"{path}: expected an audio file, got nothing there")
    try:
        with open(path, "rb") as file:
            empty = not file.read(1)
    except PermissionError as error:  # libsndfile would not say so
        raise AudioError(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    if empty:
        raise AudioError(f"{path}: expected an audio file, got one of zero bytes")
    try:
        # Bytes, for a name need not be valid text.
        file = soundfile.SoundFile(str(path) if os.name == "nt" else os.fsencode(path))
    except (soundfile.SoundFileError, RuntimeError, TypeError) as error:
        yield from _decode_with_ffmpeg(path, _said(error))
    else:
        with file:
            yield from _resampled(path, file)


def _resampled(path: Path, file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Blocks of an open file."""
    rate, position = file.samplerate, 0
    stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    size = BLOCK_SECONDS * rate
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True).mean(axis=1)
        except (soundfile.SoundFileError, RuntimeError) as error:
            if getattr(error, "code", 0) == 2:  # the operating system's; nothing of the file
                raise OSError(errno.EIO, _said(error), str(path)) from error
            raise AudioError(
                f"{path}: broken after {position / rate:.1f} s: {_said(error)}"
            ) from error
        _check_finite(path, block, position / rate)
        position += len(block)
        last = len(block) == 0
        if rate != SAMPLE_RATE:
            block = stream.resample_chunk(block, last=last)
        if len(block):
            yield block
        if last:
            return


def _decode_with_ffmpeg(path: Path, refusal: str) -> Iterator[np.ndarray]:
    """Blocks of a file that libsndfile refused."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(
            f"{path}: expected audio that libsndfile can read, got {refusal} "
            "(ffmpeg, which might read it, is not installed)"
        )
    command = [ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe"]
    command += ["-i", f"file:{path}", "-vn", "-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE)]
    size, position = 4 * BLOCK_SECONDS * SAMPLE_RATE, 0
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen([*command, "-"], stdout=subprocess.PIPE, stderr=complaints)
        try:
            while data := process.stdout.read(size):
                block = np.frombuffer(data, "<f4", count=len(data) // 4).astype(np.float32)
                _check_finite(path, block, position / SAMPLE_RATE)
                position += len(block)
                yield block
            failed = process.wait() != 0
        finally:  # also where no more is asked for
            process.stdout.close()
            process.kill()
            process.wait()
        if failed or position == 0:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").replace(f"file:{path}: ", "").strip()
            raise AudioError(
                f"{path}: expected audio that libsndfile or ffmpeg can read, got "
                f"{refusal}; {said.splitlines()[-1] if said else 'no audio in it'}"
            )


def _check_finite(path: Path, block: np.ndarray, seconds: float) -> None:
    if not np.isfinite(block).all():
        raise AudioError(
            f"{path}: expected finite samples, got NaN or infinite ones after {seconds:.0f} s"
        )


def _said(error: Exception) -> str:
    """What libsndfile said of a file, without its path, in a line."""
    said = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
    # Its words for an MP3 that it cannot make out, though the file is there.
    return "data that is no audio" if said.startswith("File does not exist") else said


def write_clip(path: Path, signal: np.ndarray) -> None:
    """Write a clip as 16-bit WAV, whole or not at all; beyond full scale it is clipped."""
    # FLAC would take less of the disk, but longer to read, again and again: see bench_spectrogram.
    # In memory first: libsndfile says of a full disk only that there was a system error.
    encoded = io.BytesIO()
    soundfile.write(encoded, signal, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    with atomic_write(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
