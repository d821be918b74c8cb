"""Data sets: clips, tags, artists and a split, all behind :class:`ClipDataset`."""

from __future__ import annotations

from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import cover_bands, planning
from multiscale.datasets.base import SPLITS, ClipDataset

PREPARERS = {"cover_bands": cover_bands.prepare}
"""Data set name -> function of settings that renders or fetches it, and returns it."""

COUNTS = {"cover_bands": planning.N_CLIPS}
"""Data set name -> clips that it has where a profile does not say how many to use."""

__all__ = ["PREPARERS", "SPLITS", "ClipDataset", "load", "n_clips"]


def load(settings: DatasetSettings) -> ClipDataset:
    """Return a data set, preparing what is not there yet.

    Parameters
    ----------
    settings : DatasetSettings
        Which data set and how many clips.

    Returns
    -------
    ClipDataset
        The clips.

    Raises
    ------
    ParameterError
        If no data set has that name.
    """
    return PREPARERS[_known(settings.name)](settings)


def n_clips(settings: DatasetSettings) -> int:
    """Clips that :func:`load` will give, known without loading."""
    return settings.n_clips or COUNTS[_known(settings.name)]


def _known(name: str) -> str:
    if name not in PREPARERS:
        raise ParameterError(f"dataset: expected one of {', '.join(PREPARERS)}, got {name!r}")
    return name
