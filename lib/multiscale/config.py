"""Every number of the paper, once; the profiles that scale it; the errors that guard it.

A *settings* object is frozen and refuses unknown fields. A *profile* (``profiles/*.yaml``)
says which data set and how much work: never how the method works.
"""

from __future__ import annotations

import os
from numbers import Integral
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PROJECT_ROOT = Path(__file__).resolve().parents[2]
OWN_PROFILES = PROJECT_ROOT / "profiles"
GIVEN_PROFILES = PROJECT_ROOT / "_build" / "profiles"  # those that `make book` was given

SCALES = ("multiresolution", "gaussian", "laplacian")
"""The three multiscale representations of §3."""

WINDOW_LENGTHS = {"multiresolution": (1,), "gaussian": (1, 2, 4), "laplacian": (1, 2, 4)}
"""Frames per window that §4.2 evaluates, by multiscale representation."""

DICTIONARIES = ("pca", 200, 500, 1000)
"""The four feature learning setups of §4.2: PCA whitening alone, or that many means."""

Scale = Literal["multiresolution", "gaussian", "laplacian"]
Dictionary = Literal["pca"] | Annotated[int, Field(ge=1)]


class ParameterError(ValueError):
    """A setting or parameter that cannot work; says what was expected and what was got."""


class AudioError(ValueError):
    """An audio file or signal that cannot be used; names the file where there is one."""


class Settings(BaseModel):
    """Frozen settings that refuse unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SpectrogramSettings(Settings):
    """Log-mel spectrogram of §4.1.

    The paper gives the rate, window, hop and number of mel components; the rest is open and
    listed in the decision register.
    """

    sample_rate: int = Field(16_000, ge=1000, description="Hz (§4.1)")
    n_fft: int = Field(1024, ge=16, description="window at level 0, samples: 64 ms (§4.1)")
    hop_length: int = Field(512, ge=1, description="hop, samples: 32 ms (§4.1)")
    n_mels: int = Field(200, ge=2, description="mel components (§4.1)")
    fmin: float = Field(0.0, ge=0, description="lowest mel edge, Hz (open)")
    fmax: float | None = Field(None, gt=0, description="highest mel edge, Hz; None: Nyquist (open)")
    log_constant: float = Field(10_000.0, gt=0, description="C in log(1 + C x) (open)")


class DatasetSettings(Settings):
    """Which clips a profile uses."""

    name: str = Field("cover_bands", description="data set, see multiscale.datasets")
    n_clips: int | None = Field(None, ge=1, description="clips to use; None: all there are")
    clip_seconds: float = Field(29.0, ge=5, le=600, description="clip length, s (§4.1)")
    n_tags: int = Field(50, ge=1, description="most frequent tags kept (§4.2)")
    seed: int = Field(0, ge=0, description="of arrangement, sampling and splits")
    path: str | None = Field(
        None, description="folder: a table or a folder of audio; magnatagatune: a copy one has"
    )
    split_by: Literal["artist", "file"] = Field("file", description="folder: what never crosses")
    merge_synonyms: bool = Field(False, description="magnatagatune: synonyms become one tag")


class LearningSettings(Settings):
    """How much data the dictionaries see (§2.1-2.2, open in the paper)."""

    n_windows: int = Field(100_000, ge=100, description="windows sampled per level")
    n_iter: int = Field(20, ge=1, description="K-means iterations")


class TrainingSettings(Settings):
    """How the models of §4.2 and §4.3 are trained and searched, and how long."""

    n_trials: int = Field(20, ge=1, description="random search trials (open in the paper)")
    n_runs: int = Field(10, ge=1, description="runs with different initialisations (§5.1)")
    max_epochs: int = Field(100, ge=1, description="upper bound; early stopping ends sooner")
    patience: int = Field(5, ge=1, description="epochs without gain on validation before stopping")
    n_hidden: int = Field(1000, ge=1, description="rectified linear units of the MLP (§4.2)")
    optimiser: Literal["momentum", "plain", "adam"] = "momentum"
    standardise: bool = Field(True, description="features to zero mean and unit variance (open)")


class Profile(Settings):
    """A data set and an amount of work, read from ``profiles/<name>.yaml``.

    Dictionaries are learned on the data set itself, or, to see what they are worth elsewhere, on
    that of ``dictionary_from``.
    """

    name: str
    description: str
    dataset: DatasetSettings = DatasetSettings()
    learning: LearningSettings = LearningSettings()
    tagging: TrainingSettings = TrainingSettings()
    similarity: TrainingSettings = TrainingSettings()
    dictionary_from: DatasetSettings | None = None


def load_profile(name: str | Path) -> Profile:
    """Read a profile by name (``"laptop"``) or by path (``"mine.yaml"``).

    Parameters
    ----------
    name : str or Path
        A name in ``profiles/``, or of one that a book was made with, or a path that ends in
        ``.yaml``.

    Returns
    -------
    Profile
        The validated profile.

    Raises
    ------
    ParameterError
        If there is no such profile, a key is unknown, or a value is out of range.
    """
    path = Path(name)
    if path.suffix != ".yaml":
        own, given = (folder / f"{name}.yaml" for folder in (OWN_PROFILES, GIVEN_PROFILES))
        path = given if given.is_file() and not own.is_file() else own
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in OWN_PROFILES.glob("*.yaml")))
        raise ParameterError(f"profile: expected one of {known} or a .yaml file, got {str(name)!r}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParameterError(f"profile {path}: expected YAML, got {error}") from error
    if not isinstance(values, dict):
        raise ParameterError(f"profile {path}: expected keys and values, got {values!r}")
    return validated(Profile, {"name": path.stem, **values}, where=f"profile {path.stem}")


def validated(model: type[Settings], values: dict, where: str) -> Settings:
    """Build settings, with pydantic's complaints retold as one ParameterError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        complaints = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'])}: {e['msg'].lower()}, got {e['input']!r}"
            for e in error.errors()
        )
        raise ParameterError(f"{where}: {complaints}") from None


def check_architecture(
    scale: str, window_length: int, dictionary: str | int, n_levels: int, pooling_length: int
) -> None:
    """Refuse an architecture that cannot be built, before any work starts.

    Parameters
    ----------
    scale : {"multiresolution", "gaussian", "laplacian"}
        Multiscale representation (§3).
    window_length : int
        Frames per window (§3.4).
    dictionary : "pca" or int
        PCA components, or the number of means (§4.2).
    n_levels : int
        Number of timescales.
    pooling_length : int
        Level-0 frames per pooling window (§4.1).

    Raises
    ------
    ParameterError
        Naming the parameter, what was expected and what was got.
    """
    if scale not in SCALES:
        raise ParameterError(f"scale: expected one of {', '.join(SCALES)}, got {scale!r}")
    if dictionary != "pca" and not _is_positive_int(dictionary):
        raise ParameterError(f"dictionary: expected 'pca' or a number of means, got {dictionary!r}")
    check_counts(window_length=window_length, n_levels=n_levels, pooling_length=pooling_length)
    coarsest = (
        pooling_length if scale == "multiresolution" else pooling_length / 2 ** (n_levels - 1)
    )
    if coarsest != int(coarsest):
        raise ParameterError(
            f"n_levels: expected pooling_length={pooling_length} to be divisible by "
            f"2**(n_levels - 1), got n_levels={n_levels}"
        )
    if window_length > coarsest:
        raise ParameterError(
            f"window_length: expected at most {int(coarsest)} (the frames of a pooling window at "
            f"level {n_levels - 1}), got {window_length}"
        )


def check_counts(**counts: int) -> None:
    """Refuse what is not an integer of at least 1.

    Parameters
    ----------
    **counts : int
        Parameters by name.

    Raises
    ------
    ParameterError
        Naming the first that is not.
    """
    for name, value in counts.items():
        if not _is_positive_int(value):
            raise ParameterError(f"{name}: expected an integer of at least 1, got {value!r}")


def _is_positive_int(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1


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
    """Folder for data sets and results: ``$MULTISCALE_HOME``, else ``_data`` in the project."""
    return Path(os.environ.get("MULTISCALE_HOME") or PROJECT_ROOT / "_data")
