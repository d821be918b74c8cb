"""MagnaTagATune's files: downloaded from City University or a mirror, or found in a copy.

The zip comes in three parts from the one, in one piece from the other. No checksums are published:
what was downloaded is recorded, and a zip is taken only if each of its members has its own.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from multiscale.config import AudioError, ParameterError, Settings, data_home
from multiscale.datasets import downloading, unpacking
from multiscale.datasets import magnatagatune_tables as published
from multiscale.datasets.downloading import Expected
from multiscale.datasets.preparing import digest
from multiscale.store import atomic_write


class Source(Settings):
    """A server that has the data set, and in which files."""

    base: str
    archives: tuple[Expected, ...]

    @property
    def tables(self) -> tuple[Expected, ...]:
        """The two tables."""
        heads = (b'"clip_id"', b"clip_id")
        names = (published.ANNOTATIONS, published.CLIP_INFO)
        return tuple(Expected(name=name, begins=heads) for name in names)


ZIP = (b"PK",)
"""How a zip begins."""

SOURCES = (
    Source(
        base="https://mirg.city.ac.uk/datasets/magnatagatune/",
        archives=(
            Expected(name="mp3.zip.001", begins=ZIP),
            Expected(name="mp3.zip.002"),
            Expected(name="mp3.zip.003"),
        ),
    ),
    Source(
        base="https://huggingface.co/datasets/confit/magnatagatune/resolve/main/",
        archives=(Expected(name="mp3.zip", begins=ZIP),),
    ),
)
"""The official site and the mirror, which has the zip in one piece."""

FOLDERS = "0123456789abcdef"
"""Names of the folders with mp3s."""

CLIP = re.compile(r"[0-9a-f]/[^./][^/]*\.mp3")
"""Path of a clip, as the tables give it."""

MEMBERS = re.compile(rf"(?:.*/)?({CLIP.pattern})")
"""Members of a zip that are clips."""


@dataclass(frozen=True)
class Place:
    """Where the data set is on disk.

    Attributes
    ----------
    tables, music : Path
        Folder of the tables; folder of the folders 0 to f.
    broken : dict of str to str
        Members of the zip that could not be unpacked, and why.
    """

    tables: Path
    music: Path
    broken: dict[str, str] = field(default_factory=dict)


def _home() -> Path:
    return data_home() / "datasets" / "magnatagatune"


def root_of(path: str) -> Path:
    """Folder of a copy.

    Raises
    ------
    ParameterError
        If there are no tables in it.
    """
    root = Path(path).absolute()
    if not (root / published.ANNOTATIONS).is_file():
        raise ParameterError(
            f"path: expected a folder with {published.ANNOTATIONS} in it, got {path!r}"
        )
    return root


def parts(path: str) -> list[Path]:
    """What a copy consists of, besides single mp3s: its tables, and its zips or folders."""
    root = root_of(path)
    folders = (_unpacked(root) or root).glob("[0-9a-f]")
    return sorted([*root.glob("*.csv"), *root.glob("mp3.zip*"), *folders])


def copied(path: str) -> Place:
    """Find the files of a copy, unpacking its zips elsewhere if it has no folders.

    Parameters
    ----------
    path : str
        Its folder.

    Returns
    -------
    Place
        Where they are.

    Raises
    ------
    ParameterError
        If it lacks something.
    AudioError
        If its zip cannot be unpacked.
    """
    root = root_of(path)
    if (unpacked := _unpacked(root)) is not None:
        return Place(root, unpacked)
    archives = [sorted(root.glob("mp3.zip.00?")), sorted(root.glob("mp3.zip"))]
    archive = next(filter(None, archives), None)
    if archive is None:
        raise ParameterError(
            f"path: expected the folders 0 to f, mp3.zip or mp3.zip.001 to .003 in {root}, got none"
        )
    music = _home() / f"mp3-{digest(str(root))}"
    return Place(root, music, _unpack(archive, music))


def _unpacked(root: Path) -> Path | None:
    """The folder, this or one in it, that has the folders 0 to f."""
    inner = sorted(path for path in root.iterdir() if path.is_dir())
    return next((p for p in (root, *inner) if all((p / f).is_dir() for f in FOLDERS)), None)


def fetched() -> Place:
    """Download and unpack what is not there yet.

    Returns
    -------
    Place
        Where the files are.

    Raises
    ------
    DownloadError
        If no source serves them whole.
    """
    folder, music = _home() / "source", _home() / "mp3"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "unpacked.json"
    with FileLock(folder / "lock"):
        for expected in SOURCES[0].tables:
            downloading.fetch([source.base + expected.name for source in SOURCES], folder, expected)
        if not done.is_file():
            broken = _fetched_music(folder, music)
            with atomic_write(done) as temporary:
                temporary.write_text(json.dumps(broken), encoding="utf-8")
        for archive in folder.glob("mp3.zip*"):
            archive.unlink()
        return Place(folder, music, json.loads(done.read_text("utf-8")))


def _fetched_music(folder: Path, music: Path) -> dict[str, str]:
    """Download and unpack the mp3s from the first source that has them whole."""
    complaints = []
    for source in SOURCES:
        parts, broken = [], None
        try:
            for expected in source.archives:
                parts.append(downloading.fetch([source.base + expected.name], folder, expected))
            broken = _unpack(parts, music)
        except (downloading.DownloadError, AudioError) as error:
            complaints.append(str(error))
        if broken == {} or (broken and source is SOURCES[-1]):
            return broken
        if broken:
            complaints.append(f"{source.base}: {len(broken)} files are broken in the zip")
        # Whole but wrong: damaged on the way, it seems, and not to be taken the next time.
        for part in parts if len(parts) == len(source.archives) else []:
            part.unlink()
    raise downloading.DownloadError("; ".join(complaints))


def _unpack(archive: list[Path], folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        return unpacking.unpack(archive, folder, MEMBERS)
