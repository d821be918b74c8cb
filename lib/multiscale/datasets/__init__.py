"""Data sets: clips, tags, artists and a split, all behind :class:`ClipDataset`."""

from __future__ import annotations

from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import cover_bands
from multiscale.datasets.base import SPLITS, ClipDataset

PREPARERS = {"cover_bands": cover_bands.prepare}
"""Data set name -> function of settings that renders or fetches it, and returns it."""

__all__ = ["PREPARERS", "SPLITS", "ClipDataset", "load"]


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
    if settings.name not in PREPARERS:
        raise ParameterError(
            f"dataset: expected one of {', '.join(PREPARERS)}, got {settings.name!r}"
        )
    return PREPARERS[settings.name](settings)
