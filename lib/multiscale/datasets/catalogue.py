"""Collections: tracks in, a data set out, its table of clips kept on disk.

What :mod:`~multiscale.datasets.magnatagatune` and :mod:`~multiscale.datasets.folder` share: each
finds its tracks; from there on they are treated alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from multiscale.config import AudioError, DatasetSettings, data_home
from multiscale.datasets import clip_tables, splitting
from multiscale.datasets.base import NO_SKIPPED, ClipDataset, most_frequent
from multiscale.datasets.decoding import RULES
from multiscale.datasets.gathering import prepare_tracks, remove_stale
from multiscale.datasets.preparing import Report, Track, digest, prepare_track


@dataclass(frozen=True)
class Collection:
    """Tracks that are to be a data set.

    Attributes
    ----------
    name : str
        Name of the data set.
    folder : Path
        Where its clips and tables are kept.
    identity : dict
        All that determines the clips.
    notice : str
        Source and licence, for the reader.
    tracks : tuple of Track
        Files of music.
    skipped : tuple of (str, str)
        Files that cannot be used, and why.
    tag_names : tuple of str, optional
        Tags kept; by default the most frequent ones in train.
    max_clips : int, optional
        Clips per track, at most.
    """

    name: str
    folder: Path
    identity: dict[str, Any]
    notice: str
    tracks: tuple[Track, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    tag_names: tuple[str, ...] | None = None
    max_clips: int | None = None


def place(name: str, origin: str, settings: DatasetSettings) -> Path:
    """Folder of the clips that are cut from the files in one place."""
    key = digest(f"{RULES} {origin} {settings.clip_seconds}")
    return data_home() / "datasets" / f"{name}-{key}"


def in_order(collection: Collection, settings: DatasetSettings) -> list[Track]:
    """Tracks, shuffled where only some are wanted: a smaller set is then part of a larger one."""
    if settings.n_clips is None:
        return list(collection.tracks)
    return sorted(collection.tracks, key=lambda track: digest(f"{settings.seed} {track.name}"))


def prepare(
    collection: Collection, settings: DatasetSettings, n_workers: int | None = None
) -> ClipDataset:
    """Cut what is not cut yet, and return the clips.

    Parameters
    ----------
    collection : Collection
        The tracks.
    settings : DatasetSettings
        Number and length of clips, number of tags, splits, seed.
    n_workers : int, optional
        Processes; as many as cores by default.

    Returns
    -------
    ClipDataset
        The clips.

    Raises
    ------
    AudioError
        If no file can be used.
    ParameterError
        If there are too few for three splits.
    """
    folder = collection.folder
    folder.mkdir(parents=True, exist_ok=True)
    stored = (collection.name, folder, collection.identity, collection.notice)
    # One process prepares; another that wants the same clips waits, then finds them.
    with FileLock(folder / "lock"):
        if (found := clip_tables.load(*stored)) is None:
            tracks = in_order(collection, settings)
            reports = prepare_tracks(
                tracks,
                folder,
                settings.clip_seconds,
                collection.max_clips,
                settings.n_clips,
                n_workers,
            )
            _save(collection, tracks[: len(reports)], reports, settings)
            remove_stale(folder)
            found = clip_tables.load(*stored)
    return found


def prepare_share(
    collection: Collection, settings: DatasetSettings, part: int, n_parts: int
) -> None:
    """Cut every ``n_parts``-th track from ``part`` on, in this process."""
    (collection.folder / "clips").mkdir(parents=True, exist_ok=True)
    # No file need give more than one clip; prepare cuts what this leaves out, if any.
    for track in in_order(collection, settings)[: settings.n_clips][part::n_parts]:
        prepare_track(track, collection.folder, settings.clip_seconds, collection.max_clips)


def _save(
    collection: Collection, tracks: list[Track], reports: list[Report], settings: DatasetSettings
) -> None:
    """Make and write the tables."""
    pairs = list(zip(tracks, reports, strict=True))
    failed = [(track.name, report.reason) for track, report in pairs if report.reason]
    skipped = pd.DataFrame([*collection.skipped, *failed], columns=NO_SKIPPED.columns)
    used = [(track, report) for track, report in pairs if report.clips]
    if not used:
        first = "; ".join(": ".join(row) for row in skipped.to_numpy()[:3])
        raise AudioError(
            f"{collection.name}: expected at least one file that can be used, got none of "
            f"{len(skipped)}: {first or 'there is no audio'}"
        )
    kept, whole = zip(*used, strict=True)
    n_clips = [len(report.clips) for report in whole]
    splits = splitting.assign(kept, n_clips, settings.split_by, settings.seed)
    clips = clip_tables.clip_table(kept, whole, splits)
    names = collection.tag_names
    if names is None:
        trained = clips.loc[clips["split"] == "train", "tags"]
        names = most_frequent(trained, settings.n_tags)
    clip_tables.save(collection.folder, collection.identity, clips, skipped, names)
