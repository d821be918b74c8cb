"""Multiscale time-frequency representations (§3.1-3.3), each a list of levels, finest first.

========================  =======================  =======================
representation            level ``l`` made from    frames at level ``l``
========================  =======================  =======================
multiresolution (§3.1)    audio, window 2^l times  as many as at level 0
Gaussian pyramid (§3.2)   level ``l - 1``          half as many as below
Laplacian pyramid (§3.3)  Gaussian l and l + 1     half as many as below
========================  =======================  =======================

All work on time-first arrays, ``(..., n_frames, n_mels)``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch

from multiscale import audio, config
from multiscale.config import (
    N_LEVELS,
    PAPERS,
    POOLING_LENGTH,
    AudioError,
    ParameterError,
    SpectrogramSettings,
    check_architecture,
    select_device,
)
from multiscale.encoding import sample_frames
from multiscale.progress import progress
from multiscale.spectrogram import as_signal, log_mel

Clips = Sequence[np.ndarray] | np.ndarray
"""Audio of equal lengths: shape (n_clips, n_samples), or a sequence of shapes (n_samples,)."""

Kernel = tuple[float, ...]

KERNELS = {
    "binomial": (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16),
    "triangle": (1 / 4, 2 / 4, 1 / 4),
    "wide": (1 / 64, 6 / 64, 15 / 64, 20 / 64, 15 / 64, 6 / 64, 1 / 64),
}
"""Smoothing kernels; the paper does not name its own. Ours is the binomial one, that of Burt &
Adelson (1983) with a = 0.375."""

KERNEL = KERNELS["binomial"]


def multiresolution(
    signal: np.ndarray | torch.Tensor,
    n_levels: config.Count = N_LEVELS,
    settings: SpectrogramSettings = PAPERS,
    double_hop: bool = False,
) -> list[torch.Tensor]:
    """Mel-spectrograms (..., n_frames, n_mels) whose window doubles; the hop need not (§3.1)."""
    config.check_parameters(multiresolution, {"n_levels": n_levels})
    return [resolution(signal, level, settings, double_hop) for level in range(n_levels)]


def resolution(
    signal: np.ndarray | torch.Tensor,
    level: int,
    settings: SpectrogramSettings = PAPERS,
    double_hop: bool = False,
    chosen: np.ndarray | None = None,
) -> torch.Tensor:
    """One level of :func:`multiresolution`: all of its frames, or those chosen."""
    hop = settings.hop_length * (2**level if double_hop else 1)
    settings = settings.model_copy(update={"hop_length": hop})
    return log_mel(signal, settings, settings.n_fft * 2**level, chosen)


def gaussian_pyramid(
    spectrogram: np.ndarray | torch.Tensor,
    n_levels: config.Count = N_LEVELS,
    kernel: Kernel = KERNEL,
) -> list[torch.Tensor]:
    """Each level is the one below, smoothed and subsampled by 2 in time (§3.2)."""
    config.check_parameters(gaussian_pyramid, {"n_levels": n_levels})
    levels = [torch.as_tensor(spectrogram, dtype=torch.float32)]
    n_frames, too_few = levels[0].shape[-2], 2 ** (n_levels - 2)
    if n_frames <= too_few:
        raise ParameterError(
            f"n_levels: expected more than {too_few} frames for {n_levels} levels, got {n_frames}"
        )
    for _ in range(n_levels - 1):
        levels.append(downsample(levels[-1], kernel))
    return levels


def laplacian_pyramid(
    spectrogram: np.ndarray | torch.Tensor, n_levels: int = N_LEVELS, kernel: Kernel = KERNEL
) -> list[torch.Tensor]:
    """Each Gaussian level minus the upsampled level above it; the top stays (§3.3)."""
    return difference(gaussian_pyramid(spectrogram, n_levels, kernel), kernel)


def difference(gaussian: list[torch.Tensor], kernel: Kernel = KERNEL) -> list[torch.Tensor]:
    """Laplacian levels of a Gaussian pyramid."""
    finer = [
        level - upsample(above, level.shape[-2], kernel) for level, above in pairwise(gaussian)
    ]
    return [*finer, gaussian[-1]]


def reconstruct(laplacian: list[torch.Tensor], kernel: Kernel = KERNEL) -> list[torch.Tensor]:
    """Gaussian levels of a Laplacian pyramid: the inverse of :func:`difference`."""
    gaussian = [laplacian[-1]]
    for level in reversed(laplacian[:-1]):
        gaussian.insert(0, level + upsample(gaussian[0], level.shape[-2], kernel))
    return gaussian


def downsample(level: torch.Tensor, kernel: Kernel = KERNEL) -> torch.Tensor:
    """Smooth with a kernel of odd length and keep every second frame; the ends are repeated."""
    n_frames = level.shape[-2]
    padded = _repeat_ends(level, len(kernel) // 2)
    return sum(weight * padded[..., k : k + n_frames : 2, :] for k, weight in enumerate(kernel))


def upsample(level: torch.Tensor, n_frames: int, kernel: Kernel = KERNEL) -> torch.Tensor:
    """Twice the frames, or one less: zeros put between them, smoothed with twice the kernel."""
    reach = len(kernel) // 2
    padded = _repeat_ends(level, reach)
    spread = torch.stack([padded, torch.zeros_like(padded)], dim=-2).flatten(-3, -2)
    spread = spread[..., reach:, :]  # frame 0 of the level now stands in the kernel's middle
    return sum(2 * weight * spread[..., k : k + n_frames, :] for k, weight in enumerate(kernel))


def _repeat_ends(level: torch.Tensor, n: int) -> torch.Tensor:
    first, last = level[..., :1, :], level[..., -1:, :]
    return torch.cat([first] * n + [level] + [last] * n, dim=-2)


def pooling_lengths(
    representation: str, n_levels: int, pooling_length: int, double_hop: bool = False
) -> list[int]:
    """Frames of a pooling window at each level: halved as often as frames are (§3.2)."""
    halving = representation != "multiresolution" or double_hop
    return [pooling_length // 2 ** (level if halving else 0) for level in range(n_levels)]


@dataclass(frozen=True)
class Representation:
    """A multiscale representation: the levels of clips, and windows sampled from them.

    The fields are those of :class:`~multiscale.features.MultiscaleFeatures`; a value out of range
    is a ParameterError.
    """

    name: config.RepresentationName = "laplacian"
    n_levels: config.Count = N_LEVELS
    pooling_length: config.Count = POOLING_LENGTH
    kernel: config.KernelName = "binomial"
    double_hop: config.Flag = False
    spectrogram: SpectrogramSettings = PAPERS

    def __post_init__(self) -> None:
        config.check_parameters(Representation, vars(self))
        self.check()

    def check(self, window_length: int = 1, dictionary: int | str = "pca") -> None:
        """Refuse windows, or a dictionary, that cannot be made of it."""
        shape = (self.n_levels, self.pooling_length, self.double_hop)
        check_architecture(self.name, window_length, dictionary, *shape)

    @property
    def pooling_lengths(self) -> list[int]:
        """Frames of a pooling window at each level."""
        return pooling_lengths(self.name, self.n_levels, self.pooling_length, self.double_hop)

    @property
    def min_samples(self) -> int:
        """Samples of the shortest clip that has a whole pooling window."""
        return (self.pooling_length - 1) * self.spectrogram.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Level-0 frames of a clip of so many samples."""
        return 1 + n_samples // self.spectrogram.hop_length

    def n_pooling_windows(self, n_samples: int) -> int:
        """Whole pooling windows in such a clip; an incomplete last one is dropped (our choice)."""
        return self.n_frames(n_samples) // self.pooling_length

    def n_windows(self, X: Clips, window_length: int) -> int:
        """Windows there are at the coarsest level, if all clips are as long as the first."""
        X = as_clips(X)
        n_samples = len(audio.check(X[0], self.min_samples, name="clip 0"))
        n_positions = self.pooling_lengths[-1] - window_length + 1
        return len(X) * self.n_pooling_windows(n_samples) * n_positions

    def levels(self, clips: np.ndarray | torch.Tensor) -> list[torch.Tensor]:
        """Levels (..., n_frames, n_mels) of one clip or several, cut to whole pooling windows."""
        clips = as_signal(clips)
        n_whole = self.n_pooling_windows(clips.shape[-1])
        if n_whole == 0:
            raise ParameterError(
                f"pooling_length: expected at most {self.n_frames(clips.shape[-1])}, "
                f"the frames there are, got {self.pooling_length}"
            )
        if self.name == "multiresolution":
            levels = multiresolution(clips, self.n_levels, self.spectrogram, self.double_hop)
            lengths = zip(levels, self.pooling_lengths, strict=True)
            return [level[..., : n_whole * length, :] for level, length in lengths]
        spectrogram = log_mel(clips, self.spectrogram)[..., : n_whole * self.pooling_length, :]
        pyramid = gaussian_pyramid if self.name == "gaussian" else laplacian_pyramid
        return pyramid(spectrogram, self.n_levels, KERNELS[self.kernel])

    def sample(
        self,
        X: Clips,
        window_lengths: Iterable[int],
        n_windows: int,
        random_state: int = 0,
        batch_size: int = 8,
        device: str = "auto",
    ) -> dict[int, list[np.ndarray]]:
        """Windows to learn from (§2.1), drawn from all clips in one pass over the audio.

        Window length -> for every level (n_windows or fewer, window_length * n_mels) float32, an
        equal share from every clip. The draw depends on ``random_state`` alone: neither on the
        size of a batch, nor on the device, nor on the other window lengths.
        """
        X = as_clips(X)
        # A stream for each window length, so that one is drawn alike in any company.
        streams = {w: np.random.default_rng([random_state, w]) for w in sorted(window_lengths)}
        n_samples = len(audio.check(X[0], self.min_samples, name="clip 0"))
        n_pools = len(X) * self.n_pooling_windows(n_samples)
        # Laid in place: small arrays that stay, among large ones that come and go, would break
        # memory into pieces, ever more of them.
        drawn, n_drawn, levels = {}, Counter(), range(self.n_levels)
        for (level, length), w in product(enumerate(self.pooling_lengths), streams):
            most = min(n_windows, n_pools * max(0, length - w + 1))
            drawn[w, level] = np.empty((most, w * self.spectrogram.n_mels), np.float32)
        shares = iter(np.diff(np.arange(len(X) + 1) * n_windows // len(X)))
        for clips in self.batches(X, "windows", batch_size, device):
            n_pooling_windows = self.n_pooling_windows(clips.shape[1])
            several = [clips] if self.name == "multiresolution" else self.levels(clips)
            # Clip by clip, so that the draw does not depend on the size of a batch.
            for source, share in zip(zip(*several, strict=True), shares, strict=False):
                for (w, rng), level in product(streams.items(), levels):
                    length = self.pooling_lengths[level]
                    frames = sample_frames(n_pooling_windows * length, w, length, share, rng)
                    place = slice(n_drawn[w, level], n_drawn[w, level] + len(frames))
                    drawn[w, level][place] = self._windows(source, level, frames)
                    n_drawn[w, level] = place.stop
        return {w: [drawn[w, level][: n_drawn[w, level]] for level in levels] for w in streams}

    def _windows(
        self, source: Sequence[torch.Tensor], level: int, frames: np.ndarray
    ) -> np.ndarray:
        """Windows made of those frames of a level, from a clip's levels or from its audio."""
        if len(frames) == 0:
            return np.empty((0, frames.shape[1] * self.spectrogram.n_mels), np.float32)
        if self.name == "multiresolution":
            # Few of the many frames are wanted, and those of long windows take long.
            chosen = resolution(source[0], level, self.spectrogram, self.double_hop, frames.ravel())
        else:
            chosen = source[level][torch.as_tensor(frames.ravel(), device=source[level].device)]
        return chosen.reshape(len(frames), -1).cpu().numpy()

    def batches(self, X: Clips, what: str, batch_size: int, device: str) -> Iterator[torch.Tensor]:
        """Tensors (n_clips, n_samples) of at most ``batch_size`` clips, checked, equally long."""
        device = select_device(device)
        X = as_clips(X)
        n_samples = None
        for start in progress(range(0, len(X), batch_size), desc=f"{self.name} {what}"):
            batch = []
            for index in range(start, min(start + batch_size, len(X))):
                clip = audio.check(X[index], self.min_samples, name=f"clip {index}")
                n_samples = n_samples or len(clip)
                if len(clip) != n_samples:
                    raise AudioError(
                        f"clip {index}: expected {n_samples} samples, as clip 0 has, "
                        f"got {len(clip)}"
                    )
                batch.append(clip)
            yield torch.as_tensor(np.stack(batch), device=device)


def as_clips(X: Clips) -> Clips:
    """Clips that can be counted and taken by position; what cannot, or is none, is refused."""
    X = X.to_numpy() if hasattr(X, "iloc") else X  # pandas would go by its labels
    try:
        n_clips = len(X)
    except TypeError:
        n_clips = None
    if n_clips is None or hasattr(X, "keys") or not hasattr(X, "__getitem__"):
        raise ParameterError(f"X: expected a sequence of clips, got {type(X).__name__}")
    if n_clips == 0:
        raise ParameterError("X: expected at least one clip, got none")
    return X
