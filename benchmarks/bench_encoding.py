"""Encoding and pooling with the four dictionaries of the paper, against its matrix products.

The levels of clips of 29 s, clip by clip, as features are extracted; the other way goes step by
step: put windows side by side, whiten, project, take the maximum.
"""

from __future__ import annotations

import numpy as np
import torch
from timing import compare, report

from multiscale.config import DICTIONARIES, PAPERS
from multiscale.encoding import Encoder, encode_and_pool, frame_windows
from multiscale.representations import Representation

KEPT = 0.5
"""Share of the values of a window that whitening keeps."""


def drawn(dictionary: int | str, window_length: int, rng: np.random.Generator) -> Encoder:
    """An encoder of the size of a learned one, of random numbers."""
    n_values = window_length * PAPERS.n_mels
    n_kept = round(KEPT * n_values)
    means = None if dictionary == "pca" else rng.standard_normal((dictionary, n_kept), np.float32)
    variance, mean = rng.uniform(1, 2, n_kept), rng.standard_normal(n_values)
    components = rng.standard_normal((n_kept, n_values)) / n_values
    return Encoder(components, variance, mean, means, window_length)


def step_by_step(level: torch.Tensor, encoder: Encoder, pooling_length: int) -> np.ndarray:
    windows = frame_windows(level, encoder.window_length, pooling_length).numpy()
    code = (windows - encoder.mean) @ encoder.components.T / np.sqrt(encoder.explained_variance)
    return (code if encoder.means is None else code @ encoder.means.T).max(axis=-2)


def main(tiny: bool) -> None:
    rng = np.random.default_rng(0)
    clips = rng.standard_normal((2, (9 if tiny else 29) * PAPERS.sample_rate), np.float32)
    for name, window_length in (("gaussian", 1), ("gaussian", 4), ("laplacian", 2)):
        representation = Representation(name)
        encoders = [drawn(d, window_length, rng) for d in DICTIONARIES]
        work = [
            (clip, encoder, length)
            for level, length in zip(
                representation.levels(clips), representation.pooling_lengths, strict=True
            )
            for clip in level
            for encoder in encoders
        ]
        ways = {
            "ours": lambda w=work: [encode_and_pool(*one) for one in w],
            "step by step": lambda w=work: [step_by_step(*one) for one in w],
        }
        for one, another in zip(*(way() for way in ways.values()), strict=True):
            assert np.allclose(one, another, atol=1e-2 * np.abs(another).max())
        compare(
            f"encoding, four dictionaries: {name}, {window_length} frame(s)",
            ways,
            repeats=1 if tiny else 7,
            flop=sum(
                2.0 * frame_windows(clip, e.window_length, length).numel() * len(e)
                for clip, e, length in work
            ),
        )


if __name__ == "__main__":
    report(main)
