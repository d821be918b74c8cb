"""Our log-mel spectrogram against librosa's, at level 0 and level 5 of the multiresolution ones.

Eight clips of 29 s at 16 kHz, one at a time for librosa, as a batch and one at a time for ours.

One thread keeps the other work of a machine out of it:
``OMP_NUM_THREADS=1 python benchmarks/bench_spectrogram.py``.
"""

from __future__ import annotations

import librosa
import numpy as np
from timing import compare

from multiscale.spectrogram import log_mel


def librosas(clip: np.ndarray, n_fft: int) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=clip, sr=16_000, n_fft=n_fft, hop_length=512, n_mels=200, power=1.0
    )
    return np.log1p(10_000 * mel)


def main() -> None:
    clips = np.random.default_rng(0).standard_normal((8, 29 * 16_000)).astype(np.float32)
    for level in (0, 5):
        n_fft = 1024 * 2**level
        ways = {
            "ours, a batch": lambda n=n_fft: log_mel(clips, n_fft=n),
            "ours, clip by clip": lambda n=n_fft: [log_mel(clip, n_fft=n) for clip in clips],
            "librosa": lambda n=n_fft: [librosas(clip, n) for clip in clips],
        }
        compare(f"level {level}: window {n_fft}, 8 clips", ways, repeats=7 if level == 0 else 3)


if __name__ == "__main__":
    main()
