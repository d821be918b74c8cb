"""MagnaTagATune's files: downloaded from City University or a mirror, or found in a copy.

The zip comes in three parts from the one, in one piece from the other. No checksums are published:
a zip is taken if each of its members has its own. Members are unpacked to where the tables say that
they lie, whatever folder the zip says, so nothing can leave the folder.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pooch
import requests
from filelock import FileLock

from multiscale.config import AudioError, ParameterError, data_home
from multiscale.datasets.tracks import digest
from multiscale.identity import atomic_write
from multiscale.progress import progress

SOURCES = {
    "https://mirg.city.ac.uk/datasets/magnatagatune/": tuple(f"mp3.zip.00{i}" for i in (1, 2, 3)),
    "https://huggingface.co/datasets/confit/magnatagatune/resolve/main/": ("mp3.zip",),
}
"""The official site and a mirror, and the files in which each has the zip."""

ANNOTATIONS, CLIP_INFO = "annotations_final.csv", "clip_info_final.csv"
"""Names of the tables."""

BEGINS = dict.fromkeys((ANNOTATIONS, CLIP_INFO), (b'"clip_id"', b"clip_id"))
"""How files begin that are what they should be; zips are known by what is in them."""

RETRIES, TIMEOUT_SECONDS, CHUNK = 20, 60, 1 << 16
"""Tries after the first, how long a server may be silent, bytes read at a time."""

FOLDERS = "0123456789abcdef"  # with the mp3s

CLIP = re.compile(r"[0-9a-f]/[^./\\:][^/\\:]*\.mp3")
MEMBERS = re.compile(rf"(?:.*/)?({CLIP.pattern})")
"""Path of a clip, as the tables give it; members of a zip that are clips."""

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What a broken zip or member may raise; RuntimeError if it is encrypted or of an unknown kind."""


class DownloadError(OSError):
    """A file that no source serves, or none serves rightly."""


class Files(NamedTuple):
    """Where the data set is on disk."""

    tables: Path
    music: Path  # folder of the folders 0 to f
    broken: dict[str, str]  # members of the zip that could not be unpacked, and why


def root_of(path: str) -> Path:
    """Folder of a copy; a ParameterError if there are no tables in it."""
    root = Path(path)
    if not (root / ANNOTATIONS).is_file():
        raise ParameterError(f"path: expected a folder with {ANNOTATIONS} in it, got {path!r}")
    return root


def parts(path: str) -> list[Path]:
    """What a copy consists of, besides single mp3s: its tables, and its zips or folders."""
    root = root_of(path)
    folders = (_unpacked(root) or root).glob("[0-9a-f]")
    return sorted([*root.glob("*.csv"), *root.glob("mp3.zip*"), *folders])


def copied(path: str) -> Files:
    """Find the files of a copy, unpacking its zips elsewhere if it has no folders."""
    root = root_of(path)
    if (unpacked := _unpacked(root)) is not None:
        return Files(root, unpacked, {})
    archives = sorted(root.glob("mp3.zip.00?")) or sorted(root.glob("mp3.zip"))
    if not archives:
        raise ParameterError(
            f"path: expected the folders 0 to f, mp3.zip or mp3.zip.001 to .003 in {root}, got none"
        )
    stamps = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in archives]
    music = _home() / f"mp3-{digest(str(stamps))}"
    return Files(root, music, _once(music, lambda: unpack(archives, music)))


def fetched() -> Files:
    """Download and unpack what is not there yet; a DownloadError if no source serves it whole."""
    folder, music = _home() / "source", _home() / "mp3"
    folder.mkdir(parents=True, exist_ok=True)

    def get() -> dict[str, str]:
        for table in (ANNOTATIONS, CLIP_INFO):
            _from_some_source(lambda base, table=table: fetch(base, table, folder))
        return _from_some_source(lambda base: _music_from(base, folder, music))

    broken = _once(music, get)
    for archive in folder.glob("mp3.zip*"):
        archive.unlink()
    return Files(folder, music, broken)


def _once(music: Path, unpacked: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What is broken in the zip of a folder; unpacked by one process, and once."""
    music.mkdir(parents=True, exist_ok=True)
    done = music / "unpacked.json"
    with FileLock(music / "lock"):
        if not done.is_file():
            broken = unpacked()
            with atomic_write(done) as temporary:
                temporary.write_text(json.dumps(broken), encoding="utf-8")
    return json.loads(done.read_text("utf-8"))


def _home() -> Path:
    return data_home() / "datasets" / "magnatagatune"


def _unpacked(root: Path) -> Path | None:
    """The folder, this or one in it, that has the folders 0 to f."""
    inner = sorted(path for path in root.iterdir() if path.is_dir())
    return next((p for p in (root, *inner) if all((p / f).is_dir() for f in FOLDERS)), None)


def _from_some_source(get: Callable[[str], Any]) -> Any:
    """What the first source gives that gives it rightly."""
    complaints = []
    for base in SOURCES:
        try:
            return get(base)
        except (DownloadError, AudioError) as error:
            complaints.append(str(error))
    raise DownloadError(f"expected MagnaTagATune from some source, got {'; '.join(complaints)}")


def _music_from(base: str, folder: Path, music: Path) -> dict[str, str]:
    """Download and unpack the mp3s from one source; members that are broken, and how."""
    archives = [fetch(base, name, folder) for name in SOURCES[base]]
    try:
        broken = unpack(archives, music)
        if broken and base != [*SOURCES][-1]:
            raise AudioError(f"{base}: {len(broken)} files are broken in the zip")
    except AudioError:
        # Whole but wrong: damaged on the way, it seems, and not to be taken the next time.
        for archive in archives:
            archive.unlink()
        raise
    return broken


def fetch(base: str, name: str, folder: Path) -> Path:
    """Download a file from a source, unless it is there."""
    pooch.get_logger().setLevel("WARNING")
    files = pooch.create(folder, base, registry={name: None}, retry_if_failed=RETRIES)
    try:
        path = Path(files.fetch(name, downloader=_download))
    except requests.RequestException as error:
        raise DownloadError(f"{base}{name}: {error}") from error
    with open(path, "rb") as file:
        head = file.read(16)
    if not head.startswith(begins := BEGINS.get(name, (b"",))):
        path.unlink()
        raise DownloadError(f"{base}{name}: expected {begins[0]!r} at its start, got {head!r}")
    return path


def _download(url: str, output_file: str, _pooch: pooch.Pooch) -> None:
    """Download for pooch, going on with the half that an earlier try left, where it can be told."""
    part = Path(output_file).with_name(url.rsplit("/", 1)[1] + ".part")
    note = part.with_suffix(".note")  # whose half it is: the address and the server's mark
    origin, _, mark = note.read_text("utf-8").partition("\n") if note.is_file() else ("", "", "")
    start = part.stat().st_size if part.is_file() and origin == url and mark else 0
    headers = {"Accept-Encoding": "identity"}
    if start:
        # If-Range: should the file have changed since, the server sends all of it.
        headers |= {"Range": f"bytes={start}-", "If-Range": mark}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as reply:
        if reply.status_code == 416:  # there is nothing after this start
            part.unlink()
        elif 400 <= reply.status_code < 500:  # no reason to try again
            raise DownloadError(f"{url}: {reply.status_code} {reply.reason}")
        reply.raise_for_status()
        if reply.headers.get("Content-Type", "").startswith("text/html"):
            raise DownloadError(f"{url}: expected the file, got a web page")
        if reply.status_code != 206:
            start, mark = 0, reply.headers.get("ETag", "")
            if not mark or mark.startswith("W/"):  # a weak mark is no ground to join halves on
                mark = reply.headers.get("Last-Modified", "")
            note.write_text(f"{url}\n{mark}", encoding="utf-8")
        total = start + int(reply.headers.get("Content-Length", 0)) or None
        shown = {"desc": part.stem, "unit": "B", "unit_scale": True, "initial": start}
        with open(part, "ab" if start else "wb") as file, progress(total=total, **shown) as bar:
            for chunk in reply.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    os.replace(part, output_file)
    note.unlink()


def unpack(archives: Sequence[Path], folder: Path) -> dict[str, str]:
    """Unpack the clips in a zip, whole or in parts, that are not there; those broken, and how."""
    broken = {}
    try:
        with _joined(archives, folder) as whole, zipfile.ZipFile(whole) as archive:
            found = [(x, MEMBERS.fullmatch(x.filename)) for x in archive.infolist()]
            clips = [(member, target[1]) for member, target in found if target]
            for member, target in progress(clips, desc="unpacking", unit="file"):
                try:
                    _extract(archive, member, folder / target)
                except BROKEN as error:
                    broken[target] = f"broken in the zip: {error}"
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the start
            raise
        where, listed = archives[0].parent, ", ".join(path.name for path in archives)
        raise AudioError(f"{where}: expected a zip in {listed}, got {error}") from error
    return broken


def _joined(parts: Sequence[Path], folder: Path) -> BinaryIO:
    """A file, or its parts in one that is gone once it is closed."""
    if len(parts) == 1:
        return open(parts[0], "rb")
    whole = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 closed by the caller
    for path in parts:
        with open(path, "rb") as part:
            shutil.copyfileobj(part, whole, CHUNK)
    return whole


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    if target.is_file() and target.stat().st_size == member.file_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        with archive.open(member) as source, open(temporary, "wb") as file:
            shutil.copyfileobj(source, file, CHUNK)
        # The same every time, so that clips are not cut anew from what is unpacked anew.
        os.utime(temporary, (0, 0))
