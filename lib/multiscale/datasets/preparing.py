"""Preparing: a file of music to clips on disk, again after a kill.

Every file of music gets a report beside its clips, written last: where there is a report, the
clips are whole. Clips are named after the file's path, size and time, so a file that changed is
cut anew, and one that did not is not.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from multiscale.config import AudioError
from multiscale.datasets.decoding import NO_FFMPEG, cut, write_clip
from multiscale.store import atomic_write

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors that mean that there is no room left."""


@dataclass(frozen=True)
class Track:
    """A file of music, and what is known of it; empty where it is not.

    Attributes
    ----------
    path : Path
        Where it is.
    name : str
        What the reader calls it; printable.
    key : str
        What its clips are called.
    artist, title, licence, split : str
        As in the table of clips.
    tags : tuple of str
        Tags.
    """

    path: Path
    name: str
    key: str
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


@dataclass(frozen=True)
class Report:
    """What became of a file of music.

    Attributes
    ----------
    clips : list of dict
        For each clip, its ``path`` in the folder, ``seconds`` and ``level_db``.
    reason : str
        Why there are none; empty where there are.
    """

    clips: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""


def prepare_track(
    track: Track, folder: Path, clip_seconds: float, max_clips: int | None = None
) -> Report:
    """Cut one file into clips and write them and the report, unless that has been done.

    Parameters
    ----------
    track : Track
        The file of music.
    folder : Path
        Where the folder ``clips`` is.
    clip_seconds : float
        Length of a clip, in s.
    max_clips : int, optional
        Clips of it, at most.

    Returns
    -------
    Report
        Its clips, or why there are none.

    Raises
    ------
    OSError
        If the disk is full; then no clip of this file is left.
    """
    if report := finished(track, folder):
        return report
    report, clips = Report(), []
    try:
        for signal in cut(track.path, clip_seconds, max_clips):
            level = 10 * np.log10(np.mean(signal.astype(np.float64) ** 2) + 1e-12)
            clip = f"clips/{track.key}-{len(clips):03d}.flac"
            write_clip(folder / clip, signal)
            facts = {"path": clip, "seconds": clip_seconds, "level_db": round(float(level), 1)}
            clips.append(facts)
        report = Report(clips)
    except AudioError as error:
        _remove(clips, folder)
        report = Report(reason=printable(str(error).removeprefix(f"{track.path}: ")))
    except OSError as error:
        _remove(clips, folder)
        if error.errno not in FULL:
            raise
        message = "the disk is full; what is done is kept: make room, then prepare again"
        raise OSError(error.errno, message, str(folder)) from error
    with atomic_write(_report_path(track, folder)) as temporary:
        values = {"file": track.name, "clips": report.clips, "reason": report.reason}
        temporary.write_text(json.dumps(values), encoding="utf-8")
    return report


def finished(track: Track, folder: Path) -> Report | None:
    """Report of a file whose clips are all there; None if there is work to do.

    One that failed for want of ffmpeg is tried again where there is one now.
    """
    try:
        values = json.loads(_report_path(track, folder).read_text("utf-8"))
        report = Report(values["clips"], values["reason"])
    except (OSError, ValueError, KeyError):
        return None
    whole = all((folder / clip["path"]).is_file() for clip in report.clips)
    hopeful = NO_FFMPEG in report.reason and shutil.which("ffmpeg") is not None
    return report if whole and not hopeful else None


def digest(text: str) -> str:
    """Short hash of a text, which need not be valid Unicode."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def printable(text: str) -> str:
    """A text with what is no valid Unicode, or would break a line, written as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _report_path(track: Track, folder: Path) -> Path:
    return folder / "clips" / f"{track.key}.json"


def _remove(clips: list[dict[str, Any]], folder: Path) -> None:
    for clip in clips:
        (folder / clip["path"]).unlink(missing_ok=True)
