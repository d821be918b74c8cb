"""Our log-mel spectrogram and the six levels of the multiresolution one, against two others.

Clips of 29 s at 16 kHz: a batch for ours and for torch.stft, one at a time for librosa. Also
what reading them takes from WAV, as clips are kept, and from FLAC.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from timing import compare, report

from multiscale import audio
from multiscale.config import PAPERS
from multiscale.spectrogram import log_mel, mel_filter_bank

HOP, N_MELS = PAPERS.hop_length, PAPERS.n_mels


def of_librosa(clip: np.ndarray, n_fft: int) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=clip, sr=PAPERS.sample_rate, n_fft=n_fft, hop_length=HOP, n_mels=N_MELS, power=1.0
    )
    return np.log1p(PAPERS.log_constant * mel)


def of_torch(clips: torch.Tensor, n_fft: int) -> torch.Tensor:
    window, how = torch.hann_window(n_fft), {"pad_mode": "constant", "return_complex": True}
    spectrum = torch.stft(clips, n_fft, HOP, window=window, **how).abs()
    bank = torch.tensor(mel_filter_bank(PAPERS, n_fft))
    return torch.log1p(PAPERS.log_constant * (bank @ spectrum))


def main(tiny: bool) -> None:
    levels = [PAPERS.n_fft * 2**level for level in range(6)]
    for title, windows, n_clips in (("log-mel", levels[:1], 8), ("six resolutions", levels, 2)):
        shape = (n_clips, (3 if tiny else 29) * PAPERS.sample_rate)
        clips = np.random.default_rng(0).standard_normal(shape, np.float32)
        ways = {
            "ours": lambda x=clips, w=windows: [log_mel(x, n_fft=n) for n in w],
            "librosa": lambda x=clips, w=windows: [[of_librosa(c, n) for c in x] for n in w],
            "torch.stft": lambda x=clips, w=windows: [of_torch(torch.tensor(x), n) for n in w],
        }
        ours, *others = (way() for way in ways.values())
        for other in others:
            for one, another in zip(ours, other, strict=True):
                assert np.allclose(one.mT, np.asarray(another), atol=0.02)
        for threads in (1, 2):
            told = f"{title} of {n_clips} clips"
            compare(told, ways, repeats=1 if tiny else 3, threads=threads)
    with tempfile.TemporaryDirectory() as folder:
        ways = {}
        for name in ("wav", "flac"):
            files = [Path(folder) / f"{i}.{name}" for i in range(len(clips))]
            for clip, file in zip(clips, files, strict=True):
                soundfile.write(file, clip / 10, PAPERS.sample_rate, "PCM_16")
            ways[name.upper()] = lambda files=files: [audio.load(file) for file in files]
        compare(f"reading {n_clips} clips", ways, repeats=1 if tiny else 15)


if __name__ == "__main__":
    report(main)
