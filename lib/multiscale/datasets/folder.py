"""Your own music: a table of files, or folders of audio where the folder is the artist.

A table has a column ``path`` and may have ``artist``, ``tags`` (``;`` between them), ``split``,
``title`` and ``licence``; other columns are ignored. Paths are relative to the table's folder;
as the table is the reader's own, they may be absolute or climb with ``..``. A row that cannot be
used is listed with its line, and the rest goes on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import unicodedata
from pathlib import Path

from multiscale.config import SPLITS, ParameterError
from multiscale.datasets.base import DatasetSettings
from multiscale.datasets.collection import Collection, Gathered
from multiscale.datasets.tables import read_rows, read_text
from multiscale.datasets.tracks import Track, digest, printable
from multiscale.identity import code_digest

NOTICE = "The reader's own collection of music; nobody else's permission to copy it is implied."

TABLES = (".csv", ".tsv", ".txt")
"""Endings of a table's name."""

COLUMNS = ("artist", "tags", "split", "title", "licence")
"""Of a table, besides ``path``."""

READABLE = re.compile(
    r"\.(aif|aifc|aiff|au|caf|flac|mp1|mp2|mp3|oga|ogg|opus|rf64|snd|w64|wav)", re.IGNORECASE
)
"""Endings of names of audio that libsndfile reads."""

FOR_FFMPEG = re.compile(
    r"\.(aac|ac3|alac|amr|ape|dsf|m4a|m4b|mka|mp4|mpc|spx|tta|webm|wma|wv)", re.IGNORECASE
)
"""Endings of names of other audio. What a file is read by depends on its content alone."""


class Source(Collection):
    """The reader's own music, of some settings."""

    name, notice = "folder", NOTICE

    def __init__(self, settings: DatasetSettings):
        super().__init__(settings)
        path = Path(settings.path) if settings.path else None
        if path is not None and path.is_dir():
            self._found, text = _scanned(path), ""
        elif path is not None and path.is_file() and path.suffix.lower() in TABLES:
            self._found, text = _listed(path), read_text(path)
        else:
            raise ParameterError(
                f"path: expected a folder of audio or a table ({', '.join(TABLES)}), "
                f"got {settings.path!r}"
            )
        self.origin = str(path)
        # What can be read determines the clips too: by whom, and by ffmpeg if there are files
        # for it.
        tracks, skipped, _ = self._found
        for_ffmpeg = any(FOR_FFMPEG.fullmatch(track.path.suffix) for track in tracks)
        ffmpeg = for_ffmpeg and shutil.which("ffmpeg") is not None
        files = [(track.key, os.access(track.path, os.R_OK)) for track in tracks]
        self.identity = {
            **settings.model_dump(),
            "code": code_digest(__name__),
            "files": digest(json.dumps([text, files, skipped, ffmpeg])),
        }

    def gathered(self) -> Gathered:
        """The files, and what cannot be used."""
        return self._found


def _scanned(root: Path) -> Gathered:
    """Audio below a folder, by name, the first folder on the way as artist; what was left out."""
    tracks, skipped = [], []

    def leave_out(path: str | Path, reason: str) -> None:
        skipped.append((printable(os.path.relpath(path, root)), reason))

    def failed(error: OSError) -> None:
        leave_out(error.filename, error.strerror)

    for folder, folders, files in os.walk(root, onerror=failed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (os.path.join(folder, name) for name in folders):
            if os.path.islink(path):
                leave_out(path, "expected a folder, got a link to one")
        for path in (Path(folder, name) for name in sorted(files) if not name.startswith(".")):
            if not (READABLE.fullmatch(path.suffix) or FOR_FFMPEG.fullmatch(path.suffix)):
                continue
            if reason := _lacking(path):
                leave_out(path, reason)
                continue
            name = path.relative_to(root)
            artist = unicodedata.normalize("NFC", name.parts[0]) if len(name.parts) > 1 else ""
            tracks.append(Track.of(path, name.as_posix(), artist=artist, title=path.stem))
    return Gathered(tracks, skipped)


def _listed(table: Path) -> Gathered:
    """Tracks of a table, and the rows that cannot be used."""
    tracks, skipped, seen = [], [], {}
    for line, row in read_rows(table, "path", COLUMNS):
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
    return Gathered(tracks, skipped)


def _track(path: Path, row: dict[str, str]) -> Track:
    """What a row says of a file."""
    # Accents written in two ways are one artist, or tag.
    told = {name: unicodedata.normalize("NFC", row.get(name, "")) for name in COLUMNS}
    split = told["split"].lower()
    if split and split not in SPLITS:
        raise ParameterError(f"split: expected train, valid, test or nothing, got {split!r}")
    if "," in told["tags"] and ";" not in told["tags"]:
        raise ParameterError(f"tags: expected ; between them, or behind one, got {told['tags']!r}")
    tags = (tag.strip() for tag in told["tags"].split(";"))
    told |= {"split": split, "tags": tuple(dict.fromkeys(tag for tag in tags if tag))}
    return Track.of(path, row["path"], **told | {"title": told["title"] or path.stem})


def _find(folder: Path, name: str) -> Path:
    """The file that a table means, accents and slashes written in whichever way."""
    if not name:
        raise ParameterError("expected a path, got nothing")
    slashed = name.replace("\\", "/")
    spellings = [name, slashed, *(unicodedata.normalize(f, slashed) for f in ("NFC", "NFD"))]
    paths = [os.path.normpath(os.path.join(folder, spelling)) for spelling in spellings]
    reasons = [_lacking(path) for path in paths]
    if all(reasons):
        raise ParameterError(reasons[0])
    return Path(paths[reasons.index("")])


def _lacking(path: str | Path) -> str:
    """Why there is no file at a path; empty if there is one."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return "expected a file, got nothing there"
    except OSError as error:
        return error.strerror
    return "" if stat.S_ISREG(mode) else "expected a file, got a folder or device"
