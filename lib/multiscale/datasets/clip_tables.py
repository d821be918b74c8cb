"""Tables of clips on disk: written once all clips are there, read as a data set."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from multiscale.datasets.base import ClipDataset
from multiscale.datasets.decoding import SAMPLE_RATE
from multiscale.datasets.preparing import Report, Track, digest, printable
from multiscale.store import atomic_write

COLUMNS = ("path", "split", "artist", "title", "licence", "file", "seconds", "level_db", "tags")
"""Of the table of clips on disk."""


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


def save(
    folder: Path,
    identity: dict[str, Any],
    clips: pd.DataFrame,
    skipped: pd.DataFrame,
    tag_names: Sequence[str],
) -> None:
    """Write a data set's tables, that of the clips last.

    Parameters
    ----------
    folder : Path
        Where its clips are.
    identity : dict
        All that determines the clips.
    clips : DataFrame
        As :func:`clip_table` makes it.
    skipped : DataFrame
        Files that cannot be used, and why.
    tag_names : sequence of str
        Tags kept.
    """
    tables = _tables(folder, identity)
    tables.mkdir(parents=True, exist_ok=True)
    _write(tables / "skipped.csv", skipped.to_csv(index=False, lineterminator="\n"))
    _write(tables / "tags.json", json.dumps(tag_names))
    _write(tables / "clips.csv", clips.to_csv(lineterminator="\n"))


def clip_table(
    tracks: Sequence[Track], reports: Sequence[Report], splits: Sequence[str]
) -> pd.DataFrame:
    """Table of the clips of tracks.

    Parameters
    ----------
    tracks : sequence of Track
        Files of music.
    reports : sequence of Report
        What became of each.
    splits : sequence of str
        The split of each.

    Returns
    -------
    DataFrame of shape (n_clips, 9)
        Columns :data:`COLUMNS`; the index is the clip's id.
    """
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
        for track, report, split in zip(tracks, reports, splits, strict=True)
        for clip in report.clips
    ]
    return pd.DataFrame(rows).set_index("clip")[list(COLUMNS)]


def _tables(folder: Path, identity: dict[str, Any]) -> Path:
    return folder / "tables" / digest(json.dumps(identity, sort_keys=True))


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
