"""From files of music to clips on disk, in parallel, until there are enough; again after a kill.

Every file that gives clips gets a report beside them, written last: where there is a report, the
clips are whole. Clips are named after the file's path, size and time, so a file that changed is
cut anew, and one that did not is not.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from multiscale.config import AudioError
from multiscale.datasets.clips import cut, write_clip
from multiscale.identity import atomic_write
from multiscale.progress import progress

Report = dict[str, Any]
"""What became of a file: "clips", each with its path, seconds and level_db, or else the "reason"
why there are none."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors that mean that there is no room left."""

STALE_SECONDS = 600
"""Age at which a half-written file is taken for one that a killed process left."""


@dataclass(frozen=True)
class Track:
    """A file of music, and what is known of it; empty where it is not."""

    path: Path
    name: str  # what the reader calls it; printable
    key: str  # what its clips are called
    artist: str = ""
    title: str = ""
    licence: str = ""
    split: str = ""
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, name: str, **known: Any) -> Track:
        """Describe a file, its clips called after its name, size and time."""
        stat = os.stat(path)
        stem = re.sub(r"[^a-z0-9]+", "-", Path(name).stem.lower()).strip("-")[:40]
        key = f"{stem or 'clip'}-{digest(f'{name} {stat.st_size} {stat.st_mtime_ns}')}"
        return cls(path, printable(name), key, **known)


def prepare_tracks(
    tracks: Sequence[Track],
    folder: Path,
    clip_seconds: float,
    max_clips: int | None = None,
    n_clips: int | None = None,
    n_workers: int | None = None,
) -> list[Report]:
    """Cut files into clips of a folder, in order, until there are ``n_clips``, in some processes.

    There is a report for each file up to the one that completes ``n_clips``; few others are cut.
    A full disk is an OSError, and what was done is kept.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    reports, left = [], sys.maxsize if n_clips is None else n_clips
    wanted = takewhile(lambda _: left > 0, tracks)  # as they are dealt out, while others are done
    # loky's processes do not run the caller's script again, so it needs no main guard.
    work = Parallel(n_workers or os.cpu_count() or 1, return_as="generator")
    made = work(delayed(prepare_track)(track, folder, clip_seconds, max_clips) for track in wanted)
    for report in progress(made, total=len(tracks), unit="file"):
        if left > 0:
            reports.append(report | {"clips": report["clips"][:left]})
            left -= len(reports[-1]["clips"])
    return reports


def prepare_track(
    track: Track, folder: Path, clip_seconds: float, max_clips: int | None = None
) -> Report:
    """Cut one file into clips and write them and the report, unless that has been done."""
    path = folder / "clips" / f"{track.key}.json"
    if report := _finished(path, folder):
        return report
    clips = []
    try:
        for signal in cut(track.path, clip_seconds, max_clips):
            level = 10 * np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-12)
            clip = f"clips/{track.key}-{len(clips):03d}.wav"
            write_clip(folder / clip, signal)
            facts = {"path": clip, "seconds": clip_seconds, "level_db": round(float(level), 1)}
            clips.append(facts)
    except (AudioError, OSError) as error:
        for clip in clips:
            (folder / clip["path"]).unlink(missing_ok=True)
        if isinstance(error, AudioError):  # not kept: another time it may be read
            reason = printable(str(error).removeprefix(f"{track.path}: "))
            return {"file": track.name, "clips": [], "reason": reason}
        if error.errno not in FULL:
            raise
        message = "the disk is full; what is done is kept: make room, then prepare again"
        raise OSError(error.errno, message, str(folder)) from error
    report = {"file": track.name, "clips": clips, "reason": ""}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(report), encoding="utf-8")
    return report


def _finished(path: Path, folder: Path) -> Report | None:
    """Report of a file whose clips are all there; None if there is work to do."""
    try:
        report = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return report if all((folder / clip["path"]).is_file() for clip in report["clips"]) else None


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for path in folder.rglob(".writing-*"):
        # The writer of a younger one may be alive.
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)


def digest(text: str) -> str:
    """Short hash of a text, which need not be valid Unicode."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def printable(text: str) -> str:
    """A text with what is no valid Unicode, or would break a line, written as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
