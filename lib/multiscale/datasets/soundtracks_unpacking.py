"""Unpacking: from a .deb only what is asked for, also out of the .pk3 archives inside it."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from multiscale.config import AudioError

ARCHIVE = ".pk3"
"""Ending of an archive inside a package; the format is zip."""


def unpack(deb: Path, folder: Path, wanted: Sequence[str], left_out: Sequence[str] = ()) -> None:
    """Write members of a package below a folder, under their own paths.

    Parameters
    ----------
    deb : Path
        The package.
    folder : Path
        Where to write; it must exist.
    wanted : sequence of str
        Globs of paths, such as ``usr/share/games/*/music/*.ogg``; ``*`` matches ``/`` too. A
        member of an archive has the archive's path before its own: ``data/a.pk3/x.ogg``.
    left_out : sequence of str
        Globs of those that are not wanted after all.

    Raises
    ------
    AudioError
        If the package is broken, or a path would leave the folder.
    """
    archives = [glob[: glob.index(f"{ARCHIVE}/") + 4] for glob in wanted if f"{ARCHIVE}/" in glob]

    def is_wanted(name: str) -> bool:
        return _matches(name, wanted) and not _matches(name, left_out)

    with tempfile.TemporaryFile() as complaints:
        command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    name = member.name.removeprefix("./")
                    # No links: what they point to may lie anywhere.
                    if not member.isfile():
                        continue
                    if is_wanted(name):
                        _write(members.extractfile(member), folder, name, member.mtime)
                    elif _matches(name, archives):
                        content = members.extractfile(member)
                        _unpack_archive(content, folder, name, member.mtime, is_wanted)
            failed = process.wait() != 0
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise AudioError(f"{deb.name}: expected a whole package, got {error}") from error
        finally:
            process.stdout.close()
            process.kill()
            process.wait()
        if failed:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip()
            raise AudioError(f"{deb.name}: expected a whole package, got {said}")


def _unpack_archive(content: IO[bytes], folder: Path, archive: str, mtime: float, is_wanted):
    # Zip needs to seek, which a stream cannot.
    with tempfile.TemporaryFile(dir=folder) as file:
        shutil.copyfileobj(content, file)
        with zipfile.ZipFile(file) as members:
            for member in members.infolist():
                name = f"{archive}/{member.filename}"
                if not member.is_dir() and is_wanted(name):
                    with members.open(member) as inner:
                        _write(inner, folder, name, mtime)


def _write(content: IO[bytes], folder: Path, name: str, mtime: float) -> None:
    path = folder / name
    if ".." in path.parts or not path.is_relative_to(folder):
        raise AudioError(f"{name}: expected a path inside the package, got one that leaves it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
    # The same on every machine; clips are named after it.
    os.utime(path, (mtime, mtime))


def _matches(name: str, globs: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
