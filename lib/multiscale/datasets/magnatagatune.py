"""MagnaTagATune, the paper's data set (§4.1): 25,863 clips of 29 s in folders 0 to f.

Downloaded from City University, or else from a mirror on the Hugging Face hub; or taken from a
copy, unpacked or in zips. Split by folder as in the paper; the 50 tags are the most frequent ones
over the whole table of annotations, as is usual, not over train alone. Every clip is cut to the
same length from its start (they last 29.1 s), and mp3s that do not decode are left out and listed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from filelock import FileLock

from multiscale.config import AudioError, DatasetSettings, ParameterError, Settings, data_home
from multiscale.datasets import catalogue, downloading, unpacking
from multiscale.datasets import magnatagatune_tables as published
from multiscale.datasets.base import ClipDataset
from multiscale.datasets.decoding import RULES
from multiscale.datasets.downloading import Expected
from multiscale.datasets.preparing import Track, digest
from multiscale.store import atomic_write

NOTICE = (
    "MagnaTagATune (Law, West, Mandel, Bay & Downie, ISMIR 2009), from the Music Informatics "
    "Research Group of City University London. Music by the artists of Magnatune, CC BY-NC-SA 1.0; "
    "for research, not for sale."
)

LICENCE = "CC BY-NC-SA 1.0 (Magnatune)"
"""Of the music."""


class Source(Settings):
    """A server that has the data set.

    No checksums are published; what was downloaded is recorded instead.
    """

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

FOLDERS = dict.fromkeys("0123456789ab", "train") | {"c": "valid"} | dict.fromkeys("def", "test")
"""Folder -> split, as in the paper."""

CLIP = re.compile(r"[0-9a-f]/[^./][^/]*\.mp3")
"""Path of a clip, as the tables give it."""

MEMBERS = re.compile(rf"(?:.*/)?({CLIP.pattern})")
"""Members of a zip that are clips."""

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
    found = catalogue.load("magnatagatune", _place(settings), identity(settings), NOTICE)
    if found is not None:
        return found
    return catalogue.prepare(collection(settings), settings, n_workers)


def prepare_part(settings: DatasetSettings, part: int, n_parts: int) -> None:
    """Cut one share of the mp3s, in this process; see :func:`prepare`."""
    catalogue.prepare_share(collection(settings), settings, part, n_parts)


def n_clips(settings: DatasetSettings) -> int:
    """Clips that :func:`prepare` gives: counted, or as published until they are downloaded."""
    found = catalogue.load("magnatagatune", _place(settings), identity(settings), NOTICE)
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
        root = _copy(settings.path)
        places = [*root.glob("*.csv"), *root.glob("mp3.zip*"), *(_unpacked(root) or root).glob("?")]
        facts = [(path.name, path.stat()) for path in sorted(places)]
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
    tables, music, broken = _copied(settings.path) if settings.path else _fetched()
    tracks, skipped = [], []
    table, tag_names = published.read(tables, settings.n_tags, settings.merge_synonyms)
    for row in table.itertuples():
        folder = row.mp3_path.split("/")[0]
        path = music / row.mp3_path
        if not CLIP.fullmatch(row.mp3_path):
            skipped.append((row.mp3_path, "expected a path such as 0/name.mp3"))
        elif row.mp3_path in broken:
            skipped.append((row.mp3_path, broken[row.mp3_path]))
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
    origin = str(_copy(settings.path)) if settings.path else "downloaded"
    return catalogue.place("magnatagatune", origin, settings)


def _home() -> Path:
    return data_home() / "datasets" / "magnatagatune"


def _copy(path: str) -> Path:
    root = Path(path).absolute()
    if not (root / published.ANNOTATIONS).is_file():
        raise ParameterError(
            f"path: expected a folder with {published.ANNOTATIONS} in it, got {path!r}"
        )
    return root


def _copied(path: str) -> tuple[Path, Path, dict[str, str]]:
    """Folder of the tables, folder of the mp3s, broken mp3s, of a copy."""
    root = _copy(path)
    if (unpacked := _unpacked(root)) is not None:
        return root, unpacked, {}
    archives = [sorted(root.glob("mp3.zip.00?")), sorted(root.glob("mp3.zip"))]
    parts = next(filter(None, archives), None)
    if parts is None:
        raise ParameterError(
            f"path: expected the folders 0 to f, mp3.zip or mp3.zip.001 to .003 in {root}, got none"
        )
    return root, *_unpack(parts, _home() / f"mp3-{digest(str(root))}")


def _unpacked(root: Path) -> Path | None:
    """The folder, this or one in it, that has the folders 0 to f."""
    inner = sorted(path for path in root.iterdir() if path.is_dir())
    return next((p for p in (root, *inner) if all((p / f).is_dir() for f in FOLDERS)), None)


def _fetched() -> tuple[Path, Path, dict[str, str]]:
    """Folder of the tables, folder of the mp3s, broken mp3s, downloading what is not there."""
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
        return folder, music, json.loads(done.read_text("utf-8"))


def _fetched_music(folder: Path, music: Path) -> dict[str, str]:
    """Download and unpack the mp3s from the first source that has them whole."""
    complaints = []
    for source in SOURCES:
        parts, broken = [], None
        try:
            for expected in source.archives:
                parts.append(downloading.fetch([source.base + expected.name], folder, expected))
            broken = _unpack(parts, music)[1]
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


def _unpack(parts: list[Path], folder: Path) -> tuple[Path, dict[str, str]]:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        return folder, unpacking.unpack(parts, folder, MEMBERS)
