"""Unpacking: a zip that comes in parts, read as one, into a folder that nothing leaves."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from multiscale.config import AudioError
from multiscale.store import atomic_write

BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What a broken zip or member may raise: a RuntimeError if it is encrypted or of an unknown kind, a
ValueError if it says that something lies outside the file."""


class Joined(io.RawIOBase):
    """Files read as if they were one, which so needs no room of its own.

    Parameters
    ----------
    paths : sequence of Path
        The parts, in order.
    """

    def __init__(self, paths: Sequence[Path]):
        self._files = [open(path, "rb") for path in paths]  # noqa: SIM115 closed by close()
        self._starts = [0]
        for path in paths:
            self._starts.append(self._starts[-1] + path.stat().st_size)
        self._position = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from anywhere."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, as in any file."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._starts[-1]}
        if base[whence] + offset < 0:
            raise ValueError(f"seek: expected a place from 0 on, got {base[whence] + offset}")
        self._position = base[whence] + offset
        return self._position

    def readinto(self, buffer) -> int:
        """Read into a buffer from the part at the present place, and no further."""
        for file, start, end in zip(self._files, self._starts, self._starts[1:], strict=False):
            if start <= self._position < end:
                file.seek(self._position - start)
                count = file.readinto(buffer)
                self._position += count
                return count
        return 0

    def close(self) -> None:
        """Close every part."""
        for file in self._files:
            file.close()
        super().close()


def unpack(parts: Sequence[Path], folder: Path, wanted: re.Pattern[str]) -> dict[str, str]:
    """Unpack the members of a zip that are wanted and not there yet.

    Parameters
    ----------
    parts : sequence of Path
        The zip, or the parts that it was cut into, in order.
    folder : Path
        Where to.
    wanted : Pattern
        Names, as a whole, of the members that are unpacked; its first group is the path in
        ``folder``.

    Returns
    -------
    dict of str to str
        Members that are broken, and how.

    Raises
    ------
    AudioError
        If it is no zip, or a member would lie outside the folder; nothing is unpacked then.
    """
    name = parts[0].name
    try:
        with io.BufferedReader(Joined(parts)) as file, zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                _check_safe(member, name)
            found = [(member, wanted.fullmatch(member.filename)) for member in members]
            broken = {}
            for member, target in tqdm([x for x in found if x[1]], desc="unpacking", unit="file"):
                try:
                    _extract(archive, member, folder / target[1])
                except BROKEN as error:
                    broken[target[1]] = f"broken in the zip: {error}"
            return broken
    except BROKEN as error:
        if isinstance(error, AudioError):
            raise
        listed = ", ".join(part.name for part in parts)
        raise AudioError(f"{parts[0].parent}: expected a zip in {listed}, got {error}") from error


def _check_safe(member: zipfile.ZipInfo, archive: str) -> None:
    """Refuse a member that would lie elsewhere, or is a link to elsewhere."""
    # Not filename, which zipfile may have shortened.
    path = PurePosixPath(member.orig_filename.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts or ":" in str(path)
    if outside or stat.S_ISLNK(member.external_attr >> 16):
        raise AudioError(
            f"{archive}: expected members that stay in their folder, got {member.orig_filename!r}"
        )


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    if target.is_file() and target.stat().st_size == member.file_size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        with archive.open(member) as source, open(temporary, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        # The same every time, so that clips are not cut anew from what is unpacked anew.
        os.utime(temporary, (0, 0))
