"""MagnaTagATune, the paper's data set (§4.1): 25,863 clips of 29 s in folders 0 to f.

Downloaded from City University, or else from a mirror on the Hugging Face hub; or taken from a
copy, unpacked or in zips. Split by folder as in the paper; the 50 tags are the most frequent ones
over the whole table of annotations, as is usual, not over train alone. Every clip is cut to the
same length from its start (they last 29.1 s), and mp3s that do not decode are left out and listed.
"""

from __future__ import annotations

from pathlib import Path

from multiscale.config import DatasetSettings
from multiscale.datasets import catalogue, clip_tables, magnatagatune_files, magnatagatune_tables
from multiscale.datasets.base import ClipDataset
from multiscale.datasets.decoding import RULES
from multiscale.datasets.preparing import Track, digest

NOTICE = (
    "MagnaTagATune (Law, West, Mandel, Bay & Downie, ISMIR 2009), from the Music Informatics "
    "Research Group of City University London. Music by the artists of Magnatune, CC BY-NC-SA 1.0; "
    "for research, not for sale."
)

LICENCE = "CC BY-NC-SA 1.0 (Magnatune)"
"""Of the music."""

FOLDERS = dict.fromkeys("0123456789ab", "train") | {"c": "valid"} | dict.fromkeys("def", "test")
"""Folder -> split, as in the paper."""

PUBLISHED = {"train": 18_709, "valid": 1_825, "test": 5_329}
"""Clips of each split, with the three whose mp3s are broken."""

N_BROKEN = 3
"""Clips of train whose mp3s do not decode: clip_id 35644, 55753 and 57881."""

N_ARTISTS = 230
"""Artists of all clips."""


def prepare(settings: DatasetSettings, n_workers: int | None = None) -> ClipDataset:
    """Download and cut what has not been, and return the clips.

    Parameters
    ----------
    settings : DatasetSettings
        ``path`` of a copy, if there is one; number and length of clips, number of tags, whether
        synonyms are merged.
    n_workers : int, optional
        Processes; as many as cores by default.

    Returns
    -------
    ClipDataset
        The clips; mp3s that are missing or broken are in ``skipped``.

    Raises
    ------
    DownloadError
        If no source serves the data.
    ParameterError
        If the copy lacks something, or a table is not as published.
    AudioError
        If no mp3 can be used.
    """
    found = clip_tables.load("magnatagatune", _place(settings), identity(settings), NOTICE)
    if found is not None:
        return found
    return catalogue.prepare(collection(settings), settings, n_workers)


def prepare_part(settings: DatasetSettings, part: int, n_parts: int) -> None:
    """Cut one share of the mp3s, in this process; see :func:`prepare`."""
    catalogue.prepare_share(collection(settings), settings, part, n_parts)


def n_clips(settings: DatasetSettings) -> int:
    """Clips that :func:`prepare` gives: counted, or as published until they are downloaded."""
    found = clip_tables.load("magnatagatune", _place(settings), identity(settings), NOTICE)
    if found is None and settings.path is None:
        published = sum(PUBLISHED.values()) - N_BROKEN
        return min(settings.n_clips or published, published)
    return len(prepare(settings) if found is None else found)


def identity(settings: DatasetSettings) -> dict:
    """All that determines the clips: settings, and of a copy the times of its tables and folders.

    Raises
    ------
    ParameterError
        If there is no such copy.
    """
    stamps = ""
    if settings.path:
        facts = [(path.name, path.stat()) for path in magnatagatune_files.parts(settings.path)]
        stamps = digest(str([(name, stat.st_size, stat.st_mtime_ns) for name, stat in facts]))
    return {**settings.model_dump(), "rules": RULES, "files": stamps}


def collection(settings: DatasetSettings) -> catalogue.Collection:
    """Find or fetch the mp3s and what is said of them.

    Parameters
    ----------
    settings : DatasetSettings
        As for :func:`prepare`.

    Returns
    -------
    Collection
        The clips.

    Raises
    ------
    DownloadError, ParameterError, AudioError
        As for :func:`prepare`.
    """
    files = magnatagatune_files
    place = files.copied(settings.path) if settings.path else files.fetched()
    tracks, skipped = [], []
    table, tag_names = magnatagatune_tables.read(
        place.tables, settings.n_tags, settings.merge_synonyms
    )
    for row in table.itertuples():
        folder = row.mp3_path.split("/")[0]
        path = place.music / row.mp3_path
        if not files.CLIP.fullmatch(row.mp3_path):
            skipped.append((row.mp3_path, "expected a path such as 0/name.mp3"))
        elif row.mp3_path in place.broken:
            skipped.append((row.mp3_path, place.broken[row.mp3_path]))
        elif not path.is_file():
            skipped.append((row.mp3_path, "expected an mp3, got nothing there"))
        else:
            known = {"artist": row.artist, "title": row.title, "licence": LICENCE}
            track = Track.of(path, row.mp3_path, split=FOLDERS[folder], tags=row.tags, **known)
            tracks.append(track)
    return catalogue.Collection(
        "magnatagatune",
        _place(settings),
        identity(settings),
        NOTICE,
        tuple(tracks),
        tuple(skipped),
        tag_names,
        max_clips=1,
    )


def check(settings: DatasetSettings, dataset: ClipDataset) -> list[str]:
    """What is not as published.

    Parameters
    ----------
    settings : DatasetSettings
        Those of the data set.
    dataset : ClipDataset
        What :func:`prepare` gave.

    Returns
    -------
    list of str
        A sentence for each difference; none if all is as published, less the skipped files.
    """
    if settings.n_clips is not None:
        return []  # a part of it
    found = []
    for split, n_published in PUBLISHED.items():
        n_clips = int((dataset.clips["split"] == split).sum())
        n_skipped = sum(
            FOLDERS.get(path.split("/")[0]) == split for path in dataset.skipped["path"]
        )
        if n_clips + n_skipped != n_published:
            found.append(
                f"{split}: expected {n_published} clips less {n_skipped} skipped ones, "
                f"got {n_clips}"
            )
    n_artists = dataset.clips["artist"].nunique()
    if n_artists != N_ARTISTS:
        found.append(f"artists: expected {N_ARTISTS}, got {n_artists}")
    return found


def _place(settings: DatasetSettings) -> Path:
    origin = str(magnatagatune_files.root_of(settings.path)) if settings.path else "downloaded"
    return catalogue.place("magnatagatune", origin, settings)
