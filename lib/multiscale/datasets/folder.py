"""Your own music: a table of files, or folders of audio where the folder is the artist.

A table has a column ``path`` and may have ``artist``, ``tags`` (separated by ``;``), ``split``,
``title`` and ``licence``; other columns are ignored. Paths are relative to the table's folder;
as the table is the reader's own, they may be absolute or climb with ``..``. A row that cannot be
used is listed with its line, and the rest goes on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import unicodedata
from pathlib import Path

from multiscale.config import DatasetSettings, ParameterError
from multiscale.datasets import catalogue
from multiscale.datasets.base import SPLITS, ClipDataset
from multiscale.datasets.decoding import RULES
from multiscale.datasets.preparing import Track, digest, printable
from multiscale.datasets.tables import read_rows, read_text

NOTICE = "The reader's own collection of music; nobody else's permission to copy it is implied."

TABLES = (".csv", ".tsv", ".txt")
"""Endings of a table's name."""

READABLE = re.compile(
    r"\.(aif|aifc|aiff|au|caf|flac|mp1|mp2|mp3|oga|ogg|opus|rf64|snd|w64|wav)", re.IGNORECASE
)
"""Endings of names of audio that libsndfile reads."""

FOR_FFMPEG = re.compile(
    r"\.(aac|ac3|alac|amr|ape|dsf|m4a|m4b|mka|mp4|mpc|spx|tta|webm|wma|wv)", re.IGNORECASE
)
"""Endings of names of other audio. What a file is read by depends on its content alone."""


def prepare(settings: DatasetSettings, n_workers: int | None = None) -> ClipDataset:
    """Cut the reader's music into clips, where that has not been done.

    Parameters
    ----------
    settings : DatasetSettings
        ``path``, number and length of the clips, number of tags, what splits are made by, seed.
    n_workers : int, optional
        Processes; as many as cores by default.

    Returns
    -------
    ClipDataset
        The clips; what could not be used is in ``skipped``.

    Raises
    ------
    ParameterError
        If there is no such table or folder, or too little music for three splits.
    AudioError
        If no file can be used.
    """
    return catalogue.prepare(collection(settings), settings, n_workers)


def prepare_part(settings: DatasetSettings, part: int, n_parts: int) -> None:
    """Cut one share of the files, in this process; see :func:`prepare`."""
    catalogue.prepare_share(collection(settings), settings, part, n_parts)


def identity(settings: DatasetSettings) -> dict:
    """All that determines the clips: settings, the table's text, every file's size and time."""
    return collection(settings).identity


def collection(settings: DatasetSettings) -> catalogue.Collection:
    """Find the reader's files.

    Parameters
    ----------
    settings : DatasetSettings
        Their ``path``.

    Returns
    -------
    Collection
        The files, and the rows that cannot be used.

    Raises
    ------
    ParameterError
        If there is no such table or folder.
    """
    path = Path(os.path.abspath(settings.path)) if settings.path else None
    if path is not None and path.is_dir():
        tracks, skipped, text = _scanned(path), [], ""
    elif path is not None and path.is_file() and path.suffix.lower() in TABLES:
        tracks, skipped = _listed(path)
        text = read_text(path)
    else:
        raise ParameterError(
            f"path: expected a folder of audio or a table ({', '.join(TABLES)}), "
            f"got {settings.path!r}"
        )
    # Whether ffmpeg is there determines the clips, if there are files for it.
    for_ffmpeg = any(FOR_FFMPEG.fullmatch(track.path.suffix) for track in tracks)
    ffmpeg = for_ffmpeg and shutil.which("ffmpeg") is not None
    facts = json.dumps([text, [track.key for track in tracks], skipped, ffmpeg])
    return catalogue.Collection(
        "folder",
        catalogue.place("folder", str(path), settings),
        {**settings.model_dump(), "rules": RULES, "files": digest(facts)},
        NOTICE,
        tuple(tracks),
        tuple(skipped),
    )


def _scanned(root: Path) -> list[Track]:
    """Audio below a folder, in the order of names; the first folder on the way is the artist."""
    tracks = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = Path(folder, file)
            hidden = file.startswith(".") or not path.is_file()
            audio = READABLE.fullmatch(path.suffix) or FOR_FFMPEG.fullmatch(path.suffix)
            if audio and not hidden:
                name = path.relative_to(root)
                artist = name.parts[0] if len(name.parts) > 1 else ""
                tracks.append(Track.of(path, name.as_posix(), artist=artist, title=path.stem))
    return tracks


def _listed(table: Path) -> tuple[list[Track], list[tuple[str, str]]]:
    """Tracks of a table, and the rows that cannot be used."""
    tracks, skipped, seen = [], [], {}
    for line, row in read_rows(table, ("path",)):
        name = row["path"] if isinstance(row, dict) else ""
        try:
            if isinstance(row, str):
                raise ParameterError(row)
            path = _find(table.parent, name)
            if path in seen:
                raise ParameterError(f"the same file as in line {seen[path]}")
            tracks.append(_track(path, row))
            seen[path] = line
        except ParameterError as error:
            skipped.append((printable(name), f"{table.name}, line {line}: {error}"))
    return tracks, skipped


def _track(path: Path, row: dict[str, str]) -> Track:
    split = row.get("split", "").lower()
    if split and split not in SPLITS:
        raise ParameterError(f"split: expected train, valid, test or nothing, got {split!r}")
    tags = (tag.strip() for tag in row.get("tags", "").split(";"))
    return Track.of(
        path,
        row["path"],
        artist=row.get("artist", ""),
        title=row.get("title") or path.stem,
        licence=row.get("licence", ""),
        split=split,
        tags=tuple(dict.fromkeys(tag for tag in tags if tag)),
    )


def _find(folder: Path, name: str) -> Path:
    """The file that a table means, accents and slashes written in whichever way."""
    if not name:
        raise ParameterError("expected a path, got nothing")
    slashed = name.replace("\\", "/")
    spellings = [name, slashed, *(unicodedata.normalize(f, slashed) for f in ("NFC", "NFD"))]
    for spelling in spellings:
        if os.path.isfile(os.path.join(folder, spelling)):
            return Path(os.path.normpath(os.path.join(folder, spelling)))
    if os.path.isdir(os.path.join(folder, name)):
        raise ParameterError("expected a file, got a folder")
    raise ParameterError("expected a file, got nothing there")
