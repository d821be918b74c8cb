"""What a chapter plays: clips, the levels of a representation, learned features as sound.

Sound is MP3. The build of the book names a folder in ``$MULTISCALE_FILES``, whose last two parts
are its address seen from the page, and sound goes there as files; anywhere else a player carries
its sound inside, so that a chapter plays in JupyterLab and in a page sent by mail.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import soundfile
import torch
from IPython.display import HTML

from multiscale.config import SpectrogramSettings
from multiscale.datasets import ClipDataset
from multiscale.encoding import Encoder
from multiscale.spectrogram import log_mel, mel_filter_bank

SAMPLE_RATE = SpectrogramSettings().sample_rate
"""Of all that is played, in Hz."""

LOUDNESS = 0.08
"""Root mean square that a player without ``keep_level`` is brought to."""

STRENGTH = 3.0
"""By how much the band that changes most changes where a feature is heard, in log amplitude."""

N_CONSIDERED = 24
"""Clips, from the start, among which a lively one is looked for."""


def player(
    signal: np.ndarray,
    caption: str,
    *,
    seconds: float | None = 10.0,
    keep_level: bool = False,
) -> HTML:
    """An audio player with a caption.

    Parameters
    ----------
    signal : array-like of shape (n_samples,)
        Mono audio at 16 kHz.
    caption : str
        What is heard; plain text.
    seconds : float or None, default=10.0
        Only that much from the start; None for all.
    keep_level : bool, default=False
        Whether to leave the level as it is, where loudness is the point. Otherwise players sound
        about equally loud.

    Returns
    -------
    IPython.display.HTML
        To be the last line of a cell, or part of :func:`players`.
    """
    signal = np.asarray(signal, np.float32)
    if seconds is not None:
        signal = signal[: round(seconds * SAMPLE_RATE)]
    if not keep_level:
        signal = signal * (LOUDNESS / max(float(np.sqrt(np.mean(signal**2))), 1e-6))
    source = _source(_mp3(np.clip(signal, -1, 1)))
    return HTML(
        f'<figure class="player"><figcaption>{html.escape(caption)} '
        f"<small>({len(signal) / SAMPLE_RATE:.0f} s)</small></figcaption>"
        f'<audio controls preload="none" src="{source}"></audio></figure>'
    )


def players(*items: HTML) -> HTML:
    """Several players side by side, as many to a row as fit."""
    inside = "".join(item.data for item in items)
    return HTML(f'<div class="players">{inside}</div>')


def clip(dataset: ClipDataset, index: int, words: str = "", **options) -> HTML:
    """A player of a clip, with its author and its terms.

    Parameters
    ----------
    dataset : ClipDataset
        The clips.
    index : int
        Which.
    words : str, default=""
        What the clip is here, such as ``"nearest"``; comes first.
    **options
        As for :func:`player`.

    Returns
    -------
    IPython.display.HTML
        As of :func:`player`.
    """
    caption = ": ".join(part for part in (words, credit(dataset.clips.iloc[index])) if part)
    return player(dataset[int(index)], caption, **options)


def ranked(
    dataset: ClipDataset, order: np.ndarray, tag: str, scores: np.ndarray, ranks: Iterable[int]
) -> HTML:
    """Players of clips in the order in which a tag is predicted of them.

    Parameters
    ----------
    dataset : ClipDataset
        The clips.
    order : ndarray of shape (n_clips,), int
        Indices of the clips, the likeliest first.
    tag : str
        Name of the tag.
    scores : ndarray of shape (n_clips, n_tags)
        Predicted probabilities.
    ranks : iterable of int
        Which of the order to play, from 0.

    Returns
    -------
    IPython.display.HTML
        As of :func:`players`; the captions tell who plays, the probability and the truth.
    """
    column, items = dataset.tag_names.index(tag), []
    for rank in ranks:
        index = int(order[rank])
        who = credit(dataset.clips.iloc[index]).partition(",")[0]
        truth = "carries the tag" if dataset.tags[index, column] else "does not carry it"
        caption = f"{rank + 1}. {who}: p = {scores[index, column]:.2f}, {truth}"
        items.append(player(dataset[index], caption))
    return players(*items)


def credit(row: pd.Series) -> str:
    """Artist, title and terms of a clip, from its row in the table, as far as they are known."""
    known = {name: str(value) for name, value in row.items() if not pd.isna(value) and value != ""}
    who = known.get("artist", "artist unknown")
    return f"{who}, {known.get('title', 'untitled')} ({known.get('licence', 'terms not stated')})"


def vocode(
    level: np.ndarray | torch.Tensor,
    n_frames: int,
    mean: np.ndarray | torch.Tensor | None = None,
) -> np.ndarray:
    """Make a level audible: noise, shaped in time and frequency as the level says.

    Parameters
    ----------
    level : array-like of shape (n_level_frames, n_mels)
        Log-mel values of one level of a representation, as the paper's settings make it.
    n_frames : int
        Frames at level 0; the level is stretched to them by straight lines.
    mean : array-like of shape (n_mels,), optional
        Added to every frame; the mean spectrum, for a Laplacian level, which is a difference.

    Returns
    -------
    ndarray of shape (n_samples,), float32
        Whatever the level has kept is heard; what it has lost is not.
    """
    settings = SpectrogramSettings()
    level = np.asarray(level, np.float64) + (0 if mean is None else np.asarray(mean, np.float64))
    # Frame t of level l is centred on frame 2^l t of level 0.
    stretch = 2 ** round(np.log2(n_frames / len(level)))
    centres = np.arange(len(level)) * stretch
    stretched = np.stack([np.interp(np.arange(n_frames), centres, band) for band in level.T])
    bank = mel_filter_bank(settings, settings.n_fft)
    magnitude = np.expm1(np.clip(stretched, 0, None)) / settings.log_constant
    per_bin = (bank / bank.sum(axis=1, keepdims=True)).T @ magnitude
    # Undo the area norm of the filters, and the overlap of neighbours.
    per_bin /= np.maximum((bank.T @ np.ones(len(bank)))[:, None], bank.max() / 100)
    noise = np.random.default_rng(0).standard_normal((n_frames - 1) * settings.hop_length)
    carrier = librosa.stft(noise, n_fft=settings.n_fft, hop_length=settings.hop_length)
    phase = carrier[:, :n_frames] / np.maximum(np.abs(carrier[:, :n_frames]), 1e-9)
    signal = librosa.istft(per_bin * phase, hop_length=settings.hop_length)
    return (signal / max(np.abs(signal).max(), 1e-9) * 0.8).astype(np.float32)


def feature(
    encoder: Encoder,
    index: int,
    level: int = 0,
    *,
    mean: np.ndarray | None = None,
) -> np.ndarray:
    """Make a learned feature audible: the mean window without it and with it, in turn.

    Parameters
    ----------
    encoder : Encoder
        What the level has learned.
    index : int
        Which feature.
    level : int, default=0
        Level of a pyramid; 0 for any level of a multiresolution spectrogram.
    mean : ndarray of shape (n_mels,), optional
        The mean spectrum, added for a Laplacian level, whose own mean is next to nothing.

    Returns
    -------
    ndarray of shape (n_samples,), float32
        About half a second of each, or a window where that is longer.
    """
    patch = encoder.patches[index]
    without = encoder.mean.reshape(patch.shape) + (0 if mean is None else np.asarray(mean))
    change = STRENGTH / np.abs(patch).max() * patch
    settings = SpectrogramSettings()
    per_second = settings.sample_rate / settings.hop_length / 2**level
    repeats = max(1, round(0.5 * per_second / len(patch)))
    turns = max(1, round(2 * per_second / (repeats * len(patch))))
    frames = np.concatenate([np.tile(part, (repeats, 1)) for part in (without, without + change)])
    frames = np.tile(frames, (turns, 1))
    return vocode(frames, len(frames) * 2**level)


def lively(dataset: Sequence[np.ndarray], rank: int = 0) -> int:
    """Choose a clip to show by how strong its onsets are, so that a figure shows what it should.

    Parameters
    ----------
    dataset : sequence of ndarray of shape (n_samples,)
        Clips; only the first N_CONSIDERED are looked at.
    rank : int, default=0
        0 for the clip with the strongest onsets, 1 for the next; -1 for that with the weakest.

    Returns
    -------
    int
        Index of the clip. Ranks beyond the clips start again from the first.
    """
    mels = [log_mel(dataset[index]) for index in range(min(N_CONSIDERED, len(dataset)))]
    # What rises in all bands at once is an onset.
    rise = [float(mel.mean(dim=1).diff().clamp(min=0).mean()) for mel in mels]
    return int(np.argsort(rise)[::-1][rank % len(rise)])


def _source(sound: bytes) -> str:
    """Address of a sound: of a file named by its content, or of itself."""
    folder = os.environ.get("MULTISCALE_FILES")
    if not folder:
        return f"data:audio/mpeg;base64,{base64.b64encode(sound).decode()}"
    path = Path(folder) / f"{hashlib.sha256(sound).hexdigest()[:16]}.mp3"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sound)
    return "/".join(path.parts[-3:])


def _mp3(signal: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, SAMPLE_RATE, format="MP3", compression_level=0.6)
    return buffer.getvalue()
