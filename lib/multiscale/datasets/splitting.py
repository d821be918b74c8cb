"""Splits for music that has none: by file or by artist, stratified, from a seed alone.

With one split per file, an artist's files are dealt out in units of two clips or more, for
similarity needs a second clip of the same artist within a split. A unit goes where its artist
and its tags are furthest behind, among the splits that are not yet full.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from multiscale.config import SPLITS, ParameterError
from multiscale.datasets.tracks import Track, digest

SHARES = {"train": 0.7, "valid": 0.1, "test": 0.2}
"""Of the clips."""

EVERY = ("all", "")
"""Label of any clip, beside those of its tags and its artist."""


def assign(
    tracks: Sequence[Track], n_clips: Sequence[int], split_by: str = "file", seed: int = 0
) -> list[str]:
    """The split of each file, which has so many clips; a ParameterError if one would stay empty.

    Files that have a split keep it; files without an artist are split one by one. ``split_by`` says
    what never crosses splits, the seed in which order files are dealt out.
    """
    splits = [track.split for track in tracks]

    def counted(files: Iterable[int]) -> Counter:
        """Clips of some files by label."""
        counts = Counter()
        for i in files:
            counts.update(dict.fromkeys(_labels(tracks[i], split_by), n_clips[i]))
        return counts

    every = range(len(tracks))
    total = counted(every)
    filled = {split: counted(i for i in every if splits[i] == split) for split in SPLITS}
    units = {split: [] for split in SPLITS}
    dealt = _units(tracks, n_clips, split_by, seed)
    for unit in dealt:
        carried = counted(unit)
        split = _least_filled(filled, total, carried)
        filled[split].update(carried)
        units[split].append(unit)
    _leave_none_empty(units, [split for split in splits if split])
    for split in SPLITS:
        for i in (i for unit in units[split] for i in unit):
            splits[i] = split
    empty = ", ".join(sorted(set(SPLITS) - set(splits)))
    if empty:
        raise ParameterError(
            f"splits: expected clips in each of train, valid and test (at least 3 {split_by}s "
            f"that can be used), got {len(dealt)} to deal out and none in {empty}"
        )
    return splits


def _units(tracks, n_clips, split_by: str, seed: int) -> list[list[int]]:
    """Files that stay together, in a random order that depends on the seed and their names."""
    free = [i for i, track in enumerate(tracks) if not track.split]
    free.sort(key=lambda i: digest(f"{seed} {tracks[i].name}"))
    by_artist: dict[str, list[list[int]]] = {}
    for i in free:
        # A file without an artist is like one of an artist of its own.
        units = by_artist.setdefault(tracks[i].artist or f"\0{i}", [])
        whole = units and split_by == "file" and sum(n_clips[j] for j in units[-1]) >= 2
        if not units or whole:
            units.append([])
        units[-1].append(i)
    for units in by_artist.values():
        if len(units) > 1 and sum(n_clips[i] for i in units[-1]) < 2:
            last = units.pop()
            units[-1] += last
    every = [unit for units in by_artist.values() for unit in units]
    return sorted(every, key=lambda unit: digest(f"{seed} {tracks[unit[0]].name}"))


def _labels(track: Track, split_by: str) -> set[tuple[str, str]]:
    """What the splits should have alike: all clips, tags, and artists unless split by them."""
    labels = {EVERY, *(("tag", tag) for tag in track.tags)}
    return labels | {("artist", track.artist)} if split_by == "file" and track.artist else labels


def _least_filled(filled: dict[str, Counter], total: Counter, carried: Counter) -> str:
    """The split, not full yet, in which the labels of a unit are furthest behind their share."""
    count = carried[EVERY]
    room = {split: SHARES[split] * total[EVERY] - filled[split][EVERY] for split in SPLITS}
    choice = [split for split in SPLITS if room[split] >= count / 2] or [max(room, key=room.get)]

    def fullness(split: str) -> float:
        parts = [(filled[split][x] + count) / (SHARES[split] * total[x]) for x in sorted(carried)]
        return float(np.mean(parts))

    return min(choice, key=fullness)


def _leave_none_empty(units: dict[str, list[list[int]]], given: list[str]) -> None:
    """Move a unit from the split that has most to each that has none."""
    for split in SPLITS:
        richest = max(units, key=lambda name: len(units[name]))
        if not units[split] and split not in given and len(units[richest]) > 1:
            units[split].append(units[richest].pop())
