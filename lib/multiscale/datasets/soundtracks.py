"""Soundtracks: real recordings under free licences, from Debian's packages of game music.

A fixed list of packages (``soundtracks.csv``), small before large. A set of few clips is the
beginning of the list: it needs the first packages alone, and is part of every larger one. All
clips of a track are in one split; artists cross, unless split by them. There are no tags.
"""

from __future__ import annotations

import json
from dataclasses import replace

from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import catalogue, soundtracks_packages, splitting
from multiscale.datasets import soundtracks_credits as credits
from multiscale.datasets.base import SPLITS, ClipDataset
from multiscale.datasets.decoding import RULES, SHORTEST
from multiscale.datasets.preparing import Track, digest
from multiscale.datasets.soundtracks_packages import Package

NOTICE = (
    "Game music that Debian distributes, under free licences; author and licence of each track "
    "are in the columns 'artist' and 'licence', the package it is from in 'source'."
)

SHORTEST_TRACK = 20.0
"""In s; what is shorter is a jingle or an effect."""

Counted = tuple[Track, int]
"""A track and the clips that it gives."""


def prepare(settings: DatasetSettings, n_workers: int | None = None) -> ClipDataset:
    """Fetch, unpack and cut what has not been, and return the clips.

    Parameters
    ----------
    settings : DatasetSettings
        Number and length of the clips, what splits are made by, seed.
    n_workers : int, optional
        Processes that decode; as many as cores by default.

    Returns
    -------
    ClipDataset
        The clips, without tags; packages and files that were left out are in ``skipped``. A
        further column ``source`` names each clip's package and its version.

    Raises
    ------
    ParameterError
        If packages cannot be fetched, or ``settings.n_clips`` is too small for three splits.
    AudioError
        If a package is broken.
    """
    dataset = catalogue.prepare(collection(settings), _all_of(settings), n_workers)
    dataset = dataset[: settings.n_clips]
    sources = {
        package.name: f"{package.name} {package.version}" for package in _obtain(settings)[0]
    }
    source = dataset.clips["file"].str.partition("/")[0].map(sources)
    return replace(dataset, clips=dataset.clips.assign(source=source))


def prepare_part(settings: DatasetSettings, part: int, n_parts: int) -> None:
    """Cut one share of the tracks, in this process; see :func:`prepare`."""
    catalogue.prepare_share(collection(settings), _all_of(settings), part, n_parts)


def identity(settings: DatasetSettings) -> dict:
    """All that determines the clips: settings, the tables, the versions of the packages.

    A version is that of the package that has been fetched, else of the one that would be: so
    the identity is the same before and after.

    Raises
    ------
    ParameterError
        If a package has not been fetched, and apt cannot say what it would fetch.
    """
    versions = {row["package"]: soundtracks_packages.version(row) for row in _needed(settings)}
    tables = digest(json.dumps([credits.table(name) for name in credits.TABLES]))
    return {**settings.model_dump(), "rules": RULES, "tables": tables, "versions": versions}


def collection(settings: DatasetSettings) -> catalogue.Collection:
    """Fetch and unpack the packages that are needed, and give their tracks with their splits.

    Parameters
    ----------
    settings : DatasetSettings
        As for :func:`prepare`.

    Returns
    -------
    Collection
        The tracks.

    Raises
    ------
    ParameterError, AudioError
        As for :func:`prepare`.
    """
    packages, skipped = _obtain(settings)
    groups = [_tracks(package, settings.clip_seconds) for package in packages]
    left_out = [row for _, rows in groups for row in rows]
    tracks = _enough(_with_splits([counted for counted, _ in groups], settings), settings.n_clips)
    facts = repr([(t.key, t.artist, t.title, t.licence, t.split) for t in tracks])
    return catalogue.Collection(
        "soundtracks",
        catalogue.place("soundtracks", "debian", settings),
        {**settings.model_dump(), "rules": RULES, "tracks": digest(facts)},
        NOTICE,
        tuple(tracks),
        (*skipped, *left_out),
    )


def _all_of(settings: DatasetSettings) -> DatasetSettings:
    """Settings under which the catalogue takes all tracks it is given, in order."""
    return settings.model_copy(update={"n_clips": None})


def _needed(settings: DatasetSettings) -> list[dict[str, str]]:
    """The beginning of the list of packages that surely holds so many clips."""
    rows, sure = [], 0.0
    for row in credits.table("packages"):
        if settings.n_clips is not None and sure >= settings.n_clips:
            break
        rows.append(row)
        # A track leaves less than a clip over.
        clips = 60 * float(row["minutes"]) / settings.clip_seconds - float(row["tracks"])
        sure += max(clips, 0)
    return rows


def _obtain(settings: DatasetSettings) -> tuple[list[Package], list[tuple[str, str]]]:
    """The packages that are needed, and why some are missing."""
    packages, skipped = [], []
    for row in _needed(settings):
        found = soundtracks_packages.obtain(row)
        if found is None:
            skipped.append((row["package"], "no such package in the sources of this system"))
        else:
            packages.append(found)
    if not packages:
        raise ParameterError(
            f"soundtracks: expected packages such as {skipped[0][0]} in the sources of this system "
            "(Debian's main, Ubuntu's universe), got none of them"
        )
    return packages, skipped


def _tracks(package: Package, clip_seconds: float) -> tuple[list[Counted], list[tuple[str, str]]]:
    """Tracks of a package, and the files that are left out."""
    texts, tracks, left_out = package.texts(), [], []
    shortest = max(SHORTEST_TRACK, SHORTEST * clip_seconds)
    for facts in package.tracks:
        name = f"{package.name}/{'/'.join(facts['file'].split('/')[-2:])}"
        if reason := facts.get("reason"):
            left_out.append((name, reason))
        elif facts["seconds"] < shortest:
            reason = f"expected music of {shortest:g} s at least, got {facts['seconds']:.1f} s"
            left_out.append((name, reason))
        else:
            known = credits.credit(package.name, facts["file"], facts["comments"], texts)
            track = Track.of(package.folder / facts["file"], name, **vars(known))
            # Resampling may take a few samples of what would just be a clip.
            tracks.append((track, max(1, int((facts["seconds"] - 0.1) // clip_seconds))))
    return tracks, left_out


def _with_splits(groups: list[list[Counted]], settings: DatasetSettings) -> list[Counted]:
    """Deal out the tracks package by package: a later one does not move those before it."""
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
