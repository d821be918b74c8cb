"""Collections: tracks in, a data set out, its tables kept on disk.

What :mod:`~multiscale.datasets.magnatagatune` and :mod:`~multiscale.datasets.folder` share: each
finds its tracks; from there on they are treated alike. The table of clips is written last, once
all clips are there.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from multiscale.config import AudioError, data_home
from multiscale.datasets import clips as cutting
from multiscale.datasets import splitting, tracks
from multiscale.datasets.base import NO_SKIPPED, ClipDataset, DatasetSettings, most_frequent
from multiscale.datasets.tracks import Report, Track, digest, printable
from multiscale.identity import atomic_write, module_digests

COLUMNS = ("path", "split", "artist", "title", "licence", "file", "seconds", "level_db", "tags")
"""Of the table of clips on disk."""


class Gathered(NamedTuple):
    """What a collection is made of."""

    tracks: list[Track]
    skipped: list[tuple[str, str]]  # files that cannot be used, and why
    tag_names: tuple[str, ...] | None = None  # those kept; None: the most frequent ones in train


class Collection(ABC):
    """Tracks that are to be a data set, of some settings."""

    name: str
    notice: str
    max_clips: int | None = None  # of a track
    origin: str  # where the files lie: their clips share a folder, whatever the other settings
    identity: dict[str, Any]  # all that determines the clips and their tables

    def __init__(self, settings: DatasetSettings):
        self.settings = settings

    @abstractmethod
    def gathered(self) -> Gathered:
        """Find or fetch the tracks."""

    @property
    def folder(self) -> Path:
        """Folder of the clips."""
        code = module_digests(cutting.__name__)[cutting.__name__]
        key = digest(f"{code} {self.origin} {self.settings.clip_seconds}")
        return data_home() / "datasets" / f"{self.name}-{key}"

    @property
    def tables(self) -> Path:
        """Folder of the tables."""
        return self.folder / "tables" / digest(json.dumps(self.identity, sort_keys=True))

    def load(self, n_workers: int | None = None) -> ClipDataset:
        """Cut what is not cut yet, and return the clips."""
        if (found := self.stored()) is not None:
            return found  # without a lock, which whoever may only read could not take
        self.folder.mkdir(parents=True, exist_ok=True)
        # One process prepares; another that wants the same clips waits, then finds them.
        with FileLock(self.folder / "lock"):
            if (found := self.stored()) is None:
                self._prepare(n_workers)
                tracks.remove_stale(self.folder)
                found = self.stored()
        return found

    def prepare_part(self, part: int, n_parts: int) -> None:
        """Cut every ``n_parts``-th track from ``part`` on, in this process."""
        (self.folder / "clips").mkdir(parents=True, exist_ok=True)
        # No file need give more than one clip; load cuts what this leaves out, if any.
        wanted = self._in_order(self.gathered().tracks)[: self.settings.n_clips]
        for track in wanted[part::n_parts]:
            tracks.prepare_track(track, self.folder, self.settings.clip_seconds, self.max_clips)

    def n_clips(self) -> int:
        """Clips that :meth:`load` gives."""
        return len(self.load())

    def check(self, dataset: ClipDataset) -> list[str]:
        """A sentence for each count that is not as published."""
        return []

    def stored(self) -> ClipDataset | None:
        """The data set from disk; None if its tables are none, or a clip in them is gone."""
        text = {"dtype": str, "keep_default_na": False}
        folder, tables = self.folder, self.tables
        try:
            clips = pd.read_csv(tables / "clips.csv", index_col="clip", **text)
            skipped = pd.read_csv(tables / "skipped.csv", **text)[list(NO_SKIPPED)]
            names = tuple(json.loads((tables / "tags.json").read_text("utf-8")))
            clips = clips[list(COLUMNS)].astype({"seconds": float, "level_db": float})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if not all(os.path.isfile(folder / path) for path in clips["path"]):
            return None
        carried = [set(tags.split(";")) for tags in clips.pop("tags")]
        tags = np.array([[name in own for name in names] for own in carried], bool)
        clips["artist"] = clips["artist"].astype(object).where(clips["artist"] != "", None)
        rate = cutting.SAMPLE_RATE
        return ClipDataset(self.name, folder, clips, tags, names, rate, self.notice, skipped)

    def _in_order(self, tracks: list[Track]) -> list[Track]:
        """Shuffled where only some are wanted: a smaller set is then part of a larger one."""
        if self.settings.n_clips is None:
            return tracks
        return sorted(tracks, key=lambda track: digest(f"{self.settings.seed} {track.name}"))

    def _prepare(self, n_workers: int | None) -> None:
        """Cut the clips, and write the tables."""
        settings, found = self.settings, self.gathered()
        every = self._in_order(found.tracks)
        lengths = (settings.clip_seconds, self.max_clips, settings.n_clips)
        reports = tracks.prepare_tracks(every, self.folder, *lengths, n_workers)
        pairs = list(zip(every, reports, strict=False))  # no report: not wanted
        failed = [(track.name, report["reason"]) for track, report in pairs if report["reason"]]
        skipped = pd.DataFrame([*found.skipped, *failed], columns=NO_SKIPPED.columns)
        if len(failed) == len(pairs):
            first = "; ".join(": ".join(row) for row in skipped.to_numpy()[:3])
            raise AudioError(
                f"{self.name}: expected at least one file that can be used, got none of "
                f"{len(skipped)}: {first or 'there is no audio'}"
            )
        used = [(track, report["clips"]) for track, report in pairs if report["clips"]]
        clips = _clip_table(used, settings)
        names = found.tag_names
        if names is None:
            names = most_frequent(clips.loc[clips["split"] == "train", "tags"], settings.n_tags)
        self.tables.mkdir(parents=True, exist_ok=True)
        for name, text in {
            "skipped.csv": skipped.to_csv(index=False, lineterminator="\n"),
            "tags.json": json.dumps(names),
            "clips.csv": clips.to_csv(lineterminator="\n"),
        }.items():
            with atomic_write(self.tables / name) as temporary:
                temporary.write_text(text, encoding="utf-8", newline="\n")


def _clip_table(used: list[tuple[Track, Report]], settings: DatasetSettings) -> pd.DataFrame:
    """Table of the clips of tracks, COLUMNS by the clip's id."""
    counts = [len(clips) for _, clips in used]
    files = [track for track, _ in used]
    splits = splitting.assign(files, counts, settings.split_by, settings.seed)
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
