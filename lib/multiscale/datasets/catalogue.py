"""Collections: tracks in, a data set out, its table of clips kept on disk.

What :mod:`~multiscale.datasets.magnatagatune` and :mod:`~multiscale.datasets.folder` share: each
finds its tracks; from there on they are treated alike.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from multiscale.config import AudioError, DatasetSettings, data_home
from multiscale.datasets import splitting
from multiscale.datasets.base import NO_SKIPPED, ClipDataset
from multiscale.datasets.decoding import RULES, SAMPLE_RATE
from multiscale.datasets.preparing import (
    Report,
    Track,
    digest,
    prepare_track,
    prepare_tracks,
    printable,
    remove_stale,
)
from multiscale.store import atomic_write

COLUMNS = ("path", "split", "artist", "title", "licence", "file", "seconds", "level_db", "tags")
"""Of the table of clips on disk."""


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
    # One process prepares; another that wants the same clips waits, then finds them.
    with FileLock(folder / "lock"):
        if (found := load(collection.name, folder, collection.identity, collection.notice)) is None:
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
            found = load(collection.name, folder, collection.identity, collection.notice)
    return found


def prepare_share(
    collection: Collection, settings: DatasetSettings, part: int, n_parts: int
) -> None:
    """Cut every ``n_parts``-th track from ``part`` on, in this process."""
    (collection.folder / "clips").mkdir(parents=True, exist_ok=True)
    # No file need give more than one clip; prepare cuts what this leaves out, if any.
    for track in in_order(collection, settings)[: settings.n_clips][part::n_parts]:
        prepare_track(track, collection.folder, settings.clip_seconds, collection.max_clips)


def load(name: str, folder: Path, identity: dict[str, Any], notice: str) -> ClipDataset | None:
    """Read a data set from disk.

    Parameters
    ----------
    name : str
        Name of the data set.
    folder : Path
        Where its clips are.
    identity : dict
        All that determines the clips.
    notice : str
        Source and licence.

    Returns
    -------
    ClipDataset or None
        None if there is no such table, or a clip in it is gone.
    """
    tables = _tables(folder, identity)
    text = {"dtype": str, "keep_default_na": False}
    try:
        clips = pd.read_csv(tables / "clips.csv", index_col="clip", **text)
        skipped = pd.read_csv(tables / "skipped.csv", **text)
        names = tuple(json.loads((tables / "tags.json").read_text("utf-8")))
    except (OSError, ValueError, KeyError):
        return None
    if not all(os.path.isfile(folder / path) for path in clips["path"]):
        return None
    tags = np.zeros((len(clips), len(names)), bool)
    column = {tag: i for i, tag in enumerate(names)}
    for row, carried in enumerate(clips.pop("tags")):
        tags[row, [column[tag] for tag in carried.split(";") if tag in column]] = True
    clips["artist"] = clips["artist"].astype(object).where(clips["artist"] != "", None)
    clips = clips.astype({"seconds": float, "level_db": float})
    return ClipDataset(name, folder, clips, tags, names, SAMPLE_RATE, notice, skipped)


def _save(
    collection: Collection, tracks: list[Track], reports: list[Report], settings: DatasetSettings
) -> None:
    """Write the tables, that of the clips last."""
    pairs = list(zip(tracks, reports, strict=True))
    failed = [(track.name, report.reason) for track, report in pairs if report.reason]
    skipped = pd.DataFrame([*collection.skipped, *failed], columns=NO_SKIPPED.columns)
    used = [(track, report.clips) for track, report in pairs if report.clips]
    if not used:
        first = "; ".join(": ".join(row) for row in skipped.to_numpy()[:3])
        raise AudioError(
            f"{collection.name}: expected at least one file that can be used, got none of "
            f"{len(skipped)}: {first or 'there is no audio'}"
        )
    splits = splitting.assign(
        [track for track, _ in used], [len(c) for _, c in used], settings.split_by, settings.seed
    )
    clips = _clip_table(used, splits)
    names = collection.tag_names
    if names is None:
        names = most_frequent(clips.loc[clips["split"] == "train", "tags"], settings.n_tags)
    tables = _tables(collection.folder, collection.identity)
    tables.mkdir(parents=True, exist_ok=True)
    _write(tables / "skipped.csv", skipped.to_csv(index=False, lineterminator="\n"))
    _write(tables / "tags.json", json.dumps(names))
    _write(tables / "clips.csv", clips.to_csv(lineterminator="\n"))


def _clip_table(used: list[tuple[Track, list[dict]]], splits: list[str]) -> pd.DataFrame:
    rows = [
        {
            "clip": Path(clip["path"]).stem,
            "split": split,
            "artist": printable(track.artist),
            "title": printable(track.title),
            "licence": printable(track.licence),
            "file": track.name,
            "tags": ";".join(printable(tag) for tag in track.tags),
            **clip,
        }
        for (track, clips), split in zip(used, splits, strict=True)
        for clip in clips
    ]
    return pd.DataFrame(rows).set_index("clip")[list(COLUMNS)]


def most_frequent(tags: pd.Series, n_tags: int) -> tuple[str, ...]:
    """Names of the most frequent tags, ties by name, of clips' tags joined by ``;``."""
    counts = Counter(tag for carried in tags for tag in carried.split(";") if tag)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag))[:n_tags])


def _tables(folder: Path, identity: dict[str, Any]) -> Path:
    return folder / "tables" / digest(json.dumps(identity, sort_keys=True))


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
