"""Multiscale features (§2-3): Fig. 1 at every level, concatenated; a scikit-learn transformer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from multiscale import audio
from multiscale.config import (
    AudioError,
    ParameterError,
    SpectrogramSettings,
    check_architecture,
    check_counts,
    select_device,
)
from multiscale.encoding import POOLINGS, Encoder, Stack, encode, fit_whitening
from multiscale.kmeans import SphericalKMeans
from multiscale.scales import KERNELS, make_levels, pooling_lengths, resolution
from multiscale.windows import pooling_windows, sample_places, windows_at

PARTS = ("components", "variance", "mean", "means")
"""Arrays of a level's encoder that are saved; the rest is computed from them."""


class MultiscaleFeatures(TransformerMixin, BaseEstimator):
    """Learn features at several timescales from music audio, and extract them.

    Parameters
    ----------
    scale : {"laplacian", "gaussian", "multiresolution"}, default="laplacian"
        Multiscale representation (§3).
    window_length : int, default=1
        Frames per window: 1, 2 or 4 in the paper (§3.4).
    dictionary : int or "pca", default=500
        Number of means of spherical K-means, or "pca" for the whitened components alone (§4.2).
    n_levels : int, default=6
        Number of timescales (§4.1).
    pooling_length : int, default=128
        Level-0 frames per pooling window, about 4 s (§4.1).
    pooling : {"max", "mean", "min", "var"}, default="max"
        How features are summarised over a pooling window (§2.3).
    variance : float, default=0.99
        Share of the variance that whitening keeps (§2.1).
    whiten : bool, default=True
        False leaves the components their variance, to show what whitening is for (§2.1).
    signed : bool, default=False
        How K-means assigns samples: see :class:`~multiscale.kmeans.SphericalKMeans`.
    kernel : {"binomial", "triangle", "wide"}, default="binomial"
        Smoothing kernel of the pyramids (open in the paper).
    double_hop : bool, default=False
        Whether the hop of the multiresolution spectrogram doubles with its window (§3.1).
    n_windows : int, default=50000
        Windows sampled per level to learn from (open in the paper).
    n_iter : int, default=20
        Iterations of spherical K-means (open in the paper).
    clip_summary : {None, "mean", "max"}, default=None
        None keeps every pooling window of a clip, as §4.2 trains on; "mean" or "max" gives one
        row per clip, for any scikit-learn classifier that follows.
    spectrogram : SpectrogramSettings, optional
        Of level 0; by default the paper's.
    batch_size : int, default=8
        Clips worked on at once.
    device : str, default="auto"
        Torch device; "auto" takes a GPU where there is one.
    random_state : int, default=0
        Seed of the windows sampled and of K-means.
    progress : bool, default=False
        Whether to show a progress bar.

    Attributes
    ----------
    encoders_ : list of Encoder
        One per level.
    n_features_ : list of int
        Features of each level; PCA keeps a different number at each.
    sampled_ : list of int
        Windows that each level was learned from.

    Examples
    --------
    >>> import numpy as np
    >>> clips = np.random.default_rng(0).standard_normal((4, 16_000 * 9)).astype("float32")
    >>> features = MultiscaleFeatures(dictionary=20, n_iter=2).fit(clips).transform(clips)
    >>> features.shape  # clips, pooling windows, levels x means
    (4, 2, 120)
    """

    def __init__(
        self,
        scale: str = "laplacian",
        window_length: int = 1,
        dictionary: int | str = 500,
        *,
        n_levels: int = 6,
        pooling_length: int = 128,
        pooling: str = "max",
        variance: float = 0.99,
        whiten: bool = True,
        signed: bool = False,
        kernel: str = "binomial",
        double_hop: bool = False,
        n_windows: int = 50_000,
        n_iter: int = 20,
        clip_summary: str | None = None,
        spectrogram: SpectrogramSettings | None = None,
        batch_size: int = 8,
        device: str = "auto",
        random_state: int = 0,
        progress: bool = False,
    ):
        self.scale = scale
        self.window_length = window_length
        self.dictionary = dictionary
        self.n_levels = n_levels
        self.pooling_length = pooling_length
        self.pooling = pooling
        self.variance = variance
        self.whiten = whiten
        self.signed = signed
        self.kernel = kernel
        self.double_hop = double_hop
        self.n_windows = n_windows
        self.n_iter = n_iter
        self.clip_summary = clip_summary
        self.spectrogram = spectrogram
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Sequence[np.ndarray] | np.ndarray, y=None) -> MultiscaleFeatures:
        """Learn whitening and dictionary of every level.

        Parameters
        ----------
        X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
            Audio of the training clips, of equal lengths; a
            :class:`~multiscale.datasets.ClipDataset` will do.
        y : None
            Ignored: features are learned without labels.

        Returns
        -------
        MultiscaleFeatures
            Itself.

        Raises
        ------
        ParameterError
            If a parameter is out of range, or there are fewer windows than means.
        AudioError
            If a clip cannot be used, is shorter than a pooling window, or of another length.
        """
        fit_together([self], X)
        return self

    def transform(self, X: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Extract the features of clips.

        Parameters
        ----------
        X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
            Audio of equal lengths.

        Returns
        -------
        ndarray, float32
            Of shape (n_clips, n_pooling_windows, n_features), level 0 first; with a
            ``clip_summary``, of shape (n_clips, n_features).

        Raises
        ------
        ParameterError
            If there are no clips.
        AudioError
            If a clip cannot be used, is shorter than a pooling window, or of another length.
        """
        check_is_fitted(self)
        features = transform_together([self], X)[0]
        if self.clip_summary is None:
            return features
        return getattr(features, self.clip_summary)(axis=1)

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Names such as ``laplacian_l0_mean12``: scale, level, and mean or component."""
        check_is_fitted(self)
        unit = "component" if self.dictionary == "pca" else "mean"
        return np.array(
            [
                f"{self.scale}_l{level}_{unit}{index}"
                for level, count in enumerate(self.n_features_)
                for index in range(count)
            ],
            dtype=object,
        )

    def save(self, path: str | Path) -> None:
        """Write parameters and dictionaries to one safetensors file, without pickle."""
        check_is_fitted(self)
        parameters = self.get_params(deep=False)
        if self.spectrogram is not None:
            parameters["spectrogram"] = self.spectrogram.model_dump()
        arrays = {
            f"level{level}.{part}": np.ascontiguousarray(getattr(encoder, part))
            for level, encoder in enumerate(self.encoders_)
            for part in PARTS
            if getattr(encoder, part) is not None
        }
        metadata = {"parameters": json.dumps(parameters, default=_plain)}
        metadata["sampled"] = json.dumps(self.sampled_)
        save_file(arrays, str(path), metadata=metadata)

    @classmethod
    def load(cls, path: str | Path) -> MultiscaleFeatures:
        """Read what :meth:`save` wrote."""
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
        if "parameters" not in metadata:
            raise ParameterError(f"{path}: expected what MultiscaleFeatures.save wrote")
        arrays = load_file(str(path))
        parameters = json.loads(metadata["parameters"])
        if parameters["spectrogram"] is not None:
            parameters["spectrogram"] = SpectrogramSettings(**parameters["spectrogram"])
        features = cls(**parameters)
        features.encoders_ = [
            Encoder(*(arrays.get(f"level{level}.{part}") for part in PARTS), features.window_length)
            for level in range(features.n_levels)
        ]
        features.sampled_ = json.loads(metadata["sampled"])
        features.n_features_ = [len(encoder) for encoder in features.encoders_]
        return features

    def _learn_dictionary(self, whitening: PCA, whitened: np.ndarray, seed: int) -> Encoder:
        if self.dictionary == "pca":
            return Encoder.from_parts(whitening, None, self.window_length)
        kmeans = SphericalKMeans(
            self.dictionary,
            n_iter=self.n_iter,
            signed=self.signed,
            random_state=seed,
            device=self.device,
        )
        return Encoder.from_parts(whitening, kmeans.fit(whitened).means_, self.window_length)

    def _pooling_lengths(self) -> list[int]:
        return pooling_lengths(self.scale, self.n_levels, self.pooling_length, self.double_hop)

    def _levels(self, X: Sequence[np.ndarray] | np.ndarray, what: str) -> Iterator[list]:
        """Representations of the clips, a batch at a time."""
        for batch in self._batches(X, what):
            yield make_levels(
                batch,
                self.scale,
                self.n_levels,
                self.spectrogram,
                self.pooling_length,
                self.kernel,
                self.double_hop,
            )

    def _takers(self, X: Sequence[np.ndarray] | np.ndarray) -> Iterator[Callable]:
        """For each clip, a function of level and places that gives the windows there."""
        if self.scale != "multiresolution":
            for levels in self._levels(X, "windows"):
                for clip in zip(*levels, strict=True):
                    yield lambda level, places, clip=clip: windows_at(clip[level], places)
            return
        # Few of the many frames are wanted, and those of long windows take long.
        for batch in self._batches(X, "windows"):
            for clip in batch:
                yield lambda level, places, clip=clip: resolution(
                    clip, level, self.spectrogram, self.double_hop, places.ravel()
                ).reshape(len(places), -1)

    def _batches(self, X: Sequence[np.ndarray] | np.ndarray, what: str) -> Iterator[torch.Tensor]:
        """Clips that have been checked, (n_clips, n_samples), some at a time."""
        settings = self.spectrogram or SpectrogramSettings()
        device = select_device(self.device)
        # The frame count is 1 + n_samples // hop, so this many samples fill a pooling window.
        least = (self.pooling_length - 1) * settings.hop_length
        n_samples = None
        starts = range(0, len(X), self.batch_size)
        for start in tqdm(starts, desc=f"{self.scale} {what}", disable=not self.progress):
            batch = []
            for index in range(start, min(start + self.batch_size, len(X))):
                clip = audio.check(X[index], least, name=f"clip {index}")
                n_samples = n_samples or len(clip)
                if len(clip) != n_samples:
                    raise AudioError(
                        f"clip {index}: expected {n_samples} samples, as clip 0 has, "
                        f"got {len(clip)}"
                    )
                batch.append(clip)
            yield torch.as_tensor(np.stack(batch), device=device)

    def _n_pooling_windows(self, clip: np.ndarray) -> int:
        settings = self.spectrogram or SpectrogramSettings()
        return (1 + len(clip) // settings.hop_length) // self.pooling_length

    def _check_parameters(self) -> None:
        check_architecture(
            self.scale, self.window_length, self.dictionary, self.n_levels, self.pooling_length
        )
        check_counts(n_windows=self.n_windows, n_iter=self.n_iter, batch_size=self.batch_size)
        select_device(self.device)
        if self.pooling not in POOLINGS:
            raise ParameterError(
                f"pooling: expected one of {', '.join(POOLINGS)}, got {self.pooling!r}"
            )
        if self.kernel not in KERNELS:
            raise ParameterError(
                f"kernel: expected one of {', '.join(KERNELS)}, got {self.kernel!r}"
            )
        if self.clip_summary not in (None, "mean", "max"):
            raise ParameterError(
                f"clip_summary: expected None, 'mean' or 'max', got {self.clip_summary!r}"
            )
        if not 0 < self.variance < 1:
            raise ParameterError(
                f"variance: expected a share between 0 and 1, got {self.variance!r}"
            )

    def check_windows(self, X: Sequence[np.ndarray] | np.ndarray) -> None:
        """Refuse more means than the coarsest level has windows, before any work.

        Parameters
        ----------
        X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
            As for :meth:`fit`; only the first clip is looked at, for its length.

        Raises
        ------
        ParameterError
            If there are fewer windows than means.
        """
        n_pools = self._n_pooling_windows(audio.check(X[0], name="clip 0"))
        coarsest = self._pooling_lengths()[-1]
        positions = coarsest - self.window_length + 1
        there = len(X) * n_pools * positions
        usable = min(self.n_windows, there)
        if self.dictionary != "pca" and self.dictionary > usable > 0:
            raise ParameterError(
                f"dictionary: expected at most {usable} means (level {self.n_levels - 1} has "
                f"that many windows to learn from), got {self.dictionary}"
            )


SHARED = (
    "scale",
    "n_levels",
    "pooling_length",
    "spectrogram",
    "kernel",
    "double_hop",
    "n_windows",
    "random_state",
)
"""Parameters that learners must have in common to be fitted in one pass over the audio."""


def fit_together(
    learners: Sequence[MultiscaleFeatures], X: Sequence[np.ndarray] | np.ndarray
) -> None:
    """Fit several transformers in one pass over the audio.

    Parameters
    ----------
    learners : sequence of MultiscaleFeatures
        That differ in window length, dictionary, whitening or pooling only; those of one window
        length share their samples and their PCA. Each ends as if fitted alone.
    X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
        Audio of the training clips.

    Raises
    ------
    ParameterError, AudioError
        As :meth:`MultiscaleFeatures.fit`; also if the learners have not enough in common.
    """
    _check_shared(learners)
    for learner in learners:
        learner._check_parameters()
        _check_any(X)
        learner.check_windows(X)
        learner.encoders_, learner.sampled_ = [], []
    first = learners[0]
    seeds = np.random.SeedSequence(first.random_state).generate_state(first.n_levels)
    for length, levels in _sample(learners, X).items():
        group = [learner for learner in learners if learner.window_length == length]
        for level, seed in enumerate(seeds):
            windows, levels[level] = levels[level], None  # let go of them when done
            _learn_level(group, windows, int(seed))
    for learner in learners:
        learner.n_features_ = [len(encoder) for encoder in learner.encoders_]


def transform_together(
    learners: Sequence[MultiscaleFeatures], X: Sequence[np.ndarray] | np.ndarray
) -> list[np.ndarray]:
    """Extract the features of several transformers in one pass over the audio.

    Parameters
    ----------
    learners : sequence of MultiscaleFeatures
        Fitted, of one representation; those of one window length share one convolution.
    X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
        Audio of equal lengths.

    Returns
    -------
    list of ndarray of shape (n_clips, n_pooling_windows, n_features), float32
        One per learner, level 0 first.

    Raises
    ------
    ParameterError, AudioError
        As :meth:`MultiscaleFeatures.transform`; also if the learners have not enough in common.
    """
    _check_shared(learners)
    _check_any(X)
    pooled: list[list[np.ndarray]] = [[] for _ in learners]
    stacks = _stacks(learners)
    for levels in learners[0]._levels(X, "features"):
        parts = _encode_levels(learners, stacks, levels)
        for store, by_level in zip(pooled, parts, strict=True):
            store.append(torch.cat(by_level, dim=-1).cpu().numpy())
    return [np.concatenate(store) for store in pooled]


def _encode_levels(
    learners: Sequence[MultiscaleFeatures], stacks: dict[int, list[Stack]], levels: list
) -> list[list[torch.Tensor]]:
    """Pooled features by learner and level, each level encoded once per window length."""
    parts: list[list[torch.Tensor]] = [[] for _ in learners]
    lengths = learners[0]._pooling_lengths()
    for window_length, by_level in stacks.items():
        group = [i for i, learner in enumerate(learners) if learner.window_length == window_length]
        for level, (frames, length) in enumerate(zip(levels, lengths, strict=True)):
            sizes = [learners[i].n_features_[level] for i in group]
            pooled: list[list[torch.Tensor]] = [[] for _ in group]
            for clip in pooling_windows(frames, length):
                # The code of one clip at a time, which is large, but not for the cache.
                code = encode(clip, by_level[level]).split(sizes, dim=-2)
                for features, i, of_clips in zip(code, group, pooled, strict=True):
                    of_clips.append(POOLINGS[learners[i].pooling](features))
            for i, of_clips in zip(group, pooled, strict=True):
                parts[i].append(torch.stack(of_clips))
    return parts


def _stacks(learners: Sequence[MultiscaleFeatures]) -> dict[int, list[Stack]]:
    """Window length -> kernels of all its learners, by level."""
    return {
        length: [
            Stack.of([x.encoders_[level] for x in learners if x.window_length == length])
            for level in range(learners[0].n_levels)
        ]
        for length in sorted({learner.window_length for learner in learners})
    }


def _learn_level(group: list[MultiscaleFeatures], windows: np.ndarray, seed: int) -> None:
    """Whiten the windows of a level once for each kind of whitening, and learn dictionaries."""
    for variance, whiten in sorted({(x.variance, x.whiten) for x in group}):
        whitening = fit_whitening(windows, variance, whiten=whiten)
        whitened = whitening.transform(windows).astype(np.float32)
        for learner in group:
            if (learner.variance, learner.whiten) == (variance, whiten):
                learner.encoders_.append(learner._learn_dictionary(whitening, whitened, seed))
                learner.sampled_.append(len(windows))


def _sample(
    learners: Sequence[MultiscaleFeatures], X: Sequence[np.ndarray] | np.ndarray
) -> dict[int, list]:
    """Window length -> windows of every level, an equal share from every clip."""
    first = learners[0]
    shares = np.diff(np.arange(len(X) + 1) * first.n_windows // len(X))
    lengths = first._pooling_lengths()
    # A stream for each window length, so that a learner sees the same windows in any company.
    streams = {
        x.window_length: np.random.default_rng([first.random_state, x.window_length])
        for x in learners
    }
    sampled = {window_length: [[] for _ in lengths] for window_length in sorted(streams)}
    n_pools = first._n_pooling_windows(X[0])
    # Clip by clip, so that the windows drawn do not depend on the size of a batch.
    for take, share in zip(first._takers(X), shares, strict=True):
        for window_length, by_level in sampled.items():
            rng = streams[window_length]
            for level, (length, windows) in enumerate(zip(lengths, by_level, strict=True)):
                places = sample_places(n_pools * length, window_length, length, share, rng)
                windows.append(take(level, places).cpu().numpy())
    return {
        window_length: [np.concatenate(windows) for windows in by_level]
        for window_length, by_level in sampled.items()
    }


def _check_shared(learners: Sequence[MultiscaleFeatures]) -> None:
    for name in SHARED:
        values = {repr(getattr(learner, name)) for learner in learners}
        if len(values) != 1:
            raise ParameterError(
                f"{name}: expected the same for all learners, got {', '.join(sorted(values))}"
            )


def _check_any(X: Sequence[np.ndarray] | np.ndarray) -> None:
    if len(X) == 0:
        raise ParameterError("X: expected at least one clip, got none")


def _plain(number: np.generic) -> int | float:
    """A numpy number, as a grid search may give, as one of Python's."""
    return number.item()
