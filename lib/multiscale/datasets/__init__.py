"""Data sets: clips, tags, artists and a split, all behind :class:`ClipDataset`.

Each is a module that is imported when it is asked for. Its ``Source``, made of the settings, has
what the functions here call.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from multiscale.config import SPLITS, ParameterError
from multiscale.datasets.base import ClipDataset, DatasetSettings

NAMES = ("cover_bands", "magnatagatune", "folder")
"""Of the data sets, and of their modules."""

__all__ = [
    "NAMES",
    "SPLITS",
    "ClipDataset",
    "DatasetSettings",
    "check",
    "identity",
    "load",
    "module",
    "n_clips",
    "prepare_part",
]


def module(name: str) -> ModuleType:
    """The module of a data set; a ParameterError if none has that name."""
    if name not in NAMES:
        raise ParameterError(f"dataset: expected one of {', '.join(NAMES)}, got {name!r}")
    return import_module(f"{__name__}.{name}")


def _source(settings: DatasetSettings):
    return module(settings.name).Source(settings)


def load(settings: DatasetSettings, n_workers: int | None = None) -> ClipDataset:
    """Return a data set, preparing what is not there yet.

    Parameters
    ----------
    settings : DatasetSettings
        Which data set and how many clips.
    n_workers : int, optional
        Processes that prepare; as many as cores by default. The clips do not depend on it.

    Returns
    -------
    ClipDataset
        The clips.

    Raises
    ------
    ParameterError
        If no data set has that name, its settings do not suit it, or there is too little music for
        three splits.
    AudioError
        If no file can be used.
    OSError
        If the disk is full, or no source serves what is to be downloaded.
    """
    return _source(settings).load(n_workers)


def prepare_part(settings: DatasetSettings, part: int, n_parts: int) -> None:
    """Prepare one of ``n_parts`` shares of the clips, in this process; :func:`load` finds it done.

    Parameters
    ----------
    settings : DatasetSettings
        Which data set.
    part : int
        From 0.
    n_parts : int
        Shares in all.

    Raises
    ------
    ParameterError
        If there is no such share or data set.
    """
    if not 0 <= part < n_parts:
        raise ParameterError(f"part: expected from 0 up to n_parts - 1 = {n_parts - 1}, got {part}")
    _source(settings).prepare_part(part, n_parts)


def n_clips(settings: DatasetSettings) -> int:
    """Clips that :func:`load` gives: for that a copy or folder is cut, but nothing downloaded."""
    return _source(settings).n_clips()


def identity(settings: DatasetSettings) -> dict:
    """All that determines the clips and what is said of them, as JSON-able values.

    Parameters
    ----------
    settings : DatasetSettings
        Which data set.

    Returns
    -------
    dict
        The settings, and what stands for the code and the files they are made from.

    Raises
    ------
    ParameterError
        If no data set has that name, or its files are missing.
    """
    return _source(settings).identity


def check(settings: DatasetSettings) -> list[str]:
    """Look for faults in a data set, preparing what is not there yet.

    Parameters
    ----------
    settings : DatasetSettings
        Which data set.

    Returns
    -------
    list of str
        A sentence for each clip that cannot be used, and for each count that is not as published;
        none if all is well.
    """
    from multiscale.datasets.describing import faults

    dataset = load(settings)
    return faults(dataset) + _source(settings).check(dataset)
