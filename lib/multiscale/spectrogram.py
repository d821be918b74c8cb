"""Log-scaled mel-spectrograms (§4.1): 200 components, window 1024, hop 512, at 16 kHz.

Time comes first: ``(n_frames, n_mels)``, or ``(n_clips, n_frames, n_mels)`` for a batch. The
same code runs on CPU and GPU, and gives what librosa gives, to float32 rounding.
"""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np
import torch
import torch.nn.functional as F

from multiscale import audio, config
from multiscale.config import PAPERS, AudioError, ParameterError, SpectrogramSettings

CHUNK_SAMPLES = {"cpu": 2**21, "cuda": 2**27}
"""Samples of overlapping windows worked on at once: on a CPU what stays in its cache."""

MEL_BLOCK = 20
"""Mel filters applied in one product: neighbours share a short range of frequency bins."""


def log_mel(
    signal: np.ndarray | torch.Tensor,
    settings: SpectrogramSettings = PAPERS,
    n_fft: config.Count | None = None,
    chosen: np.ndarray | None = None,
) -> torch.Tensor:
    """Log-scaled mel-spectrogram, ``log(1 + C M |STFT|)``.

    Parameters
    ----------
    signal : array-like of shape (n_samples,) or (n_clips, n_samples)
        Mono audio at ``settings.sample_rate``; integers are taken as PCM. A tensor of floats, which
        may be on a GPU, is taken as it is.
    settings : SpectrogramSettings, default=PAPERS
        By default the paper's.
    n_fft : int, optional
        Window in samples; by default ``settings.n_fft``. Higher levels of the multiresolution
        spectrogram (§3.1) pass longer ones.
    chosen : ndarray of int, optional
        Frames to compute; by default all.

    Returns
    -------
    Tensor of shape (n_frames, n_mels) or (n_clips, n_frames, n_mels), float32
        Frame ``t`` is centred on sample ``t * hop_length``, and ``n_frames = 1 + n_samples //
        hop_length``, whatever the window, so that all resolutions have the same frames.

    Raises
    ------
    AudioError
        If the signal is empty, not of one of these shapes, or no audio: see
        :func:`~multiscale.audio.check_samples`.
    ParameterError
        If the settings, the window or the frames are none.

    Notes
    -----
    Magnitude, log(1 + 10000 x), Slaney's mel scale and area norm, a Hann window and zeros
    beyond the ends are choices of ours; see the decision register.
    """
    config.check_parameters(log_mel, {"settings": settings, "n_fft": n_fft})
    n_fft = n_fft or settings.n_fft
    signal = as_signal(signal)
    if signal.ndim not in (1, 2) or signal.numel() == 0:
        raise AudioError(
            "signal: expected shape (n_samples,) or (n_clips, n_samples) with samples in it, "
            f"got {tuple(signal.shape)}"
        )
    padded = F.pad(signal, (n_fft // 2, (n_fft + 1) // 2))  # so n_samples + n_fft if odd, too
    frames = padded.unfold(-1, n_fft, settings.hop_length)  # (..., n_frames, n_fft)
    if chosen is not None:
        chosen, there = np.asarray(chosen), np.arange(frames.shape[-2])
        if chosen.dtype.kind not in "iu" or not np.isin(chosen, there).all():
            raise ParameterError(f"chosen: expected frames from 0 to {there[-1]}, got {chosen}")
        frames = frames[..., torch.as_tensor(chosen, device=signal.device), :]
    window = torch.hann_window(n_fft, device=signal.device)
    blocks = _mel_blocks(settings, n_fft, signal.device)
    n_clips = signal.shape[0] if signal.ndim == 2 else 1
    chunk = max(1, CHUNK_SAMPLES[signal.device.type] // (n_clips * n_fft))
    mel = [_mel(some * window, blocks) for some in frames.split(chunk, dim=-2)]
    return torch.log1p(settings.log_constant * torch.cat(mel, dim=-2))


def as_signal(signal: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Audio of any shape as a tensor of float32."""
    if not (torch.is_tensor(signal) and signal.is_floating_point()):
        signal = audio.check_samples(signal, "signal")
    return torch.as_tensor(signal, dtype=torch.float32)


@lru_cache(maxsize=16)
def mel_filter_bank(settings: SpectrogramSettings, n_fft: int) -> np.ndarray:
    """Mel filters of shape (n_mels, 1 + n_fft // 2), float32, librosa's Slaney form."""
    bank = librosa.filters.mel(
        sr=settings.sample_rate,
        n_fft=n_fft,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.fmax,
    )
    bank.flags.writeable = False  # for it is cached
    return bank


def mel_frequencies(settings: SpectrogramSettings = PAPERS) -> np.ndarray:
    """Centre frequency of every mel component, shape (n_mels,), Hz."""
    fmax = settings.fmax or settings.sample_rate / 2
    return librosa.mel_frequencies(settings.n_mels + 2, fmin=settings.fmin, fmax=fmax)[1:-1]


def _mel_blocks(
    settings: SpectrogramSettings, n_fft: int, device: torch.device
) -> list[tuple[slice, torch.Tensor]]:
    """The filter bank as (bins, filters over those bins) blocks: it is nearly empty."""
    bank = mel_filter_bank(settings, n_fft)
    blocks = []
    for start in range(0, settings.n_mels, MEL_BLOCK):
        filters = bank[start : start + MEL_BLOCK]
        used = np.flatnonzero(filters.any(axis=0))
        # So many mels that these fall between two bins: zeros, as librosa gives.
        bins = slice(used[0], used[-1] + 1) if len(used) else slice(0, 1)
        blocks.append((bins, torch.tensor(filters[:, bins].T, device=device)))
    return blocks


def _mel(frames: torch.Tensor, blocks: list[tuple[slice, torch.Tensor]]) -> torch.Tensor:
    """Mel magnitudes of windowed frames, (..., n_fft) -> (..., n_mels)."""
    spectrum = torch.fft.rfft(frames)
    # On a CPU numpy's is many times as fast as torch's, and gives the same.
    on_gpu = spectrum.is_cuda
    magnitude = spectrum.abs() if on_gpu else torch.from_numpy(np.abs(spectrum.numpy()))
    return torch.cat([magnitude[..., bins] @ filters for bins, filters in blocks], dim=-1)
