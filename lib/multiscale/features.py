"""Multiscale features (§2-3): Fig. 1 at every level, concatenated; a scikit-learn transformer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from multiscale import config
from multiscale.config import (
    EXPLAINED_VARIANCE_RATIO,
    FIXED,
    N_LEVELS,
    PAPERS,
    POOLING_LENGTH,
    ParameterError,
    SpectrogramSettings,
)
from multiscale.encoding import Encoder, encode_and_pool, fit_whitening
from multiscale.identity import reading
from multiscale.kmeans import SphericalKMeans
from multiscale.representations import Clips, Representation

PARTS = ("components", "explained_variance", "mean", "means")
"""Arrays of a level's encoder that are saved; the rest is computed from them."""

OF_LEVELS = ("representation", "n_levels", "pooling_length", "kernel", "double_hop", "spectrogram")
"""Parameters that learners must have in common to share a pass over the audio: the fields of
:class:`~multiscale.representations.Representation`, in its order."""

OF_WHITENING = ("window_length", "explained_variance_ratio", "whiten", "whitening_damping")
"""Parameters that learners of one pass must have in common to share a whitening."""


class MultiscaleFeatures(TransformerMixin, BaseEstimator):
    """Learn features at several timescales from music audio, and extract them.

    Parameters
    ----------
    representation : {"laplacian", "gaussian", "multiresolution"}, default="laplacian"
        Multiscale representation (§3).
    window_length : int, default=1
        Frames per window: 1, 2 or 4 in the paper (§3.4).
    dictionary : int or {"pca", "mel", "mfcc"}, default=500
        Number of means of spherical K-means, or "pca" for the whitened components alone (§4.2).
        Baselines learn nothing: "mel" takes mel components as they are, "mfcc" the cepstrum.
    n_levels : int, default=6
        Number of timescales (§4.1).
    pooling_length : int, default=128
        Level-0 frames per pooling window, about 4 s (§4.1).
    pooling : {"max", "mean", "min", "var", "mean_std"}, default="max"
        How features are summarised over a pooling window (§2.3); "mean_std" gives two values each.
    explained_variance_ratio : float, default=0.99
        Share of the variance that whitening keeps (§2.1).
    whiten : bool, default=True
        False leaves the components their variance, to show what whitening is for (§2.1).
    whitening_damping : float, default=0.0
        Added to the variance of every component, in units of their mean: an option of ours, see
        :func:`~multiscale.encoding.fit_whitening`.
    assign : {"abs", "signed"}, default="abs"
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
    spectrogram : SpectrogramSettings
        Of level 0; by default the paper's.
    batch_size : int, default=8
        Clips worked on at once.
    device : str, default="auto"
        Torch device; "auto" takes a GPU where there is one.
    random_state : int, RandomState or None, default=0
        Of the windows sampled and of K-means.

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
        representation: config.RepresentationName = "laplacian",
        window_length: config.Count = 1,
        dictionary: config.Dictionary = 500,
        *,
        n_levels: config.Count = N_LEVELS,
        pooling_length: config.Count = POOLING_LENGTH,
        pooling: config.Pooling = "max",
        explained_variance_ratio: config.Share = EXPLAINED_VARIANCE_RATIO,
        whiten: config.Flag = True,
        whitening_damping: config.NotNegative = 0.0,
        assign: config.Assignment = "abs",
        kernel: config.KernelName = "binomial",
        double_hop: config.Flag = False,
        n_windows: config.Count = 50_000,
        n_iter: config.Natural = 20,
        clip_summary: Literal["mean", "max"] | None = None,
        spectrogram: SpectrogramSettings = PAPERS,
        batch_size: config.Count = 8,
        device: config.Device = "auto",
        random_state: config.RandomState = 0,
    ):
        self.representation = representation
        self.window_length = window_length
        self.dictionary = dictionary
        self.n_levels = n_levels
        self.pooling_length = pooling_length
        self.pooling = pooling
        self.explained_variance_ratio = explained_variance_ratio
        self.whiten = whiten
        self.whitening_damping = whitening_damping
        self.assign = assign
        self.kernel = kernel
        self.double_hop = double_hop
        self.n_windows = n_windows
        self.n_iter = n_iter
        self.clip_summary = clip_summary
        self.spectrogram = spectrogram
        self.batch_size = batch_size
        self.device = device
        self.random_state = random_state

    def fit(self, X: Clips, y=None) -> MultiscaleFeatures:
        """Learn whitening and dictionary of every level.

        Parameters
        ----------
        X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
            Audio of equal lengths; a :class:`~multiscale.datasets.ClipDataset` will do.
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
        self.check_windows(X)
        seed = config.as_seed(self.random_state)
        windows = self._sample(X, [self.window_length], seed)[self.window_length]  # of every level
        whitenings = self._fit_whitenings(windows)
        return self._learn_dictionaries(windows, whitenings, seed)

    def transform(self, X: Clips) -> np.ndarray:
        """Extract the features of clips.

        Parameters
        ----------
        X : array of shape (n_clips, n_samples), or sequence of arrays of shape (n_samples,)
            Audio of equal lengths.

        Returns
        -------
        ndarray of shape (n_clips, n_pooling_windows, n_features), float32
            Level 0 first; of shape (n_clips, n_features) with a ``clip_summary``.

        Raises
        ------
        ParameterError, AudioError
            If there are no clips, or as :meth:`fit`.
        """
        return transform_many([self], X)[0]

    def _sample(
        self, X: Clips, window_lengths: Iterable[int], seed: int
    ) -> dict[int, list[np.ndarray]]:
        """Windows of every level (§2.1, §3), by window length."""
        options = (self.n_windows, seed, self.batch_size, self.device)
        return self._representation.sample(X, window_lengths, *options)

    def _fit_whitenings(self, samples: list[np.ndarray]) -> list[PCA]:
        """The whitening of every level (§2.1)."""
        share, damping = self.explained_variance_ratio, self.whitening_damping
        return [fit_whitening(w, share, whiten=self.whiten, damping=damping) for w in samples]

    def _learn_dictionaries(
        self, samples: list[np.ndarray], whitenings: list[PCA], seed: int
    ) -> MultiscaleFeatures:
        """Learn the dictionary of every level from its whitened windows (§2.2)."""
        encoders = []
        seeds = np.random.SeedSequence(seed).generate_state(self.n_levels)
        for windows, whitening, seed in zip(samples, whitenings, seeds, strict=True):
            if self.dictionary in FIXED:
                encoders.append(Encoder.fixed(self.dictionary, windows.shape[1]))
                continue
            means = None  # of PCA, which has its components alone
            if self.dictionary != "pca":
                kmeans = SphericalKMeans(
                    self.dictionary,
                    n_iter=self.n_iter,
                    assign=self.assign,
                    random_state=int(seed),
                    device=self.device,
                )
                means = kmeans.fit(whitening.transform(windows).astype(np.float32)).means_
            encoders.append(Encoder.from_parts(whitening, means, self.window_length))
        self.encoders_ = encoders  # not before all have been learned
        self.representation_ = self._representation
        self.sampled_ = [len(windows) for windows in samples]
        return self

    def _levels(self, X: Clips) -> Iterator[list[torch.Tensor]]:
        """The levels of clips (§3), a batch at a time."""
        representation = self.representation_
        batches = representation.batches(X, "features", self.batch_size, self.device)
        return map(representation.levels, batches)

    def _encode_and_pool(self, levels: list[torch.Tensor]) -> np.ndarray:
        """Encode and pool every level of a batch of clips, and concatenate (Fig. 1)."""
        lengths = self.representation_.pooling_lengths
        # Clip by clip: the code of one, which is large, stays in the cache.
        pooled = [
            torch.stack([encode_and_pool(clip, encoder, length, self.pooling) for clip in level])
            for level, encoder, length in zip(levels, self.encoders_, lengths, strict=True)
        ]
        features = torch.cat(pooled, dim=-1).cpu().numpy()  # (n_clips, n_pooling_windows, ...)
        return features if self.clip_summary is None else getattr(features, self.clip_summary)(1)

    @property
    def _representation(self) -> Representation:
        return Representation(*(getattr(self, name) for name in OF_LEVELS))

    @property
    def n_features_(self) -> list[int]:
        """Features of each level; PCA keeps a different number at each."""
        per_kernel = 2 if self.pooling == "mean_std" else 1
        return [per_kernel * len(encoder) for encoder in self.encoders_]

    def save(self, path: str | Path) -> None:
        """Write parameters and dictionaries to one safetensors file, without pickle.

        Parameters of the levels are those that it was fitted with, whatever has been set since.
        """
        check_is_fitted(self)
        of_levels = dict(zip(OF_LEVELS, vars(self.representation_).values(), strict=True))
        parameters = {
            **self.get_params(deep=False),
            **of_levels,
            "window_length": self.encoders_[0].window_length,
            "device": str(self.device),
        }
        arrays = {
            f"level{level}.{part}": np.ascontiguousarray(getattr(encoder, part))
            for level, encoder in enumerate(self.encoders_)
            for part in PARTS
            if getattr(encoder, part) is not None
        }
        told = {"parameters": parameters, "sampled": self.sampled_}
        metadata = {name: json.dumps(value, default=_plain) for name, value in told.items()}
        with config.named(path, (SafetensorError,)):
            save_file(arrays, Path(path), metadata=metadata)

    @classmethod
    def load(cls, path: str | Path) -> MultiscaleFeatures:
        """Read what :meth:`save` wrote."""
        with reading(path, "MultiscaleFeatures.save") as file:
            metadata = file.metadata() or {}
            parameters, sampled = (json.loads(metadata[name]) for name in ("parameters", "sampled"))
            spectrogram = SpectrogramSettings(**parameters.pop("spectrogram"))
            features = cls(**parameters, spectrogram=spectrogram)
            levels = [{"means": None} for _ in range(features.n_levels)]
            for name in file.keys():  # noqa: SIM118  (no dict)
                level, part = name.removeprefix("level").split(".")
                levels[int(level)][part] = file.get_tensor(name)
            length = features.window_length
            features.encoders_ = [Encoder(**parts, window_length=length) for parts in levels]
            features.representation_ = features._representation
            features.sampled_ = sampled
        return features

    def _check_parameters(self) -> None:
        config.check_parameters(MultiscaleFeatures, self.get_params(deep=False))

    def check_windows(self, X: Clips) -> None:
        """Refuse parameters out of range, and more means than there are windows to learn from."""
        self._check_parameters()
        representation = self._representation
        representation.check(self.window_length, self.dictionary)
        usable = min(self.n_windows, representation.n_windows(X, self.window_length))
        if not isinstance(self.dictionary, str) and self.dictionary > usable:
            raise ParameterError(
                f"dictionary: expected at most {usable} means (level {self.n_levels - 1} has "
                f"that many windows to learn from), got {self.dictionary}"
            )


def fit_many(learners: Sequence[MultiscaleFeatures], X: Clips) -> list[MultiscaleFeatures]:
    """Fit learners of one representation in one pass; each ends as if fitted alone."""
    _check_common(learners, *OF_LEVELS, "n_windows", "random_state")
    for learner in learners:
        learner.check_windows(X)
    seed = config.as_seed(learners[0].random_state)
    samples = learners[0]._sample(X, {learner.window_length for learner in learners}, seed)
    whitenings = {}  # of learners that whiten alike
    for learner in learners:
        windows = samples[learner.window_length]
        alike = tuple(getattr(learner, name) for name in OF_WHITENING)
        if alike not in whitenings:
            whitenings[alike] = learner._fit_whitenings(windows)
        learner._learn_dictionaries(windows, whitenings[alike], seed)
    return list(learners)


def transform_many(learners: Sequence[MultiscaleFeatures], X: Clips) -> list[np.ndarray]:
    """Features of learners of one representation, extracted in one pass over the audio."""
    for learner in learners:
        check_is_fitted(learner)
        learner._check_parameters()
    _check_common([learner.representation_ for learner in learners], "name", *OF_LEVELS[1:])
    batches = [
        [learner._encode_and_pool(levels) for learner in learners]
        for levels in learners[0]._levels(X)
    ]
    return [np.concatenate(features) for features in zip(*batches, strict=True)]


def _plain(value: SpectrogramSettings | np.generic) -> dict | int | float:
    """For JSON: settings, and numpy's numbers, as a grid search may give."""
    return value.model_dump() if isinstance(value, SpectrogramSettings) else value.item()


def _check_common(learners: Sequence[MultiscaleFeatures], *names: str) -> None:
    for name in names:
        values = {repr(getattr(learner, name)) for learner in learners}
        if len(values) != 1:
            raise ParameterError(
                f"{name}: expected the same for all learners, got {', '.join(sorted(values))}"
            )
