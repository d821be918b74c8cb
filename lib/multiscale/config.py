"""The paper's numbers and settings, the errors that guard them, the device and the data home."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from functools import cache
from inspect import isclass, signature
from math import inf
from numbers import Integral, Real
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import numpy as np
import platformdirs
import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

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

SPLITS = ("train", "valid", "test")
"""Parts of a data set: to learn from, to choose by, to be scored on (§4.1)."""

FIXED = ("mel", "mfcc")
"""Dictionaries that are not learned, for baselines: mel components, or cepstral coefficients."""


def _kind(kind: type, told: str, fits: Callable = lambda value: True, words: tuple = ()) -> Any:
    """A type for numbers, numpy's as well, that are no booleans; for booleans; and for words."""
    known = {bool: bool | np.bool_, int: Integral, float: Real}[kind]

    def check(value: object) -> Any:
        if isinstance(value, str) and value in words:
            return value
        is_bool = isinstance(value, bool) and kind is not bool  # an Integral, for Python
        if is_bool or not isinstance(value, known) or not fits(value):
            raise ValueError(f"expected {told}")
        return kind(value)

    return Annotated[Any, BeforeValidator(check)]


def _random_state(value: object) -> None:
    from sklearn.utils import check_random_state  # here, so that reading settings stays quick

    if isinstance(value, bool):
        raise ValueError("expected an integer, a RandomState or None")
    check_random_state(value)


Flag = _kind(bool, "True or False")
Count = _kind(int, "an integer of at least 1", lambda value: value >= 1)
Natural = _kind(int, "an integer of at least 0", lambda value: value >= 0)
Share = _kind(float, "a share between 0 and 1", lambda value: 0 < value < 1)
Positive = _kind(float, "a number above 0", lambda value: 0 < value < inf)
NotNegative = _kind(float, "a number of at least 0", lambda value: 0 <= value < inf)
Device = Annotated[Any, BeforeValidator(lambda value: select_device(value))]
RandomState = Annotated[Any, BeforeValidator(_random_state)]
RepresentationName = Literal["multiresolution", "gaussian", "laplacian"]
Pooling = Literal["max", "mean", "min", "var", "mean_std"]
Assignment = Literal["abs", "signed"]
KernelName = Literal["binomial", "triangle", "wide"]
Dictionary = _kind(
    int, "pca, mel, mfcc or a number of means", lambda value: value >= 1, ("pca", *FIXED)
)


class ParameterError(ValueError, TypeError):
    """A setting or parameter that cannot work; says what was expected and what was got."""

    def __str__(self) -> str:
        """All complaints, where there are several."""
        return "; ".join(self.args)


class AudioError(ValueError):
    """An audio file or signal that cannot be used; names the file where there is one."""


class Settings(BaseModel):
    """Frozen settings that refuse unknown fields, with one ParameterError for all complaints."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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
            here = "" if where in ("", "device") else f"{where}."
            yield from (f"{here}{one}" for one in cause.args)
        else:
            told = complaint["msg"].replace("Input should be", "expected")
            said = cause or told[0].lower() + told[1:]
            yield f"{where}: {said}, got {complaint['input']!r}"


def validated(model: type[Settings], values: dict, where: str) -> Settings:
    """Settings from values that were read, with where they come from in the complaints."""
    try:
        return model(**{str(name): value for name, value in values.items()})
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None


class SpectrogramSettings(Settings):
    """Log-mel spectrogram of §4.1; what the paper leaves open is in the decision register."""

    sample_rate: Count = Field(SAMPLE_RATE, ge=1000, description="Hz (§4.1)")
    n_fft: Count = Field(1024, ge=16, description="window at level 0, samples: 64 ms (§4.1)")
    hop_length: Count = Field(512, description="hop, samples: 32 ms (§4.1)")
    n_mels: Count = Field(200, ge=2, description="mel components (§4.1)")
    fmin: NotNegative = Field(0.0, description="lowest mel edge, Hz (open)")
    fmax: Positive | None = Field(None, description="highest mel edge, Hz; None: Nyquist (open)")
    log_constant: Positive = Field(10_000.0, description="C in log(1 + C x) (open)")

    @model_validator(mode="after")
    def _has_a_range(self) -> SpectrogramSettings:
        nyquist = self.sample_rate / 2
        if not self.fmin < (self.fmax or nyquist) <= nyquist:
            raise ParameterError(
                f"fmax: expected more than fmin={self.fmin} Hz and at most {nyquist} Hz, "
                f"got {self.fmax or nyquist}"
            )
        return self


PAPERS = SpectrogramSettings()
"""The paper's spectrogram."""


class TrainingSettings(Settings):
    """How the models of §4.2 and §4.3 are trained and searched, and how long."""

    n_trials: Count = Field(6, description="random search trials of each run (open in the paper)")
    n_runs: Count = Field(10, description="runs with different initialisations (§5.1)")
    max_epochs: Count = Field(300, description="upper bound; early stopping ends sooner")
    patience: Count = Field(5, description="epochs without gain on validation before stopping")
    patience_steps: Natural = Field(200, description="steps without gain, too, before stopping")
    averaging: NotNegative = Field(0.99, lt=1, description="of the weights over steps; 0: none")
    clipping: NotNegative = Field(0.5, description="longest gradient, by a run's first; 0: any")
    n_hidden: Count = Field(1000, description="rectified linear units of the MLP (§4.2)")
    optimiser: Literal["momentum", "plain", "adam"] = "momentum"
    standardise: Flag = Field(True, description="features to zero mean and unit variance (open)")


def check_architecture(
    representation: RepresentationName,
    window_length: Count,
    dictionary: Dictionary,
    n_levels: Count,
    pooling_length: Count,
    double_hop: Flag = False,
) -> None:
    """Refuse an architecture that cannot be built, before any work starts."""
    check_parameters(check_architecture, locals())
    if dictionary in FIXED and window_length != 1:
        raise ParameterError(f"window_length: expected 1 with {dictionary}, got {window_length!r}")
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


def check_parameters(of: Callable, values: dict[str, object]) -> None:
    """Refuse what the annotations of an estimator's or a function's parameters do not allow.

    One ParameterError names them all. Parameters that ``values`` lacks are not looked at.
    """
    _parameters(of, frozenset(values))(**values)


@cache
def _parameters(of: Callable, names: frozenset[str]) -> type[Settings]:
    """Parameters of a class or function as settings."""
    plain = isclass(of) and not is_dataclass(of)
    hints = get_type_hints(of.__init__ if plain else of, include_extras=True)
    types = {name: hints[name] for name in signature(of).parameters if name in names}
    fields = {
        n: (pydantic.InstanceOf[one] if isclass(one) else one, ...) for n, one in types.items()
    }
    return pydantic.create_model(of.__qualname__, __base__=Settings, **fields)


@contextmanager
def named(name: str, errors: tuple = (TypeError, ValueError)) -> Iterator[None]:
    """Errors that other packages raise about an argument or a file, as a ParameterError."""
    try:
        yield
    except errors as error:
        raise ParameterError(f"{name}: {' '.join(str(error).split())}") from error


def check_numbers(
    name: str, values: object, *axes: Any, dtype: object = "numeric", finite: bool = True
) -> np.ndarray:
    """Array-like numbers as an array, if they are finite and there, with these axes.

    An axis is a length, or the name of one that is free; ``...`` before them stands for any axes.
    Anything else is a ParameterError.
    """
    from sklearn.utils import check_array

    with named(name):
        values = np.asarray(values) if isinstance(values, list | tuple) else values
        if getattr(getattr(values, "dtype", None), "kind", None) in ("m", "M"):
            raise ValueError(f"expected numbers, got dtype {values.dtype}")
        of_any_shape = {"ensure_2d": False, "allow_nd": True, "ensure_min_samples": 0, "order": "C"}
        array = check_array(values, dtype=dtype, ensure_all_finite=finite, **of_any_shape)
    if axes[0] is ...:
        axes = (*array.shape[: 1 - len(axes)], *axes[1:])
    there = array.ndim == len(axes) and zip(axes, array.shape, strict=True)
    if not there or any(n == 0 if isinstance(axis, str) else n != axis for axis, n in there):
        told = ", ".join(str(axis) for axis in axes)
        raise ParameterError(f"{name}: expected shape ({told}), got {array.shape}")
    return array


def as_seed(random_state: int | np.random.RandomState | None) -> int:
    """A seed from what scikit-learn takes; an integer is its own."""
    from sklearn.utils import check_random_state

    known = isinstance(random_state, Integral)
    return int(random_state) if known else check_random_state(random_state).randint(2**31)


def select_device(name: str = "auto"):
    """The torch device of that name; "auto" is a GPU where there is one, else the CPU."""
    import torch  # here, so that reading settings stays quick

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
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
