"""The paper's numbers and settings, the errors that guard them, the device and the data home."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from numbers import Integral
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

RepresentationName = Literal["multiresolution", "gaussian", "laplacian"]
Dictionary = Literal["pca", "mel", "mfcc"] | Annotated[int, Field(ge=1)]

SAMPLE_RATE = 16_000
"""Hz (§4.1)."""

N_LEVELS = 6
"""Timescales (§4.1)."""

POOLING_LENGTH = 128
"""Level-0 frames per pooling window, about 4 s (§4.1)."""

EXPLAINED_VARIANCE_RATIO = 0.99
"""Share of the variance that whitening keeps (§2.1)."""

REPRESENTATIONS = ("multiresolution", "gaussian", "laplacian")
"""The three multiscale representations of §3."""

WINDOW_LENGTHS = {"multiresolution": (1,), "gaussian": (1, 2, 4), "laplacian": (1, 2, 4)}
"""Frames per window that §4.2 evaluates, by representation."""

APPROACHES = tuple((name, length) for name in REPRESENTATIONS for length in WINDOW_LENGTHS[name])
"""The seven multiscale approaches of §4.2: a representation, and frames per window."""

DICTIONARIES = ("pca", 200, 500, 1000)
"""The four feature learning setups of §4.2: PCA whitening alone, or that many means."""

FIXED = ("mel", "mfcc")
"""Dictionaries that are not learned, for baselines: mel components, or cepstral coefficients."""


class ParameterError(ValueError):
    """A setting or parameter that cannot work; says what was expected and what was got."""

    def __str__(self) -> str:
        """All complaints, where there are several."""
        return "; ".join(self.args)


class AudioError(ValueError):
    """An audio file or signal that cannot be used; names the file where there is one."""


class Settings(BaseModel):
    """Frozen settings that refuse unknown fields, with one ParameterError for all complaints."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, /, **values):
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ParameterError(*_complaints(error)) from None


def _complaints(error: ValidationError) -> Iterator[str]:
    """Pydantic's complaints in our words, those of settings within settings under their path."""
    for complaint in error.errors():
        where = ".".join(str(part) for part in complaint["loc"])
        cause = complaint.get("ctx", {}).get("error")
        if isinstance(cause, ParameterError):
            yield from (f"{where}.{one}" if where else one for one in cause.args)
        else:
            yield f"{where}: {complaint['msg'].lower()}, got {complaint['input']!r}"


def validated(model: type[Settings], values: dict, where: str) -> Settings:
    """Settings from values that were read, with where they come from in the complaints."""
    try:
        return model(**{str(name): value for name, value in values.items()})
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None


class SpectrogramSettings(Settings):
    """Log-mel spectrogram of §4.1; what the paper leaves open is in the decision register."""

    sample_rate: int = Field(SAMPLE_RATE, ge=1000, description="Hz (§4.1)")
    n_fft: int = Field(1024, ge=16, description="window at level 0, samples: 64 ms (§4.1)")
    hop_length: int = Field(512, ge=1, description="hop, samples: 32 ms (§4.1)")
    n_mels: int = Field(200, ge=2, description="mel components (§4.1)")
    fmin: float = Field(0.0, ge=0, description="lowest mel edge, Hz (open)")
    fmax: float | None = Field(None, gt=0, description="highest mel edge, Hz; None: Nyquist (open)")
    log_constant: float = Field(10_000.0, gt=0, description="C in log(1 + C x) (open)")

    @model_validator(mode="after")
    def _has_a_range(self) -> SpectrogramSettings:
        if self.fmax is not None and self.fmax <= self.fmin:
            raise ParameterError(f"fmax: expected more than fmin={self.fmin} Hz, got {self.fmax}")
        return self


PAPERS = SpectrogramSettings()
"""The paper's spectrogram."""


class TrainingSettings(Settings):
    """How the models of §4.2 and §4.3 are trained and searched, and how long."""

    n_trials: int = Field(16, ge=1, description="random search trials (open in the paper)")
    n_runs: int = Field(10, ge=1, description="runs with different initialisations (§5.1)")
    max_epochs: int = Field(300, ge=1, description="upper bound; early stopping ends sooner")
    patience: int = Field(5, ge=1, description="epochs without gain on validation before stopping")
    patience_steps: int = Field(200, ge=0, description="steps without gain, too, before stopping")
    averaging: float = Field(0.99, ge=0, lt=1, description="of the weights over steps; 0: none")
    n_hidden: int = Field(1000, ge=1, description="rectified linear units of the MLP (§4.2)")
    optimiser: Literal["momentum", "plain", "adam"] = "momentum"
    standardise: bool = Field(True, description="features to zero mean and unit variance (open)")


def check_architecture(
    representation: str,
    window_length: int,
    dictionary: str | int,
    n_levels: int,
    pooling_length: int,
    double_hop: bool = False,
) -> None:
    """Refuse an architecture that cannot be built, before any work starts."""
    check_choice("representation", representation, REPRESENTATIONS)
    if dictionary not in ("pca", *FIXED) and not _is_count(dictionary, 1):
        raise ParameterError(
            f"dictionary: expected pca, {', '.join(FIXED)} or a number of means, got {dictionary!r}"
        )
    if dictionary in FIXED and window_length != 1:
        raise ParameterError(f"window_length: expected 1 with {dictionary}, got {window_length!r}")
    check_counts(window_length=window_length, n_levels=n_levels, pooling_length=pooling_length)
    coarsest, rest = divmod(int(pooling_length), 2 ** (int(n_levels) - 1))
    if representation == "multiresolution" and not double_hop:  # all levels have as many frames
        coarsest, rest = pooling_length, 0
    if rest:
        raise ParameterError(
            f"n_levels: expected pooling_length={pooling_length} to be divisible by "
            f"2**(n_levels - 1), got n_levels={n_levels}"
        )
    if window_length > coarsest:
        raise ParameterError(
            f"window_length: expected at most {coarsest} (the frames of a pooling window at "
            f"level {n_levels - 1}), got {window_length}"
        )


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Refuse what is not among the choices."""
    choices = tuple(choices)
    if value not in choices:
        told = ", ".join(str(choice) for choice in choices)
        raise ParameterError(f"{name}: expected one of {told}, got {value!r}")


def check_counts(least: int = 1, **counts: int) -> None:
    """Refuse what is not an integer of at least so much, by name."""
    for name, value in counts.items():
        if not _is_count(value, least):
            raise ParameterError(f"{name}: expected an integer of at least {least}, got {value!r}")


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def select_device(name: str = "auto"):
    """The torch device of that name; "auto" is a GPU where there is one, else the CPU."""
    import torch  # here, so that reading settings stays quick

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ParameterError(f"device: expected auto, cpu or cuda, got {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device: expected a machine with a CUDA GPU for 'cuda', got none")
    return device


def data_home() -> Path:
    """Folder for data sets and results: ``$MULTISCALE_HOME``, else the user's cache."""
    home = os.environ.get("MULTISCALE_HOME")
    if home and not os.path.isabs(home):  # which would be another folder in every process
        raise ParameterError(f"MULTISCALE_HOME: expected a whole path, got {home!r}")
    return Path(home or platformdirs.user_cache_path("multiscale", appauthor=False))
