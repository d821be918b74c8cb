"""Gathering: many files of music to clips, in parallel, until there are enough."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from joblib import Parallel, delayed
from tqdm import tqdm

from multiscale.datasets.preparing import Report, Track, finished, prepare_track

WAVE = 32
"""Files per process between two looks at whether there are clips enough."""

STALE_SECONDS = 600
"""Age at which a half-written file is taken for one that a killed process left."""


def prepare_tracks(
    tracks: Sequence[Track],
    folder: Path,
    clip_seconds: float,
    max_clips: int | None = None,
    n_clips: int | None = None,
    n_workers: int | None = None,
) -> list[Report]:
    """Cut files into clips, in order, until there are enough.

    Parameters
    ----------
    tracks : sequence of Track
        Files of music.
    folder : Path
        Where the folder ``clips`` is, or will be.
    clip_seconds : float
        Length of a clip, in s.
    max_clips : int, optional
        Clips per file, at most.
    n_clips : int, optional
        Clips that are wanted; files after those that give them are left alone.
    n_workers : int, optional
        Processes; as many as cores by default.

    Returns
    -------
    list of Report
        One for each track, up to the one that completes ``n_clips``.

    Raises
    ------
    OSError
        If the disk is full. What was done is kept.
    """
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    n_workers = n_workers or os.cpu_count() or 1
    work = partial(prepare_track, folder=folder, clip_seconds=clip_seconds, max_clips=max_clips)
    reports: list[Report] = []
    # loky's processes do not run the caller's script again, so it needs no main guard.
    with Parallel(n_workers) as pool, tqdm(total=len(tracks), unit="file") as progress:
        while len(reports) < len(tracks):
            # A file need not give more than one clip, so no more files than clips are wanted.
            wanted = len(tracks) if n_clips is None else n_clips - _count(reports)
            if wanted <= 0:
                break
            wave = tracks[len(reports) :][: min(wanted, WAVE * n_workers)]
            found = [finished(track, folder) for track in wave]
            missing = [track for track, report in zip(wave, found, strict=True) if not report]
            made = iter(pool(delayed(work)(track) for track in missing) if missing else ())
            reports += [report or next(made) for report in found]
            progress.update(len(wave))
    return reports if n_clips is None else _enough(reports, n_clips)


def _count(reports: list[Report]) -> int:
    return sum(len(report.clips) for report in reports)


def _enough(reports: list[Report], n_clips: int) -> list[Report]:
    """The first reports, as many as have ``n_clips`` clips, and of the last no more than those."""
    kept = []
    for report in reports:
        kept.append(Report(report.clips[:n_clips], report.reason))
        n_clips -= len(kept[-1].clips)
        if n_clips == 0:
            break
    return kept


def remove_stale(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for path in folder.rglob(".writing-*"):
        # The writer of a younger one may be alive.
        if time.time() - path.stat().st_mtime > STALE_SECONDS:
            path.unlink(missing_ok=True)
