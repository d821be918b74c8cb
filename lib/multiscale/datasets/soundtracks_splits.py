"""Splits of soundtracks, package by package: a later package moves no track of those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import splitting
from multiscale.datasets.base import SPLITS
from multiscale.datasets.preparing import Track

Counted = tuple[Track, int]
"""A track and the clips that it gives."""


def deal(groups: Sequence[list[Counted]], settings: DatasetSettings) -> list[Track]:
    """Give each track its split, and choose the first that hold enough clips.

    Parameters
    ----------
    groups : sequence of list of (Track, int)
        Tracks of each package, with the clips of each.
    settings : DatasetSettings
        Number of clips, what splits are made by, seed.

    Returns
    -------
    list of Track
        Tracks with their splits, package after package.

    Raises
    ------
    ParameterError
        If there are too few for three splits.
    """
    return _enough(_with_splits(groups, settings), settings.n_clips)


def _with_splits(groups: Sequence[list[Counted]], settings: DatasetSettings) -> list[Counted]:
    dealt: list[Counted] = []
    waiting: list[Counted] = []
    for group in groups:
        waiting += group
        if settings.split_by == "artist":
            home = {track.artist: track.split for track, _ in dealt if track.artist}
            waiting = [(replace(t, split=home.get(t.artist, "")), n) for t, n in waiting]
        tracks = [track for track, _ in [*dealt, *waiting]]
        counts = [count for _, count in [*dealt, *waiting]]
        try:
            splits = splitting.assign(tracks, counts, settings.split_by, settings.seed)
        except ParameterError:
            # Too few for three splits so far: together with the next package, then.
            if group is groups[-1]:
                raise
            continue
        known = [(replace(t, split=s), n) for t, n, s in zip(tracks, counts, splits, strict=True)]
        dealt += _one_of_each_first(known[len(dealt) :])
        waiting = []
    return dealt


def _one_of_each_first(tracks: list[Counted]) -> list[Counted]:
    """The first track of each split before the others, so that small sets have all three."""
    firsts = {track.split: track.key for track, _ in reversed(tracks)}.values()
    return sorted(tracks, key=lambda counted: counted[0].key not in firsts)


def _enough(tracks: list[Counted], n_clips: int | None) -> list[Track]:
    """The first tracks, until there are clips enough."""
    chosen, total = [], 0
    for track, count in tracks:
        if n_clips is not None and total >= n_clips:
            break
        chosen.append(track)
        total += count
    missing = set(SPLITS) - {track.split for track in chosen}
    if missing:
        raise ParameterError(
            "n_clips: expected enough for each of train, valid and test, got "
            f"{n_clips}, none of them in {', '.join(sorted(missing))}"
        )
    return chosen
