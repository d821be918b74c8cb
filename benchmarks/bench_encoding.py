"""Encoding as one convolution, as a matrix product of windows, and step by step.

A batch of 8 clips of 29 s (7 pooling windows of 128 frames each) and 500 means; the step-by-step
way is scikit-learn's PCA, then the dictionary, then the maximum.

One thread keeps the other work of a machine out of it:
``OMP_NUM_THREADS=1 python benchmarks/bench_encoding.py``.
"""

from __future__ import annotations

import numpy as np
import torch
from timing import compare

from multiscale.encoding import Encoder, encode_and_pool, fit_whitening, frame_windows

POOLING_LENGTH = 128


def by_product(level: torch.Tensor, encoder: Encoder) -> torch.Tensor:
    """The same features from a product with windows put side by side."""
    windows = frame_windows(level, encoder.window_length, POOLING_LENGTH)
    kernels = torch.as_tensor(encoder.weight).transpose(1, 2).flatten(1)
    return (windows @ kernels.T).amax(-2) + torch.as_tensor(encoder.bias)


def step_by_step(level: torch.Tensor, encoder: Encoder, whitening) -> np.ndarray:
    windows = frame_windows(level, encoder.window_length, POOLING_LENGTH)
    whitened = whitening.transform(windows.flatten(0, -2).numpy()).astype(np.float32)
    return (whitened @ encoder.means.T).reshape(*windows.shape[:-1], -1).max(axis=-2)


def main() -> None:
    rng = np.random.default_rng(0)
    # As correlated as music, of which 99 % lie in about 180 components of a frame.
    mixing = rng.standard_normal((200, 200)) * 0.995 ** np.arange(200)[:, None]
    frames = rng.standard_normal((8, 7 * POOLING_LENGTH + 1, 200)) @ mixing
    level = torch.tensor(frames[:, 1:] + frames[:, :-1], dtype=torch.float32)
    for window_length in (1, 2, 4):
        windows = frame_windows(level, window_length, POOLING_LENGTH).flatten(0, -2)
        whitening = fit_whitening(windows[:5000].numpy())
        means = rng.standard_normal((500, whitening.n_components_))
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        encoder = Encoder.from_parts(whitening, means.astype(np.float32), window_length)
        ways = {
            "one convolution (ours)": lambda e=encoder: encode_and_pool(level, e, POOLING_LENGTH),
            "windows x kernels": lambda e=encoder: by_product(level, e),
            "PCA.transform, dictionary, max": lambda e=encoder, w=whitening: step_by_step(
                level, e, w
            ),
        }
        results = [np.asarray(way()) for way in ways.values()]
        assert all(np.allclose(results[0], other, atol=1e-2) for other in results)
        n_components = whitening.n_components_
        compare(f"{window_length} frame(s), {n_components} components, 500 means", ways)


if __name__ == "__main__":
    main()
