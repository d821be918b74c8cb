"""How a chapter begins: its parameters checked, a study to ask, a voice for its numbers."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from multiscale.config import (
    ParameterError,
    RepresentationName,
    Settings,
    check_architecture,
    data_home,
)
from multiscale.datasets import DatasetSettings

if TYPE_CHECKING:
    import torch

    from multiscale.study import Study

INJECTED = "# Parameters\n"
"""How the cell begins that papermill puts after a chapter's own parameters."""


class ChapterParameters(Settings):
    """What a chapter may be run with, each within the range that can work."""

    # Strict, for a chapter gets the value as it was given: "4" is no number of levels.
    model_config = ConfigDict(strict=True)

    profile: str = "laptop"
    seed: int = Field(0, ge=0, lt=2**32)
    clip: int = Field(0, ge=0, description="which clip is shown")
    representation: RepresentationName = "laplacian"
    window_length: int = Field(1, ge=1, le=128)
    dictionary: Any = Field(500, description="'pca' or a number of means: see check_architecture")
    n_levels: int = Field(6, ge=1, le=8)
    pooling_length: int = Field(128, ge=1, le=1024)
    n_iter: int = Field(20, ge=1, le=1000)
    n_windows: int = Field(50_000, ge=100)
    explained_variance_ratio: float = Field(0.99, gt=0, lt=1)
    compute: bool = True
    claim: int = Field(17, ge=1, le=18)
    source: str = Field("soundtracks", description="where dictionaries come from")
    n_source_clips: int = Field(60, ge=14, description="clips of it")

    @model_validator(mode="after")
    def _can_be_built(self) -> ChapterParameters:
        names = ("representation", "window_length", "dictionary", "n_levels", "pooling_length")
        check_architecture(**{name: getattr(self, name) for name in names})
        return self


def refuse_others(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a name that is not among those known."""
    for name in given:
        if name not in known:
            raise ParameterError(f"parameter: expected one of {', '.join(known)}, got {name!r}")


def chapter(profile: str, **parameters) -> tuple[Study, Callable]:
    """Begin a chapter: check what it was given, and open the study of its profile.

    Parameters
    ----------
    profile : str
        Name of a profile, or path of a ``.yaml``.
    **parameters
        All other parameters of the chapter, by name. ``seed`` is the study's. ``compute``, where
        it is given and true, has all experiments of the book computed that are missing.

    Returns
    -------
    study : Study
        Data, dictionaries, features, runs and comparisons.
    say : callable
        See :func:`say`.

    Raises
    ------
    ParameterError
        If a value cannot work, or papermill was given a name that the chapter does not have.
    """
    given = {"profile": profile, **parameters}
    refuse_others(_injected(), given)
    ChapterParameters(**given)
    from multiscale.study.study import Study  # needs seconds, which a refusal does not

    study = Study(profile, parameters.get("seed", 0))
    if parameters.get("compute"):
        for message in study.compute(retry=False).values():
            print(f"missing in this chapter: {message}", file=sys.stderr)
    return study, say


def say(**values) -> None:
    """Hand values over to the prose of the page, which names them in ``{glue:text}``.

    Parameters
    ----------
    **values
        Numbers, or anything else that is then told as ``str`` tells it.
    """
    from myst_nb import glue

    for name, value in values.items():
        value = value.item() if isinstance(value, np.generic) else value
        told = value if isinstance(value, bool | int | float | str) else str(value)
        glue(name, told, display=False)


def example(
    study: Study, rank: int = 0, frames: int | None = None
) -> tuple[np.ndarray, torch.Tensor, float]:
    """A training clip that shows what it should, and its log-mel spectrogram.

    Parameters
    ----------
    study : Study
        Whose clips.
    rank : int, default=0
        0 for the clip with the strongest onsets, 1 for the next; -1 for that with the weakest.
    frames : int, optional
        Only so many frames of the spectrogram, from the start.

    Returns
    -------
    signal : ndarray of shape (n_samples,)
        All of the clip.
    level_0 : Tensor of shape (n_frames, n_mels)
        Its log-mel spectrogram.
    frame : float
        Seconds from one frame to the next.
    """
    from companion.listen import lively
    from multiscale.config import SpectrogramSettings
    from multiscale.spectrogram import log_mel

    settings = SpectrogramSettings()
    clips = study.music.split("train")
    signal = clips[lively(clips, rank)]
    return signal, log_mel(signal, settings)[:frames], settings.hop_length / settings.sample_rate


def elsewhere(source: str = "soundtracks", n_clips: int = 60) -> DatasetSettings:
    """Music that is not a profile's, to learn dictionaries from.

    Parameters
    ----------
    source : str, default="soundtracks"
        "soundtracks", free game music that the build fetches where it can; or the path of a table
        or a folder of audio.
    n_clips : int, default=60
        Clips of it.

    Returns
    -------
    DatasetSettings
        Of a ``folder`` data set.

    Raises
    ------
    ParameterError
        If there are no soundtracks.
    """
    path = soundtracks(n_clips) if source == "soundtracks" else Path(source).expanduser()
    if source == "soundtracks" and not path.is_file():
        raise ParameterError(
            "source: expected the tracks that `python extras/soundtracks.py "
            f"{path.parent} --clips {n_clips}` fetches, got no {path.name}"
        )
    return DatasetSettings(name="folder", path=str(path.resolve()), n_clips=n_clips)


def soundtracks(n_clips: int) -> Path:
    """Table of so many soundtracks, whether they are there or not."""
    return data_home() / f"soundtracks-{n_clips}" / "tracks.csv"


def _injected() -> set[str]:
    """Names that papermill has given to the notebook that runs here, if one does."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cells = shell.user_ns.get("In", []) if shell else []
    injected = (ast.parse(cell) for cell in cells if cell.startswith(INJECTED))
    lines = (line for cell in injected for line in cell.body if isinstance(line, ast.Assign))
    return {target.id for line in lines for target in line.targets}
