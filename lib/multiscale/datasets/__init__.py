"""Data sets: clips, tags, artists and a split, all behind :class:`ClipDataset`.

Each is a module with ``prepare``, ``prepare_part`` and ``identity``, functions of the settings.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from multiscale import store
from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import (
    cover_bands,
    describing,
    folder,
    magnatagatune,
    planning,
    soundtracks,
)
from multiscale.datasets.base import SPLITS, ClipDataset

MODULES = {
    "cover_bands": cover_bands,
    "magnatagatune": magnatagatune,
    "folder": folder,
    "soundtracks": soundtracks,
}
"""Data set name -> its module."""

PREPARERS = {name: module.prepare for name, module in MODULES.items()}
"""Data set name -> function of settings that renders or fetches it, and returns it."""

__all__ = [
    "PREPARERS",
    "SPLITS",
    "ClipDataset",
    "check",
    "identity",
    "load",
    "n_clips",
    "prepare",
    "prepare_part",
]


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


def prepare(settings: DatasetSettings, n_workers: int | None = None) -> ClipDataset:
    """Return a data set as :func:`load` does, preparing with so many processes."""
    return PREPARERS[_known(settings.name)](settings, n_workers)


def n_clips(settings: DatasetSettings) -> int:
    """Clips that :func:`load` gives: for that a copy or folder is cut, but nothing downloaded."""
    if _known(settings.name) == "cover_bands":
        return settings.n_clips or planning.N_CLIPS
    if settings.name in ("magnatagatune", "soundtracks"):
        return MODULES[settings.name].n_clips(settings)
    return len(load(settings))


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
    module = MODULES.get(_known(settings.name))
    if module is None:
        return settings.model_dump()
    return {**module.identity(settings), "code": store.source_digest(_sources(module.__file__))}


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
    module = MODULES.get(_known(settings.name))
    if module is not None:
        module.prepare_part(settings, part, n_parts)
    elif part == 0:  # one that cannot be shared out
        load(settings)


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

    Raises
    ------
    ParameterError
        If no data set has that name.
    """
    dataset = load(settings)
    found = describing.faults(dataset)
    if settings.name == "magnatagatune":
        found += magnatagatune.check(settings, dataset)
    return found


@cache
def _sources(file: str) -> list[Path]:
    """A module of this package, and those of it that it imports, directly or not."""
    found, queue = set(), [Path(file)]
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(__name__):
                name = str(node.module).removeprefix(__name__).lstrip(".")
                names = [name] if name else [alias.name for alias in node.names]
                queue += [path.with_name(f"{name}.py") for name in names]
    return sorted(found)


def _known(name: str) -> str:
    if name not in PREPARERS:
        raise ParameterError(f"dataset: expected one of {', '.join(PREPARERS)}, got {name!r}")
    return name
