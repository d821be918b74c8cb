"""Soundtracks: real recordings under free licences, from Debian's packages of game music.

A fixed list of packages (``soundtracks.csv``), small before large. A set of few clips is the
beginning of the list: it needs the first packages alone, and is part of every larger one. All
clips of a track are in one split; artists cross, unless split by them. There are no tags.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import catalogue, soundtracks_packages
from multiscale.datasets import soundtracks_credits as credits
from multiscale.datasets.base import ClipDataset
from multiscale.datasets.decoding import RULES, SAMPLE_RATE, SHORTEST
from multiscale.datasets.preparing import Track, digest
from multiscale.datasets.soundtracks_packages import Package
from multiscale.datasets.soundtracks_splits import Counted, deal

NOTICE = (
    "Game music that Debian distributes, under free licences; author and licence of each track "
    "are in the columns 'artist' and 'licence', the package it is from in 'source'."
)

Found = TypeVar("Found")

LISTED_SECONDS = 29
"""Length of the clips that the list counts."""

SHORTEST_TRACK = 20.0
"""In s; what is shorter is a jingle or an effect."""


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


def n_clips(settings: DatasetSettings) -> int:
    """Clips that :func:`prepare` gives: counted in packages that are there, listed for others.

    Raises
    ------
    ParameterError
        As for :func:`identity`.
    """
    versions = _until_enough(settings, soundtracks_packages.version)
    total = 0
    for row in credits.table("packages"):
        package = soundtracks_packages.recorded(row)
        if package is not None and versions.get(row["package"]):
            total += sum(count for _, count in _tracks(package, settings.clip_seconds)[0])
        elif versions.get(row["package"]):
            total += _listed_clips(row, settings.clip_seconds)
    return total if settings.n_clips is None else min(total, settings.n_clips)


def identity(settings: DatasetSettings) -> dict:
    """All that determines the clips: settings, the tables, the versions of the packages.

    A version is that of the package that has been fetched, else of the one that would be: so
    the identity is the same before and after.

    Raises
    ------
    ParameterError
        If a package has not been fetched, and apt cannot say what it would fetch.
    """
    versions = _until_enough(settings, soundtracks_packages.version)
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
    tracks = deal([counted for counted, _ in groups], settings)
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


def _until_enough(settings: DatasetSettings, look_up: Callable[[dict], Found]) -> dict[str, Found]:
    """Look up package after package of the list, until those found surely hold so many clips."""
    found, sure = {}, 0
    for row in credits.table("packages"):
        if settings.n_clips is not None and sure >= settings.n_clips:
            break
        found[row["package"]] = look_up(row)
        if found[row["package"]]:
            sure += _listed_clips(row, settings.clip_seconds)
    return found


def _listed_clips(row: dict[str, str], clip_seconds: float) -> int:
    """Clips of a package as the list has it; of another length, at least."""
    n_clips = int(row["clips"])
    if clip_seconds == LISTED_SECONDS:
        return n_clips
    # A track leaves less than a clip over.
    return max(0, int(n_clips * LISTED_SECONDS / clip_seconds) - int(row["tracks"]))


def _obtain(settings: DatasetSettings) -> tuple[list[Package], list[tuple[str, str]]]:
    """The packages that are needed, and why some are missing."""
    found = _until_enough(settings, soundtracks_packages.obtain)
    missing = [name for name, package in found.items() if package is None]
    if len(missing) == len(found):
        raise ParameterError(
            f"soundtracks: expected packages such as {missing[0]} in the sources of this system "
            "(Debian's main, Ubuntu's universe), got none of them"
        )
    reason = "no such package in the sources of this system"
    packages = [package for package in found.values() if package is not None]
    return packages, [(name, reason) for name in missing]


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
            n_samples = round(facts["seconds"] * SAMPLE_RATE)
            tracks.append((track, max(1, n_samples // round(clip_seconds * SAMPLE_RATE))))
    return tracks, left_out
