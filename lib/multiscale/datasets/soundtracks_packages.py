"""Packages of the list, fetched and unpacked once; beside the music of each lies a record of it."""

from __future__ import annotations

import fnmatch
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from filelock import FileLock

from multiscale.config import ParameterError, data_home
from multiscale.datasets import soundtracks_apt as apt
from multiscale.datasets.preparing import digest
from multiscale.datasets.soundtracks_credits import documents
from multiscale.datasets.soundtracks_unpacking import unpack
from multiscale.store import atomic_write

RECORD = "record.json"
"""Name of the record in a package's folder; written before the folder gets its name."""


@dataclass(frozen=True)
class Package:
    """A package that has been unpacked.

    Attributes
    ----------
    folder : Path
        Where the paths of its files start from.
    name, version : str
        As Debian names them.
    tracks : list of dict
        For each file of music its path ``file``, ``size`` in bytes, ``seconds`` and ``comments``;
        of one that cannot be read, ``reason``.
    documents : list of str
        Paths of the files that say whose the music is.
    """

    folder: Path
    name: str
    version: str
    tracks: list[dict[str, Any]]
    documents: list[str]

    def texts(self) -> dict[str, str]:
        """Path -> text of the documents."""
        return {
            file: (self.folder / file).read_text("utf-8", errors="replace")
            for file in self.documents
        }


def home() -> Path:
    """Where packages are downloaded and unpacked."""
    return data_home() / "datasets" / "soundtracks"


def obtain(row: Mapping[str, str]) -> Package | None:
    """Fetch and unpack a package, unless that has been done.

    Parameters
    ----------
    row : mapping of str to str
        Its row in the list of packages.

    Returns
    -------
    Package or None
        None if this system's sources have no such package.

    Raises
    ------
    ParameterError
        If apt is missing, reaches no source, or the package has no music where it should.
    AudioError
        If the package is broken.
    """
    if (found := recorded(row)) is not None:
        return found
    home().mkdir(parents=True, exist_ok=True)
    # One process fetches; another that wants the same package waits, then finds it.
    with FileLock(home() / "lock"):
        if (found := recorded(row)) is not None:
            return found
        fetched = apt.fetch(row["package"], row["pattern"], home())
        if fetched is None:
            return None
        deb, offer = fetched
        _unpack(row, deb, offer)
        deb.unlink()  # the music lies unpacked now
    return recorded(row)


def version(row: Mapping[str, str]) -> str:
    """Version of a package that is there, or else that would be fetched; empty if none would."""
    if (found := recorded(row)) is not None:
        return found.version
    offer = apt.find(row["package"], row["pattern"], home())
    return offer.version if offer else ""


def recorded(row: Mapping[str, str]) -> Package | None:
    """The package if it has been unpacked as its row says, and no file is gone since."""
    folder = _folder(row)
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        found = Package(folder, **record)
        whole = all((folder / t["file"]).stat().st_size == t["size"] for t in found.tracks)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None


def _folder(row: Mapping[str, str]) -> Path:
    rules = json.dumps([row["music"], row["left_out"], documents(row["package"])])
    return home() / "music" / f"{row['package']}-{digest(rules)}"


def _unpack(row: Mapping[str, str], deb: Path, offer: apt.Offer) -> None:
    folder = _folder(row)
    folder.parent.mkdir(exist_ok=True)
    # No other process writes here while the lock is held: what is left is a killed one's.
    for left in folder.parent.glob(".writing-*"):
        shutil.rmtree(left)
    temporary = folder.with_name(f".writing-{uuid.uuid4().hex}")
    temporary.mkdir()
    try:
        papers = documents(row["package"])
        unpack(deb, temporary, [*row["music"].split(";"), *papers], row["left_out"].split(";"))
        record = {"name": offer.package, "version": offer.version, **_sorted(temporary, papers)}
        if not record["tracks"]:
            raise ParameterError(
                f"soundtracks: expected {row['music']} in the package {offer.package}, got none"
            )
        with atomic_write(temporary / RECORD) as path:
            path.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sorted(folder: Path, papers: list[str]) -> dict[str, list]:
    """The unpacked files, music and documents apart."""
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    found = [file for file in files if any(fnmatch.fnmatchcase(file, glob) for glob in papers)]
    music = [_described(folder, file) for file in files if file not in found]
    return {"tracks": music, "documents": found}


def _described(folder: Path, file: str) -> dict[str, Any]:
    facts: dict[str, Any] = {"file": file, "size": (folder / file).stat().st_size}
    try:
        with soundfile.SoundFile(folder / file) as sound:
            seconds = round(sound.frames / sound.samplerate, 6)
            return {**facts, "seconds": seconds, "comments": sound.copy_metadata()}
    except (soundfile.SoundFileError, RuntimeError) as error:
        return {**facts, "reason": f"expected audio, got {error}"}
